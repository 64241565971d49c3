"""Who may write: write keys, where a request may show one, and which web origins may send."""

import base64
import binascii
from collections.abc import Iterable

from config.sources import Source

ANY = "*"
# What the browser SDK sends beyond the headers that need no permission.
_HEADERS = "authorization, content-type, content-encoding, x-retry-count"
_PREFLIGHT = {"Access-Control-Allow-Methods": "GET, POST", "Access-Control-Allow-Headers": _HEADERS, "Access-Control-Max-Age": "7200"}


class Door:
    """Finds the source that a write key stands for.

    Args:
        sources: all sources by name; those that are not `http` have no key.
    """

    def __init__(self, sources: dict[str, Source]) -> None:
        self._by_key = {source.write_key: name for name, source in sources.items() if source.kind == "http"}
        self._origins = {origin for source in sources.values() for origin in source.origins}

    def source(self, write_key: str) -> str | None:
        """The source's name, or None when nobody has this key."""
        return self._by_key.get(write_key)

    def preflight(self, origin: str) -> dict[str, str]:
        """Headers of the answer to OPTIONS, which shows no write key: allowed if any source allows the origin."""
        allowed = allow(origin, self._origins)
        return allowed | _PREFLIGHT if allowed else {}


def basic_user(authorization: str) -> str:
    """The user name of HTTP Basic authentication; empty when there is none."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def allow(origin: str, origins: Iterable[str]) -> dict[str, str]:
    """CORS headers for a page of `origin`; none when it may not send, or when there is no page."""
    if not origin:
        return {}
    allowed = set(origins)
    if ANY not in allowed and origin not in allowed:
        return {}
    shown = ANY if ANY in allowed else origin
    headers = {"Access-Control-Allow-Origin": shown, "Access-Control-Expose-Headers": "retry-after"}
    return headers if shown == ANY else headers | {"Vary": "Origin"}
