"""Bounds on connections before anything of a request is understood: how many, how long, how large its headers (docs/collector.md).

uvicorn bounds none of these: a connection that sends its headers a byte a minute, or nothing at all, would stay for ever, and headers grow
without end. The bounds are held by the protocol itself, the first code that sees a connection; the key is checked long after.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.collector.limits import CONNECTIONS, HEADERS, INVALID, REST, SLOW
from config.platform import CollectorLimits

GRACE_S: Final = 5.0
"""Beyond the time a body has: its answer (408) goes out first."""
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_LOG: Final = logging.getLogger("collector.http")
_LOG.setLevel(logging.ERROR)  # a line for each broken request would let strangers fill the disk; they are counted


class Guard:
    """What all connections of a process share.

    Args:
        limits: the bounds.
        refused: is told why a connection was ended.
        proxies: addresses of proxies separated by commas, or `*` for all: their connections are many people's, and only the bound of all
            connections holds for them.
    """

    def __init__(self, limits: CollectorLimits, refused: Callable[[str], None], proxies: str = "") -> None:
        self.limits, self.refused = limits, refused
        self._trusted = frozenset(proxy.strip() for proxy in proxies.split(","))
        self._by_address: Counter[str] = Counter()
        self._all = 0

    def enter(self, address: str) -> bool:
        """Whether one more connection of an address is let in; `leave` has to follow, whatever the answer."""
        self._all += 1
        self._by_address[address] += 1
        is_crowd = self._trusted.isdisjoint((address, "*")) and self._by_address[address] > self.limits.connections_per_address
        if not is_crowd and self._all <= self.limits.connections:
            return True
        self.refused(CONNECTIONS)
        return False

    def leave(self, address: str) -> None:
        """A connection of an address has ended."""
        self._all -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, within the bounds of `guard`, which the process sets before it serves."""

    guard: ClassVar[Guard]

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.logger = _LOG
        self._address = ""
        self._let_in = False
        self._head_bytes = 0
        self._in_head, self._in_message = True, False
        self._rest_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let a connection in, or end it at once."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._let_in = self.guard.enter(self._address)
        if not self._let_in:
            transport.abort()
            return
        self._within(self.guard.limits.header_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it out."""
        self._stop_clock()
        self.guard.leave(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes before the headers are complete."""
        if not self._let_in:
            return
        if self._in_head:
            if self._deadline is None:  # the next request of a connection that was kept
                self._within(self.guard.limits.header_s)
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > self.guard.limits.header_bytes:
            self._refuse_headers()

    def on_headers_complete(self) -> None:
        """Headers that came in one piece have the same bound."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.guard.limits.header_bytes:
            self._refuse_headers()
            raise ValueError("headers too large")  # ends the parser, which cannot be ended otherwise
        self._in_head, self._in_message, self._head_bytes, self._rest_bytes = False, True, 0, 0
        self._within(self.guard.limits.body_s + GRACE_S)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A body that goes on long after it was answered is cut; a little more is read, or the sender would not see its answer."""
        if self.cycle.response_complete:
            self._rest_bytes += len(body)
            if self._rest_bytes > self.guard.limits.rest_bytes:
                self._end(REST)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request is there: from here on the time is ours."""
        self._in_head, self._in_message = True, False
        self._stop_clock()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Unless it was answered already."""
        if not self.transport.is_closing():
            self.guard.refused(INVALID)
            super().send_400_response(msg)

    def _refuse_headers(self) -> None:
        if self.transport.is_closing():
            return
        self.guard.refused(HEADERS)
        self.transport.write(_TOO_LARGE)
        self.transport.close()

    def _within(self, seconds: float) -> None:
        self._stop_clock()
        self._deadline = self.loop.call_later(seconds, self._end, SLOW)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self, reason: str) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.guard.refused(reason)
        self.transport.abort()
