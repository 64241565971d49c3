"""How a process of the platform is told to stop, logs, and says how it ended."""

import logging
import signal
import sys
from collections.abc import Callable
from threading import Event
from types import FrameType

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def told_to_stop() -> Event:
    """An event that SIGTERM and SIGINT set from now on; to be called by the main thread."""
    stop = Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, end)
    return stop


def run_until_stopped(log: logging.Logger, work: Callable[[Event], None], expected: tuple[type[Exception], ...]) -> int:
    """Do a job's work until a signal stops it; logs go to standard error.

    Args:
        log: tells the error that ended the work.
        work: takes the event that tells it to stop.
        expected: errors whose message says all there is to know. Any other ends the process with its traceback.

    Returns:
        The exit code: 0 asked to stop, 1 an error that a restart may cure.
    """
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    stop = told_to_stop()
    try:
        work(stop)
    except expected as error:
        if not stop.is_set():
            log.error("%s", error)
            return 1
        log.info("ended while stopping: %s", error)  # waiting for a server ends in an error too when we are told to stop
    return 0
