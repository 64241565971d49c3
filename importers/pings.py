"""Pings of webhooks: the first delivery of a sender that wants to know whether somebody is there (`pings` of a source)."""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from config.sources import Ping
from schemas import json_text

PING_BYTES: Final = 4096
"""A larger delivery is no ping."""


def is_ping(pings: Sequence[Ping], headers: Mapping[str, str], body: bytes, *, signed: bool) -> bool:
    """Whether a delivery is one of a source's pings.

    Args:
        pings: of the source.
        headers: by name, in lower case.
        body: as received.
        signed: whether its signature was found right.
    """
    if len(body) > PING_BYTES:
        return False
    return any((signed or not ping.signed) and _fits(ping, headers, body) for ping in pings)


def _fits(ping: Ping, headers: Mapping[str, str], body: bytes) -> bool:
    if not all(re.fullmatch(pattern, headers.get(name.lower(), "")) for name, pattern in ping.headers.items()):
        return False
    if ping.form:
        found = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        return found.keys() == ping.form.keys() and all(re.fullmatch(pattern, found[name]) for name, pattern in ping.form.items())
    if not ping.body:
        return True
    try:
        members = json_text.read_object(body)
    except json_text.JsonTextError:
        return False
    return all(name in members and re.fullmatch(pattern, _shown(members[name])) for name, pattern in ping.body.items())


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json_text.write(value).decode()
