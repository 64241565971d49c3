"""Records that no event could be made of: kept with their bytes in the topic `cdp.unmapped` until somebody mends the mapping."""

import base64
from typing import Any, Final

import orjson

from importers.mapping import Failed

TOPIC: Final = "cdp.unmapped"


def unmapped(source: str, tenant: str, position: dict[str, Any], failed: Failed, key: bytes | None, value: bytes | None) -> bytes:
    """The record of `cdp.unmapped`.

    Args:
        source: name of the source.
        tenant: whose record it is.
        position: where it stood: `{topic, partition, offset}`, or `{delivery}` of a webhook.
        failed: why; its value is left out, the bytes hold it.
        key: the record's key.
        value: the record as it came.

    Returns:
        JSON `{source, tenant, position, error: {code, field, rule}, key, original}`, the last two in base64, null where there was nothing.
    """
    error = {"code": failed.code, "field": failed.field, "rule": failed.rule}
    body = {"source": source, "tenant": tenant, "position": position, "error": error, "key": _base64(key), "original": _base64(value)}
    return orjson.dumps(body)


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()
