"""What becomes of one foreign record: events, a counted skip, or a typed failure. Exactly one of the three."""

from typing import Any, Final

import msgspec

UNREADABLE: Final = "unreadable"
"""The record could not be read at all: broken JSON, a row of the wrong width, bytes of another encoding."""
VALUE: Final = "value"
"""A value is there and not what the mapping expects of it."""
MISSING: Final = "missing"
"""A value that the mapping calls required is not there."""
NO_EVENT: Final = "no_event"
"""No skip rule and no event's `when` holds: the mapping says nothing about such records."""
GROUP: Final = "group"
"""The rows of one group do not hang together: its key came back later, or a row beside it cannot be read."""
TOO_LARGE: Final = "too_large"
"""The event is larger than Kafka takes."""
INTERNAL: Final = "internal"
"""A fault of ours; the record is kept and the fault named."""


class Event(msgspec.Struct, frozen=True):
    """One event that a record became.

    Attributes:
        envelope: in the Segment form of docs/contracts.md, without `tenant`, and without `messageId` unless it was copied.
        key: the business key that the mapping names for it, unique within its source; empty: the caller's position is its identity.
        number: which of its record's events it is, from 0.
    """

    envelope: dict[str, Any]
    key: str
    number: int


class Mapped(msgspec.Struct, frozen=True):
    """The record became these events, at least one."""

    events: list[Event]


class Skipped(msgspec.Struct, frozen=True):
    """A skip rule of the mapping holds; `reason` is a word of the mapping, never a value of the record."""

    reason: str


class Failed(msgspec.Struct, frozen=True):
    """The record cannot be mapped.

    Attributes:
        code: one of the codes above.
        field: which field of which event, or which rule of the mapping: `events[0].properties.products[3].quantity`.
        rule: what was expected.
        value: what was there; may be personal.
    """

    code: str
    field: str
    rule: str
    value: Any = None


Outcome = Mapped | Skipped | Failed
