"""How alerts leave: log, webhook, Kafka. At least once: a change is sent until the channel has taken it, or has refused it often enough.

Which changes a channel still has to get is read from ClickHouse: those in `alerts` that it should get and that have no line in
`alert_deliveries`. Such a line is written after the channel's answer, so that a job killed in between sends the change once more, under
the same id and number.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

import urllib3
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from config.quality import Delivery, Webhook
from pipelines.quality.alerts import Alert
from pipelines.quality.messages import payload, says
from pipelines.quality.schema import Server
from pipelines.rules.sql import quoted

KAFKA_WAIT_S: Final = 5.0
ATTEMPTS: Final = 6
PAUSE_S: Final = 5.0
MAX_ERROR: Final = 300
_log = logging.getLogger(__name__)
_alerts = logging.getLogger("cdp.alerts")


class RefusedError(Exception):
    """A channel did not take an alert; the message says why."""


class Channel(Protocol):
    """Somewhere alerts go. `attempts` and `pause_s` bound its retries."""

    attempts: int
    pause_s: float

    def send(self, alert: Alert) -> None:
        """Hand over a change of an alert; raises RefusedError unless it was taken."""


class LogChannel:
    """The job's own log."""

    attempts, pause_s = 1, 0.0

    def send(self, alert: Alert) -> None:
        """See `Channel`."""
        level = logging.INFO if alert.change == "closed" else logging.WARNING
        _alerts.log(level, "alert %s %s: %s", alert.id, alert.change, says(alert))


class WebhookChannel:
    """An address that alerts are posted to as JSON. The header `Idempotency-Key` names the change."""

    def __init__(self, settings: Webhook) -> None:
        self.attempts, self.pause_s = settings.attempts, settings.pause_s
        self._settings = settings
        self._pool = urllib3.PoolManager(timeout=settings.timeout_s, retries=False, maxsize=1)

    def send(self, alert: Alert) -> None:
        """See `Channel`."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"{alert.id}:{alert.number}"}
        try:
            answer = self._pool.request("POST", self._settings.url, body=json.dumps(payload(alert)), headers=headers)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise RefusedError(f"{type(error).__name__}") from error
        if not 200 <= answer.status < 300:
            raise RefusedError(f"answered {answer.status}")


class KafkaChannel:
    """A topic; the key is the alert's id, so that its changes stay in order."""

    attempts, pause_s = ATTEMPTS, PAUSE_S

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._topic = topic
        timeout = {"message.timeout.ms": int(KAFKA_WAIT_S * 1000), "linger.ms": 0, "enable.idempotence": True, "log_level": 2}
        self._producer = Producer({"bootstrap.servers": bootstrap, **timeout}, logger=_log)

    def send(self, alert: Alert) -> None:
        """See `Channel`."""
        outcome: list[KafkaError | None] = []

        def note(error: KafkaError | None, _message: Message) -> None:
            outcome.append(error)

        try:
            self._producer.produce(self._topic, json.dumps(payload(alert)), alert.id, on_delivery=note)
        except (KafkaException, BufferError) as error:
            raise RefusedError(f"Kafka: {error}") from error
        self._producer.flush(KAFKA_WAIT_S + 1)
        if not outcome:
            raise RefusedError("Kafka: no answer")
        if outcome[0] is not None:
            raise RefusedError(f"Kafka: {outcome[0].name()}")


def channels(delivery: Delivery, bootstrap: str) -> dict[str, Channel]:
    """The channels that are configured, by name."""
    found: dict[str, Channel] = {"log": LogChannel()} if delivery.log else {}
    if delivery.kafka:
        found["kafka"] = KafkaChannel(bootstrap, delivery.kafka)
    return found | {f"webhook:{name}": WebhookChannel(settings) for name, settings in delivery.webhooks.items()}


class _Parcel(NamedTuple):
    """A change of an alert on its way to a channel."""

    alert: Alert
    channel: str


class Outbox:
    """Changes that some channel has not taken yet.

    Args:
        server: ClickHouse.
        channels: by name.
        clock: monotonic seconds.
    """

    def __init__(self, server: Server, channels: Mapping[str, Channel], clock: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self._channels = channels
        self._clock = clock
        self._parcels: dict[tuple[str, str], list[_Parcel]] = {}
        self._tried: dict[tuple[str, str], tuple[int, float]] = {}

    def add(self, alert: Alert, channel: str) -> None:
        """A change to deliver; of one alert the older ones first."""
        self._parcels.setdefault((channel, alert.id), []).append(_Parcel(alert, channel))

    def __len__(self) -> int:
        return sum(map(len, self._parcels.values()))

    def turn(self) -> None:
        """Try what is due. Of one alert and channel only the oldest change: they arrive in order."""
        for key in list(self._parcels):
            while self._parcels.get(key) and self._due(key):
                if not self._try(key):
                    break
            if not self._parcels.get(key):
                self._parcels.pop(key, None)

    def _due(self, key: tuple[str, str]) -> bool:
        return key not in self._tried or self._clock() >= self._tried[key][1]

    def _try(self, key: tuple[str, str]) -> bool:
        """One attempt; whether the parcel is done with."""
        parcel = self._parcels[key][0]
        channel = self._channels.get(parcel.channel)
        attempts = self._tried.get(key, (0, 0.0))[0] + 1
        error = "no longer configured"
        if channel is not None:
            try:
                channel.send(parcel.alert)
                error = ""
            except RefusedError as refused:
                error = str(refused)[:MAX_ERROR]
        if error and channel is not None and attempts < channel.attempts:
            self._tried[key] = attempts, self._clock() + channel.pause_s * 2 ** (attempts - 1)
            _log.info("alert %s to %s: %s; attempt %d of %d", parcel.alert.id, parcel.channel, error, attempts, channel.attempts)
            return False
        if error:
            _log.warning("alert %s to %s: %s; kept as undelivered", parcel.alert.id, parcel.channel, error)
        self._note(parcel, "undelivered" if error else "delivered", attempts, error)
        self._parcels[key].pop(0)
        self._tried.pop(key, None)
        return True

    def _note(self, parcel: _Parcel, status: str, attempts: int, error: str) -> None:
        alert = parcel.alert
        values = f"{quoted(alert.id)}, {alert.number}, {quoted(parcel.channel)}, {quoted(status)}, {attempts}, {quoted(error)}"
        self._server.command(f"INSERT INTO alert_deliveries (id, number, channel, status, attempts, error) VALUES ({values})")
