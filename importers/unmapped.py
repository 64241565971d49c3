"""Records that no event could be made of: kept with their bytes in the topic `cdp.unmapped` until somebody mends the mapping."""

from typing import Any, Final

import msgspec

from importers.mapping import Failed
from importers.mapping.outcome import UNREADABLE

TOPIC: Final = "cdp.unmapped"


class _Error(msgspec.Struct, frozen=True):
    code: str
    field: str
    rule: str


class _Stored(msgspec.Struct, frozen=True):
    """The record as it stands in the topic; msgspec writes bytes in base64."""

    source: str
    tenant: str
    position: dict[str, Any]
    error: _Error
    key: bytes | None
    original: bytes | None


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A record of `cdp.unmapped`, as read.

    Attributes:
        partition: where it stands in the topic.
        offset: where it stands in the topic.
        at: when it was kept, ms.
        source: name of the source.
        tenant: whose record it is.
        position: where it stood in the source: `{topic, partition, offset}`, or `{body_sha256, headers}` of a webhook. A header that the
            mapping read and that was not there is null.
        code: why no event could be made of it.
        field: of the event, or rule of the mapping.
        rule: what was expected.
        key: the record's key.
        original: the record as it came.
    """

    partition: int
    offset: int
    at: int
    source: str = ""
    tenant: str = ""
    position: dict[str, Any] = {}
    code: str
    field: str = ""
    rule: str
    key: bytes | None = None
    original: bytes | None = None

    @property
    def place(self) -> str:
        """`cdp.unmapped:<partition>:<offset>`."""
        return f"{TOPIC}:{self.partition}:{self.offset}"


_decode = msgspec.json.Decoder(_Stored).decode


def unmapped(source: str, tenant: str, position: dict[str, Any], failed: Failed, key: bytes | None, value: bytes | None) -> bytes:
    """The record of `cdp.unmapped`.

    Args:
        source: name of the source.
        tenant: whose record it is.
        position: where it stood; see `Kept`.
        failed: why; its value is left out, the bytes hold it.
        key: the record's key.
        value: the record as it came.

    Returns:
        JSON `{source, tenant, position, error: {code, field, rule}, key, original}`, the last two in base64, null where there was nothing.
    """
    error = _Error(failed.code, failed.field, failed.rule)
    return msgspec.json.encode(_Stored(source, tenant, position, error, key, value))


def read(partition: int, offset: int, at: int, value: bytes) -> Kept:
    """A record of the topic. What is none of ours is told as `unreadable`: it must not hide the others.

    Args:
        partition: where it stands.
        offset: where it stands.
        at: its timestamp, ms.
        value: as `unmapped` wrote it.
    """
    try:
        stored = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        rule = f"a record of {TOPIC}: {error}"
        return Kept(partition=partition, offset=offset, at=at, code=UNREADABLE, rule=rule, original=value)
    told = stored.error
    return Kept(
        partition=partition,
        offset=offset,
        at=at,
        source=stored.source,
        tenant=stored.tenant,
        position=stored.position,
        code=told.code,
        field=told.field,
        rule=told.rule,
        key=stored.key,
        original=stored.original,
    )
