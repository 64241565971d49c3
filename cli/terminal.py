"""What is printed on a terminal, where much of it is strangers' text: names, products, reasons of rejections."""

import os
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from cli.fitting import fitted


def shown(text: str) -> str:
    """A text of a stranger for a terminal: whatever would steer it, or turn the writing around, is written as an escape."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def safe_console(**options: Any) -> Console:
    """A console on which no text can steer the terminal, styles of our own still do, and every table fits.

    Args:
        options: of rich's `Console`.
    """
    made = Console(**options)
    made.push_render_hook(_Harmless())
    return made


def hanging(text: Text, indent: int = 2) -> Padding:
    """Prose that is broken at words and stands a little to the right. What people copy (commands) is printed with `soft_wrap` instead."""
    return Padding(text, (0, 0, 0, indent), expand=False)


def plain_console() -> Console:
    """A console that keeps wide tables whole where the output is no terminal and nobody has said how wide it is (`COLUMNS`)."""
    made = safe_console()
    return made if made.is_terminal or os.environ.get("COLUMNS", "").isdigit() else safe_console(width=160)


class _Harmless(RenderHook):
    """Puts itself between what is to be printed and the terminal's own codes."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Shown(renderable) for renderable in renderables]


class _Shown:
    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        inner = fitted(self._inner, console, options.max_width) if isinstance(self._inner, Table) else self._inner
        for segment in console.render(inner, options):
            yield segment if segment.control else Segment("\n".join(map(shown, segment.text.split("\n"))), segment.style)
