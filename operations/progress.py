"""Progress of something that is counted: a line that changes on a terminal, a line every few seconds elsewhere."""

import sys
import time
from types import TracebackType
from typing import IO, Final, Self

EVERY_S: Final = 3.0


class Progress:
    """Shows how far something is, on standard error.

    Args:
        what: what goes on, in a few words.
        every_s: pause between lines where there is no terminal, seconds.
        stream: where it is shown; by default standard error.
    """

    def __init__(self, what: str, every_s: float = EVERY_S, stream: IO[str] | None = None) -> None:
        self._what, self._every_s = what, every_s
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._said_at: float | None = None
        self._last = ""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        """Take the changing line away."""
        if self._is_terminal and self._last:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()

    def at(self, done: int, of: int) -> None:
        """So much is done."""
        if of:
            self.say(f"{done:,} of {of:,} ({done / of:.0%})")

    def say(self, state: str) -> None:
        """Show a state, if it is time to."""
        line = f"{self._what}: {state}" if self._what else state
        now = time.monotonic()
        if line == self._last or (not self._is_terminal and self._said_at is not None and now - self._said_at < self._every_s):
            return
        self._said_at, self._last = now, line
        self._stream.write(f"\r\x1b[2K{line}" if self._is_terminal else f"{line}\n")
        self._stream.flush()
