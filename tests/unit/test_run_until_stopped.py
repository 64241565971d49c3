"""How a job's process ends: the exit code, and what it says about it."""

import logging
import os
import signal
from collections.abc import Iterator
from threading import Event

import pytest

from operations.process import run_until_stopped

LOG = logging.getLogger("jobs.tested")


class AwayError(Exception):
    pass


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_work_and_that_is_no_failure(number: signal.Signals) -> None:
    def work(stop: Event) -> None:
        os.kill(os.getpid(), number)
        assert stop.wait(10)

    assert run_until_stopped(LOG, work, (AwayError,)) == 0


def test_an_error_that_was_to_be_expected_is_one_line_and_exit_code_1(caplog: pytest.LogCaptureFixture) -> None:
    def work(_stop: Event) -> None:
        raise AwayError("Kafka did not answer for 3 s; is it running?")

    assert run_until_stopped(LOG, work, (AwayError,)) == 1
    assert [(entry.levelname, entry.message, entry.exc_info) for entry in caplog.records] == [
        ("ERROR", "Kafka did not answer for 3 s; is it running?", None)
    ]


def test_an_error_while_stopping_is_told_and_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def work(stop: Event) -> None:
        stop.set()
        raise AwayError("told to stop while Redis was away")

    assert run_until_stopped(LOG, work, (AwayError,)) == 0
    assert [entry.message for entry in caplog.records] == ["ended while stopping: told to stop while Redis was away"]


def test_an_error_that_nobody_expected_keeps_its_traceback() -> None:
    def work(_stop: Event) -> None:
        raise KeyError("orders")

    with pytest.raises(KeyError):
        run_until_stopped(LOG, work, (AwayError,))
