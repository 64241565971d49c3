"""What a request goes through until Kafka has its events: who sent it, what is in it, may it, shape, write.

Knows nothing of the web framework: a request arrives as an `Arrival` and ends as the number of events written, or as a `Refusal`.
"""

import datetime as dt
import math
import time
import uuid
from collections.abc import Callable

import msgspec

from api.collector import access, body, envelope
from api.collector.limits import HELD, SLOW, Board
from api.collector.publisher import AwayError, Publisher
from config.platform import Limits
from config.sources import Source
from schemas import json_parts
from schemas.json_text import JsonTextError

BATCH = "batch"
AWAY_RETRY_S = 2


class Refusal(Exception):
    """The request is not taken; nothing of it is acknowledged.

    Attributes:
        status: of the HTTP answer.
        reason: one word for programs and metrics.
        says: a sentence for people, free of anything the client sent.
        retry_after_s: whole seconds after which it may be tried again; 0 for never.
        events: how many were in it, as far as that is known.
    """

    def __init__(self, status: int, reason: str, says: str, retry_after_s: int = 0, events: int = 0) -> None:
        super().__init__(says)
        self.status, self.reason, self.says = status, reason, says
        self.retry_after_s, self.events = retry_after_s, events


class Arrival(msgspec.Struct, kw_only=True):
    """A request whose body has arrived.

    Attributes:
        call: `track`, `identify`, `page`, `screen`, `group`, `alias` or `batch`.
        body: as it came.
        encoding: header Content-Encoding.
        authorization: header.
        write_key: of the query string.
        origin: header; empty when no web page sent it.
        ip: address of the client.
        user_agent: header.
        source: set once the write key is known.
    """

    call: str
    body: bytes
    encoding: str = ""
    authorization: str = ""
    write_key: str = ""
    origin: str = ""
    ip: str = ""
    user_agent: str = ""
    source: str = ""


class Sample(msgspec.Struct, frozen=True):
    """Facts of one refused request: what it was, never what was in it."""

    call: str
    events: int
    body_bytes: int


class Intake:
    """Takes requests.

    Args:
        sources: by name.
        door: who may write.
        board: buckets, and what limits refused.
        publisher: writes to Kafka.
        limits: public limits.
        new_id: makes message ids for events that have none.
    """

    def __init__(
        self,
        sources: dict[str, Source],
        door: access.Door,
        board: Board,
        publisher: Publisher,
        limits: Limits,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._sources, self._door, self._board, self._publisher = sources, door, board, publisher
        self._limits, self._new_id = limits, new_id
        self._names = {name: (envelope.raw(source.tenant), envelope.raw(name)) for name, source in sources.items()}
        self.samples: dict[tuple[str, str], Sample] = {}

    async def take(self, arrival: Arrival) -> int:
        """Write a request's events; returns their number once Kafka has acknowledged all of them.

        Raises:
            Refusal: nothing is acknowledged.
        """
        events, stamp = self._read(arrival)
        source = self._sources[arrival.source]
        if source.rate and (wait_s := self._board.take(arrival.source, len(events), source.rate, time.monotonic())):
            raise self._limited(arrival, "rate", len(events), 429, "more events than this source may send", math.ceil(wait_s))
        records = [envelope.shape(event, stamp, self._new_id) for event in events]
        try:
            await self._publisher.publish(source.topic, records)
        except AwayError as error:
            raise Refusal(503, "away", f"not acknowledged: {error}", AWAY_RETRY_S, len(events)) from None
        return len(events)

    def _read(self, arrival: Arrival) -> tuple[list[bytes], envelope.Stamp]:
        """The events and what to stamp on them; finds out the source on the way."""
        shown = access.basic_user(arrival.authorization) or arrival.write_key
        arrival.source = self._door.source(shown) or ""
        data = self._unpacked(arrival)
        try:
            found = json_parts.members(data)
            if not shown:
                arrival.source = self._door.source(json_parts.text((found or {}).get("writeKey"))) or ""
            self._admit(arrival)
            if arrival.call != BATCH:
                return [data], self._stamp(arrival, {}, envelope.raw(arrival.call))
            if found is None or "batch" not in found:
                raise Refusal(400, "unreadable", "a batch is an object with an array `batch`")
            events = json_parts.elements(found["batch"], self._limits.request_events)
            stamp = self._stamp(arrival, found, None)
        except JsonTextError as error:
            raise Refusal(400, "unreadable", error.rule) from None
        if len(events) > self._limits.request_events:
            raise self._limited(arrival, "request_events", len(events), 413, f"at most {self._limits.request_events} events in a request")
        return list(events), stamp

    def _unpacked(self, arrival: Arrival) -> bytes:
        encoding = arrival.encoding.strip().lower()
        if encoding not in (*body.PLAIN, *body.ENCODINGS):
            raise Refusal(415, "encoding", "Content-Encoding: gzip, deflate or none")
        try:
            data = arrival.body if encoding in body.PLAIN else body.unpack(arrival.body, encoding, self._limits.request_bytes)
            data = body.text(data)
        except body.TooLargeError:
            raise self.too_large(arrival) from None
        except body.UnreadableError as error:
            raise Refusal(400, "unreadable", str(error)) from None
        if len(data) > self._limits.request_bytes:
            raise self.too_large(arrival)
        arrival.body = data
        return data

    def _admit(self, arrival: Arrival) -> None:
        if not arrival.source:
            raise Refusal(401, "write_key", "no known write key: Basic user name, `writeKey` in the body, or ?writeKey=")
        if arrival.origin and not access.allow(arrival.origin, self._sources[arrival.source].origins):
            raise Refusal(403, "origin", "this source takes nothing from web pages of this origin")

    def _stamp(self, arrival: Arrival, batch: json_parts.Members, call: msgspec.Raw | None) -> envelope.Stamp:
        tenant, name = self._names[arrival.source]
        enrich = self._sources[arrival.source].enrich
        connection: json_parts.Members = {}
        if enrich.ip and arrival.ip:
            connection["ip"] = envelope.raw(arrival.ip)
        if enrich.user_agent and arrival.user_agent:
            connection["userAgent"] = envelope.raw(arrival.user_agent)
        context: json_parts.Members = {}
        if "context" in batch:
            context = json_parts.members(batch["context"]) or {}
        return envelope.Stamp(
            tenant=tenant,
            source=name,
            received_at=envelope.raw(envelope.iso(dt.datetime.now(dt.UTC))),
            type=call,
            sent_at=batch.get("sentAt"),
            context=context,
            connection=connection,
        )

    def too_large(self, arrival: Arrival) -> Refusal:
        """The refusal of a body over the limit."""
        return self._limited(arrival, "request_bytes", 0, 413, f"at most {self._limits.request_bytes} bytes, unpacked")

    def slow(self, arrival: Arrival, within_s: float) -> Refusal:
        """The refusal of a body that takes too long."""
        return self._limited(arrival, SLOW, 0, 408, f"the body did not arrive within {within_s:.0f} s")

    def busy(self, arrival: Arrival, retry_after_s: int) -> Refusal:
        """The refusal of a body while too many are in memory, altogether or of one address."""
        return self._limited(arrival, HELD, 0, 503, "too many requests at once", retry_after_s)

    def _limited(self, arrival: Arrival, kind: str, events: int, status: int, says: str, retry_after_s: int = 0) -> Refusal:
        """Count what a limit refused; a request whose events were not counted counts as one."""
        self._board.refuse(arrival.source, kind, max(1, events))
        self.samples[arrival.source, kind] = Sample(arrival.call, events, len(arrival.body))
        return Refusal(status, kind, says, retry_after_s, events)
