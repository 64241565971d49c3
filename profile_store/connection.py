"""How this package talks to Redis: the errors that pass by themselves, and bounded waiting for them."""

import logging
import time
from collections.abc import Callable
from typing import Final, TypeVar
from urllib.parse import urlsplit

from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,
    TryAgainError,
)

from profile_store.errors import StoreRefusedError, StoreUnavailableError

CONNECT_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 30.0
_PASSING: Final = (BusyLoadingError, ConnectionError, NoScriptError, OutOfMemoryError, ReadOnlyError, TimeoutError, TryAgainError)
_PASSING_CODES: Final = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "BUSY ", "NOREPLICAS", "MISCONF")
_log = logging.getLogger(__name__)
T = TypeVar("T")


def address(url: str) -> str:
    """Host, port and database of a Redis URL, without user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname or parts.path}:{parts.port or 6379}{parts.path if parts.hostname else ''}"


def passes(error: Exception) -> bool:
    """Is this an error that waiting can cure (server away, loading its data, switching its role, full)?"""
    return isinstance(error, _PASSING) or (isinstance(error, RedisError) and str(error).startswith(_PASSING_CODES))


class Patience:
    """Bounded retry with back-off: 50 ms at first, doubling up to 2 s, until `retry_for_s` have passed since the first failure."""

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
            StoreRefusedError: it failed with an error that waiting does not cure.
        """
        since: float | None = None
        pause_s = 0.05
        while True:
            try:
                return attempt()
            except RedisError as error:
                if not passes(error):
                    raise StoreRefusedError(f"Redis at {self._server} refused: {error}") from error
                now = self._clock()
                since = now if since is None else since
                if now - since + pause_s > self._retry_for_s:
                    waited = f"for {now - since:.0f} s ({type(error).__name__}: {error})"
                    raise StoreUnavailableError(f"Redis at {self._server} did not answer {waited}; is it running?") from error
                if pause_s == 2.0 or since == now:
                    _log.warning("Redis at %s: %s: %s; trying again", self._server, type(error).__name__, error)
                self._sleep(pause_s)
                pause_s = min(2.0, pause_s * 2)
