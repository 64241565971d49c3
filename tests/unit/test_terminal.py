"""No stranger's text steers the terminal of somebody who looks."""

import io
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text

from cli.tail_lines import event_line
from cli.terminal import safe_console

EVIL = "\x1b]0;owned\x07\x1b[2J\u202etxt"
HARMLESS = r"\x1b]0;owned\x1b[2J\u202etxt"  # the bell is left out by rich itself


def printed(what: Any, **options: Any) -> str:
    console = safe_console(file=io.StringIO(), width=200, **options)
    console.print(what)
    return console.file.getvalue()  # type: ignore[attr-defined]


def table() -> Table:
    made = Table("name")
    made.add_row(EVIL)
    return made


@pytest.mark.parametrize("what", [EVIL.replace("[", r"\["), Text(EVIL), table()])
def test_what_would_steer_the_terminal_is_written_out(what: Any) -> None:
    found = printed(what)
    assert "\x1b" not in found
    assert "\u202e" not in found


def test_styles_of_our_own_and_lines_stay() -> None:
    assert printed("[bold]a[/]\nb", force_terminal=True, color_system="standard") == "\x1b[1ma\x1b[0m\nb\n"


def test_a_line_of_the_tail_shows_what_an_event_says_and_does_nothing_else() -> None:
    event = {
        "log_time": 1_700_000_000_000,
        "name": EVIL,
        "node": f"demo|user_id|{EVIL}",
        "properties": '{"name": "\\u001b[2J"}',
        "channel": "web",
        "late": False,
        "source": "cdp.raw.clickstream",
        "partition": 0,
        "offset": 7,
    }
    found = printed(event_line(event), soft_wrap=True)
    assert "\x1b" not in found
    assert found.count(HARMLESS) == 2
    assert r"name=\x1b[2J" in found
