"""Progress is seen without a terminal too: a line at once, and another every few seconds."""

import io

import pytest

from operations import progress
from operations.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_a_line_is_written_at_once_and_then_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    with Progress("replay", every_s=3.0, stream=out) as shown:
        for second in range(8):
            now[0] = 100.0 + second
            shown.at(1_000 * second, 7_000)
    assert out.getvalue().splitlines() == ["replay: 0 of 7,000 (0%)", "replay: 3,000 of 7,000 (43%)", "replay: 6,000 of 7,000 (86%)"]


def test_nothing_to_do_says_nothing_and_the_same_is_not_said_twice() -> None:
    out = io.StringIO()
    with Progress("x", every_s=0.0, stream=out) as shown:
        shown.at(0, 0)
        shown.say("the same")
        shown.say("the same")
    assert out.getvalue() == "x: the same\n"


def test_on_a_terminal_one_line_changes_and_is_gone_at_the_end() -> None:
    out = Terminal()
    with Progress("", stream=out) as shown:
        shown.say("one")
        shown.say("two")
    assert out.getvalue() == "\r\x1b[2Kone\r\x1b[2Ktwo\r\x1b[2K"
