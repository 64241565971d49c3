"""What the supervisor's keepers have in common: a thread each, what is wanted, and a bound on failures."""

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from stack.board import ServiceState, State
from stack.settings import Settings

MAX_BACKOFF_S = 10.0
Log = Callable[[str], None]


class Bound:
    """Counts failures in a sliding window; says how long to wait before the next try, or that there is none."""

    def __init__(self, restarts: int, within_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._restarts, self._within_s, self._now = restarts, within_s, now
        self._failures: deque[float] = deque()

    def record(self) -> None:
        """One more failure."""
        self._failures.append(self._now())

    def forgive(self) -> None:
        """Forget all failures."""
        self._failures.clear()

    @property
    def recent(self) -> int:
        """Failures inside the window."""
        while self._failures and self._failures[0] < self._now() - self._within_s:
            self._failures.popleft()
        return len(self._failures)

    @property
    def is_spent(self) -> bool:
        """Whether the service has failed too often to try again."""
        return self.recent > self._restarts

    @property
    def backoff_s(self) -> float:
        """Wait before the next start: none after the first failure, then 0.5 s, 1 s, 2 s, ... up to 10 s."""
        return 0.0 if self.recent <= 1 else min(MAX_BACKOFF_S, 0.5 * 2.0 ** (self.recent - 2))


class Keeper(ABC):
    """Keeps one thing as it is wanted. All that touches it happens on the keeper's one thread.

    Attributes:
        name: of the thing.
        state: what `cdp status` shows; read by the supervisor's main thread.
    """

    def __init__(self, name: str, settings: Settings, log: Log) -> None:
        self.name = name
        self.state = ServiceState(name)
        self._settings, self._log = settings, log
        self._generation = self._wanted_generation = 0
        supervision = settings.stack.supervision
        self._bound = Bound(supervision.restarts, supervision.within_s)
        self._not_before = 0.0
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def want(self, generation: int) -> None:
        """Say that it shall run (a generation above 0; a new one starts it anew) or not (0)."""
        self._wanted_generation = generation

    @abstractmethod
    def adopt(self) -> None:
        """Take over what an earlier supervisor left running."""

    def start(self) -> None:
        """Begin to keep it."""
        self._thread.start()

    def halt(self) -> None:
        """End the thread and leave the thing as it is."""
        self._halt.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout_s)

    @abstractmethod
    def _turn(self) -> None:
        """Look once, and act."""

    @abstractmethod
    def _trouble(self, error: Exception) -> None:
        """A turn ended in an error: show it."""

    @property
    @abstractmethod
    def _pause_s(self) -> float:
        """Time until the next turn."""

    def _loop(self) -> None:
        while not self._halt.is_set():
            try:
                self._turn()
            except Exception as error:  # a keeper that died would leave its charge unwatched: show it, and go on
                self._trouble(error)
            self._halt.wait(self._pause_s)

    def _failed(self, detail: str) -> None:
        self._bound.record()
        self.state.restarts += 1
        self._not_before = time.monotonic() + self._bound.backoff_s
        self._log(f"{self.name}: {detail}; failure {self._bound.recent} of {self._settings.stack.supervision.restarts} allowed")
        self._show("waiting", detail)

    def _show(self, state: State, detail: str = "", keep: bool = False) -> None:
        """Publish a state; with `keep` a detail that is shown already stays."""
        if state != self.state.state:
            self.state.since = time.time()
        elif keep:
            return
        self.state.state, self.state.detail = state, detail


def counted(failures: int) -> str:
    """`1 failure`, `2 failures`."""
    return f"{failures} failure{'' if failures == 1 else 's'}"
