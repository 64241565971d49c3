"""A replay that runs beside whoever watches it."""

import threading

from demo import replay
from operations import timed_writer
from operations.timed_stream import Tally


class Player:
    """A replay in a thread of its own, begun and ended as a context manager; hands the clock over to the broker at the end.

    Args:
        options: of the replay.
        prepared: its plan.

    Attributes:
        progress: where it is.
        events: how many there will be, 0 when that is not known beforehand.
        tally: what was written, once it is over; None when it was refused.
        written: raw records written, ticks included, once it is over.
        refusal: why it was refused, empty when it was not.
    """

    def __init__(self, options: replay.Options, prepared: replay.Plan) -> None:
        self.progress = timed_writer.Progress(0, 0)
        self.events = prepared.events
        self.tally: Tally | None = None
        self.written = 0
        self.refusal = ""
        self._error: BaseException | None = None
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._play, args=(options._replace(then_live=True), prepared), daemon=True)

    def __enter__(self) -> "Player":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._halt.set()
        self._thread.join(timed_writer.FLUSH_S)

    def is_over(self) -> bool:
        """Whether it has ended; raises what it ended with."""
        if self._thread.is_alive():
            return False
        if self._error is not None:
            raise self._error
        return True

    def _play(self, options: replay.Options, prepared: replay.Plan) -> None:
        try:
            self.tally = replay.run(options, prepared, self._report)
            self.written = sum(counts.total() for counts in self.tally.counts.values())
        except timed_writer.NewerRecordsError as error:
            self.refusal = str(error)
        except BaseException as error:  # handed to the thread that waits
            self._error = error

    def _report(self, progress: timed_writer.Progress) -> None:
        self.progress = progress
        if self._halt.is_set():
            raise timed_writer.ReplayError("interrupted")
