"""The log of replays, `cdp.replays`: which rejected or kept records were sent, as what, and where to. Compacted, keyed by position."""

from collections.abc import Iterable
from typing import Final

import msgspec
from confluent_kafka import Message

from operations.topics import each
from pipelines.rejected.verdicts import Sent

TOPIC: Final = "cdp.replays"
_decode = msgspec.json.Decoder(Sent).decode


class ReplayLogError(ValueError):
    """An entry of the log cannot be read."""


class ReplayLog:
    """The newest entry of each position.

    Args:
        entries: pairs of position and entry, oldest first.
    """

    def __init__(self, entries: Iterable[tuple[str, Sent]] = ()) -> None:
        self._sent: dict[str, Sent] = {}
        self._by_id: dict[tuple[str, str], set[str]] = {}
        for position, entry in entries:
            self.add(position, entry)

    def add(self, position: str, entry: Sent) -> None:
        """Note what was sent, or is about to be."""
        before = self._sent.get(position)
        if before is not None:
            self._by_id[before.tenant, before.message_id].discard(position)
        self._sent[position] = entry
        self._by_id.setdefault((entry.tenant, entry.message_id), set()).add(position)

    def of(self, position: str) -> Sent | None:
        """The newest entry of a position."""
        return self._sent.get(position)

    def others(self, tenant: str, message_id: str, position: str) -> list[Sent]:
        """Entries of other positions that were sent under an id."""
        return [self._sent[other] for other in sorted(self._by_id.get((tenant, message_id), ())) if other != position]

    def __len__(self) -> int:
        return len(self._sent)


def read(bootstrap: str, *, wait: bool = True) -> ReplayLog:
    """Read the log to its end.

    Args:
        bootstrap: Kafka.
        wait: read all that is written, and wait for open transactions on the way, which may be somebody else's: whoever is about to send
            must not miss what lies behind them. One that its writer has left ends after seconds (`sender.TIMEOUT_S`). Else read up to the
            first of them, and pass over entries that cannot be read: good enough for showing.

    Raises:
        ReplayLogError: an entry cannot be read (with `wait` only).
        TopicsAwayError: Kafka does not answer, or the topic is not there.
    """
    found = ReplayLog()

    def take(message: Message) -> None:
        value = message.value()
        if value is None:
            return
        place = f"partition {message.partition()}, offset {message.offset()}"
        try:
            found.add((message.key() or b"").decode(), _decode(value))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if not wait:
                return
            raise ReplayLogError(
                f"{TOPIC}: the entry at {place} cannot be read: {error}; a tombstone with its key takes it away"
            ) from error

    each(bootstrap, TOPIC, take, wait=wait)
    return found
