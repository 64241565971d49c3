"""The collector's HTTP interface: routes, bodies within bounds, CORS, counters."""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from api.collector import access, browser
from api.collector.hooks import Hooks
from api.collector.intake import BATCH, Arrival, Intake, Refusal
from api.collector.metrics import Metrics
from api.collector.notices import Notices
from api.collector.publisher import Publisher
from config.platform import CollectorLimits
from config.sources import Source

LOG = logging.getLogger("collector")
# The long forms, and the short ones of the browser SDK.
CALLS = {call: call for call in ("track", "identify", "page", "screen", "group", "alias", BATCH)}
CALLS |= {"t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias", "b": BATCH}
CLIENT_METRICS = "m"
WEBHOOK = "webhook"
BUSY_RETRY_S = 1
READY_FOR_S = 1.0
SETTINGS_FOR_S = 60


class Collector:
    """The handlers of one process.

    Args:
        sources: by name.
        door: who may write.
        intake: takes requests to Kafka.
        publisher: the way to Kafka.
        notices: tells what limits refused.
        metrics: counters.
        body_bytes: largest body, as it comes.
        bounds: of bodies in memory and of their time.
        hooks: takes webhooks.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        door: access.Door,
        intake: Intake,
        publisher: Publisher,
        notices: Notices,
        metrics: Metrics,
        body_bytes: int,
        bounds: CollectorLimits,
        hooks: Hooks,
    ) -> None:
        self._sources, self._door, self._intake, self._hooks = sources, door, intake, hooks
        self._publisher, self._notices, self._metrics = publisher, notices, metrics
        self._body_bytes, self._bounds = body_bytes, bounds
        self._held_bytes = 0
        self._held_by: Counter[str] = Counter()
        self._was_ready, self._asked_at = False, 0.0

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            lifespan=self._lifespan,
            routes=[
                Route("/v1/webhooks/{source}", self.webhook, methods=["POST"]),
                Route("/v1/{call}", self.take, methods=["POST"]),
                Route("/v1/{call}", self.preflight, methods=["OPTIONS"]),
                Route("/v1/projects/{write_key}/settings", self.settings, methods=["GET"]),
                Route("/v1/projects/{write_key}/settings", self.preflight, methods=["OPTIONS"]),
                Route("/health", self.health, methods=["GET"]),
                Route("/ready", self.ready, methods=["GET"]),
                Route("/metrics", self.render_metrics, methods=["GET"]),
            ],
        )

    async def take(self, request: Request) -> Response:
        """POST /v1/{call}: 200 once Kafka has every event."""
        began = time.perf_counter()
        call = request.path_params["call"]
        if call == CLIENT_METRICS:
            return await self._take_client_metrics(request)
        if call not in CALLS:
            return _answer(404, {}, "unknown_call", f"calls: {', '.join(sorted(CALLS))}")
        headers = request.headers
        arrival = Arrival(
            call=CALLS[call],
            body=b"",
            encoding=headers.get("content-encoding", ""),
            authorization=headers.get("authorization", ""),
            write_key=request.query_params.get("writeKey", ""),
            origin=headers.get("origin", ""),
            ip=request.client.host if request.client else "",
            user_agent=headers.get("user-agent", ""),
        )
        try:
            async with self._body(request, arrival):
                events = await self._intake.take(arrival)
        except Refusal as refusal:
            return self._refused(arrival, refusal)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except Exception as error:  # the message may hold what a client sent: only its type is told
            LOG.error("%s in %s", type(error).__name__, arrival.call, extra={"source": arrival.source})
            return self._refused(arrival, Refusal(500, "internal", "a fault of the collector; nothing is acknowledged"))
        self._metrics.requests.labels(arrival.source, arrival.call, "200").inc()
        self._metrics.events.labels(arrival.source).inc(events)
        self._metrics.body_bytes.labels(arrival.source).inc(len(arrival.body))
        self._metrics.seconds.observe(time.perf_counter() - began)
        return Response(b'{"success":true}', 200, self._cors(arrival), "application/json")

    async def webhook(self, request: Request) -> Response:
        """POST /v1/webhooks/{source}: 200 once Kafka has what became of the delivery."""
        name = request.path_params["source"]
        arrival = Arrival(call=WEBHOOK, body=b"", source=name if name in self._sources else "")
        try:
            async with self._body(request, arrival):
                became = await self._hooks.take(name, request.headers, arrival.body)
        except Refusal as refusal:
            return self._refused(arrival, refusal)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        self._metrics.requests.labels(arrival.source, WEBHOOK, "200").inc()
        return Response(msgspec.json.encode({"success": True, "became": became}), 200, media_type="application/json")

    async def settings(self, request: Request) -> Response:
        """What the browser SDK fetches from its CDN."""
        write_key = request.path_params["write_key"]
        source = self._door.source(write_key)
        if source is None:
            return _answer(404, {}, "write_key", "nobody has this write key")
        cors = access.allow(request.headers.get("origin", ""), self._sources[source].origins)
        found = browser.settings(write_key, request.headers.get("host", ""), request.url.scheme)
        return Response(msgspec.json.encode(found), 200, cors | {"Cache-Control": f"max-age={SETTINGS_FOR_S}"}, "application/json")

    async def preflight(self, request: Request) -> Response:
        """OPTIONS, asked by browsers before a request that is not simple."""
        return Response(status_code=204, headers=self._door.preflight(request.headers.get("origin", "")))

    async def health(self, _request: Request) -> Response:
        """Alive."""
        return Response(b'{"alive":true}', media_type="application/json")

    async def ready(self, _request: Request) -> Response:
        """Whether Kafka answers; asked at most once a second."""
        if time.monotonic() - self._asked_at > READY_FOR_S:
            self._was_ready = await self._publisher.answers(next(iter(self._sources.values())).topic)
            self._asked_at = time.monotonic()
        if not self._was_ready:
            return _answer(503, {"Retry-After": str(BUSY_RETRY_S)}, "away", "Kafka does not answer")
        return Response(b'{"ready":true}', media_type="application/json")

    async def render_metrics(self, _request: Request) -> Response:
        """Counters for Prometheus."""
        return Response(self._metrics.render(), media_type="text/plain; version=0.0.4")

    async def _take_client_metrics(self, request: Request) -> Response:
        """The browser SDK's own measurements: counted, not kept."""
        arrival = Arrival(call=CLIENT_METRICS, body=b"", origin=request.headers.get("origin", ""))
        try:
            async with self._body(request, arrival):
                series = _count_series(arrival.body)
        except (Refusal, ClientDisconnect):
            series = 0
        self._metrics.client_metrics.inc(series)
        return Response(b'{"success":true}', 200, self._door.preflight(arrival.origin), "application/json")

    @contextlib.asynccontextmanager
    async def _body(self, request: Request, arrival: Arrival) -> AsyncIterator[None]:
        """Read the body into the arrival, within bounds of size, time and memory; its memory counts until the end of the block."""
        held, bounds = 0, self._bounds
        address = request.client.host if request.client else ""
        if _announced(request) > self._body_bytes:
            raise self._intake.too_large(arrival)
        try:
            try:
                async with asyncio.timeout(bounds.body_s):
                    parts = []
                    async for part in request.stream():
                        parts.append(part)
                        held += len(part)
                        self._held_bytes += len(part)
                        self._held_by[address] += len(part)
                        if held > self._body_bytes:
                            raise self._intake.too_large(arrival)
                        if self._held_bytes > bounds.held_bytes or self._held_by[address] > bounds.held_bytes_per_address:
                            raise self._intake.busy(arrival, BUSY_RETRY_S)
            except TimeoutError:
                raise self._intake.slow(arrival, bounds.body_s) from None
            arrival.body = parts[0] if len(parts) == 1 else b"".join(parts)
            yield
        finally:
            self._held_bytes -= held
            self._held_by[address] -= held
            if not self._held_by[address]:
                del self._held_by[address]

    def _refused(self, arrival: Arrival, refusal: Refusal) -> Response:
        self._metrics.requests.labels(arrival.source, arrival.call, str(refusal.status)).inc()
        if refusal.events:
            self._metrics.refused.labels(arrival.source, refusal.reason).inc(refusal.events)
        retry = {"Retry-After": str(refusal.retry_after_s)} if refusal.retry_after_s else {}
        return _answer(refusal.status, self._cors(arrival) | retry, refusal.reason, refusal.says)

    def _cors(self, arrival: Arrival) -> dict[str, str]:
        if not arrival.origin:
            return {}
        if not arrival.source:  # so that a page can read why it was refused
            return self._door.preflight(arrival.origin)
        return access.allow(arrival.origin, self._sources[arrival.source].origins)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self._publisher.start()
        telling = asyncio.create_task(self._notices.run())
        yield
        telling.cancel()
        self._notices.write(at_once=True)
        left = await self._publisher.close()
        if left:
            LOG.error("ended with %d events that Kafka did not acknowledge; none of them was answered with 200", left)


def _announced(request: Request) -> int:
    """Bytes of the body by its header; 0 where it says nothing that can be read."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


def _answer(status: int, headers: dict[str, str], code: str, says: str) -> Response:
    return Response(msgspec.json.encode({"success": False, "code": code, "message": says}), status, headers, "application/json")


def _count_series(data: bytes) -> int:
    try:
        return len(msgspec.json.decode(data, type=dict[str, list[msgspec.Raw]]).get("series", []))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0
