"""A profile as a reader sees it."""

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from profile_store import layout


class Profile(msgspec.Struct, frozen=True):
    """A profile's fields, with their version and the moment they are true for.

    Attributes:
        tenant: owner.
        profile_id: id; of the surviving profile when the one asked for was merged away.
        version: `(incarnation, number)`.
        at: moment (ms, log time) the values are true for.
        fields: name -> value: numbers, text, null, lists and objects (docs/features.md).
    """

    tenant: str
    profile_id: str
    version: tuple[int, int]
    at: int
    fields: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def number(self, name: str) -> float | None:
        """A numeric field; None when it is null, missing or no number."""
        value = self.fields.get(name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def text(self, name: str) -> str | None:
        """A text field; None when it is null, missing or no text."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else None

    @property
    def tags(self) -> list[str]:
        """Names of the tags that hold."""
        return [name.removeprefix("tag:") for name, value in self.fields.items() if name.startswith("tag:") and value == 1]

    def age_s(self, now_s: float | None = None) -> float:
        """Seconds since the moment the values are true for.

        Args:
            now_s: Unix time; the wall clock when omitted. In a replay of old data, compare with the log's clock instead.
        """
        return (time.time() if now_s is None else now_s) - self.at / 1000


def from_hash(tenant: str, profile_id: str, stored: Mapping[bytes, bytes]) -> Profile | None:
    """Read a profile's hash; None when there is none."""
    version = stored.get(layout.VERSION.encode())
    if version is None:
        return None
    at = int(stored.get(layout.AT.encode(), b"0"))
    return Profile(tenant, profile_id, layout.parse_version(version), at, layout.decode_fields(stored))


def merged_into(stored: Mapping[bytes, bytes]) -> str | None:
    """The profile that took this one over, if any."""
    found = stored.get(layout.MERGED_INTO.encode())
    return str(layout.decode_value(found)) if found else None
