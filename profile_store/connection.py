"""How this package talks to Redis: the errors that pass by themselves, and bounded waiting for them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,
    TryAgainError,
)

from config import loader
from profile_store.errors import StoreDeniedError, StoreRefusedError, StoreUnavailableError

CONNECT_TIMEOUT_S: Final = 5.0
FULL: Final = 0.8
ANSWER_TIMEOUT_S: Final = 30.0
_PASSING: Final = (BusyLoadingError, ConnectionError, NoScriptError, OutOfMemoryError, ReadOnlyError, TimeoutError, TryAgainError)
_PASSING_CODES: Final = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "BUSY ", "NOREPLICAS", "MISCONF")
_RIGHTS: Final = (
    "reading profiles takes `ACL SETUSER <user> %R~cdp:{*}:* %R~cdp:id:* +@read`, reading personal traits `%R~cdp:pii:*` besides "
    "(docs/contracts.md, Redis)"
)
_log = logging.getLogger(__name__)
T = TypeVar("T")


def address(url: str) -> str:
    """Host, port and database of a Redis URL, without user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname or parts.path}:{parts.port or 6379}{parts.path if parts.hostname else ''}"


def default_url() -> str:
    """The platform's own profile store."""
    return loader.platform().redis.url


def default_tenant() -> str:
    """The platform's default tenant."""
    return loader.platform().default_tenant


def passes(error: Exception) -> bool:
    """Is this an error that waiting can cure (server away, loading its data, switching its role, full)?"""
    return isinstance(error, _PASSING) or (isinstance(error, RedisError) and str(error).startswith(_PASSING_CODES))


def checked(replies: list[Any]) -> list[Any]:
    """Replies of a pipeline, if none is an error; redis-py's own check would quote the command, values and all."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def fullness(memory: Mapping[str, Any]) -> str:
    """A warning when less than a fifth of the memory that a server may use is left; empty as long as there is more, or no limit.

    Args:
        memory: section `memory` of its answer to `INFO`.
    """
    used, limit = int(memory["used_memory"]), int(memory["maxmemory"])
    if not limit or used < FULL * limit:
        return ""
    return f"Redis is {used / limit:.0%} full ({limit >> 20} MB); full, it refuses writes: raise redis.maxmemory_mb in config/stack.yaml"


class Patience:
    """Bounded retry with back-off: 50 ms at first, doubling up to 2 s, until `retry_for_s` have passed since the first failure.

    Args:
        url: the server's, for messages.
        retry_for_s: bound.
        clock: monotonic seconds.
        sleep: waits.
    """

    def __init__(
        self, url: str, retry_for_s: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._server = address(url)
        self._retry_for_s = retry_for_s
        self._clock = clock
        self._sleep = sleep

    def run(self, attempt: Callable[[], T]) -> T:
        """Call `attempt` until it succeeds.

        Raises:
            StoreUnavailableError: it still failed after `retry_for_s`.
            StoreRefusedError: it failed with an error that waiting does not cure; `StoreDeniedError` if the user lacks a right.
        """
        failures = Failures(self._server, self._retry_for_s, self._clock)
        while True:
            try:
                return attempt()
            except RedisError as error:
                self._sleep(failures.pause_s(error))

    async def run_async(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The same for a coroutine."""
        failures = Failures(self._server, self._retry_for_s, self._clock)
        while True:
            try:
                return await attempt()
            except RedisError as error:
                await asyncio.sleep(failures.pause_s(error))


class Failures:
    """The failures of one operation so far."""

    def __init__(self, server: str, retry_for_s: float, clock: Callable[[], float]) -> None:
        self._server = server
        self._retry_for_s = retry_for_s
        self._clock = clock
        self._since_s: float | None = None
        self._pause_s = 0.025

    def pause_s(self, error: RedisError) -> float:
        """Note a failure and say how long to wait before the next attempt.

        Raises:
            StoreUnavailableError: it has failed for too long.
            StoreRefusedError: it would fail again; `StoreDeniedError` if the user lacks a right.
        """
        if isinstance(error, NoPermissionError):
            raise StoreDeniedError(f"Redis at {self._server} does not let this user do that ({error}); {_RIGHTS}") from error
        if not passes(error):
            raise StoreRefusedError(f"Redis at {self._server} refused: {error}") from error
        now_s = self._clock()
        first = self._since_s is None
        since_s = self._since_s = now_s if self._since_s is None else self._since_s
        self._pause_s = min(2.0, self._pause_s * 2)
        if now_s - since_s + self._pause_s > self._retry_for_s:
            waited = f"for {now_s - since_s:.0f} s ({type(error).__name__}: {error})"
            raise StoreUnavailableError(f"Redis at {self._server} did not answer {waited}; is it running?") from error
        if first or self._pause_s == 2.0:
            _log.warning("Redis at %s: %s: %s; trying again", self._server, type(error).__name__, error)
        return self._pause_s
