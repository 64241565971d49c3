"""Tables that fit the terminal: figures are never cut, texts are folded at words, and what does not fit at all is shown row by row."""

import re
from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderResult
from rich.table import Column, Table
from rich.text import Text

LONGEST_WORD: Final = 26
"""A longer word (a path, an address) is broken; shorter ones stay whole, so that names can be copied."""


class Fitted:
    """A table as wide as there is room, for use inside of panels and groups.

    Args:
        table: as it would be with all the room it wants; cells are texts.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render it for the room that the options leave."""
        yield fitted(self._table, console, options.max_width)


def fitted(table: Table, console: Console, width: int) -> ConsoleRenderable:
    """A table in which no line is longer than there is room, and nothing is cut.

    Args:
        table: cells are texts; columns that are justified to the right hold figures.
        console: for markup.
        width: room, in characters.
    """
    columns = [_cells(column, console) for column in table.columns]
    if not columns:
        return table
    room = width - table._extra_width - sum(table._get_padding_width(index) for index in range(len(columns)))
    if sum(_natural(cells) for cells in columns) <= room:
        return table
    least = [_least(cells, is_figure=column.justify == "right") for column, cells in zip(table.columns, columns, strict=True)]
    if sum(least) > room:
        return _row_by_row(table, columns, width)
    widths = _shared(least, [_natural(cells) for cells in columns], room)
    for column, cells, chosen in zip(table.columns, columns, widths, strict=True):
        column.header, column.width, column.overflow, column.no_wrap = _at_words(cells[0], chosen), chosen, "fold", False
    return table


def _cells(column: Column, console: Console) -> list[Text]:
    """Header and cells as texts."""
    return [
        cell if isinstance(cell, Text) else console.render_str(str(cell), highlight=False)
        for cell in (column.header, *column._cells)
    ]  # fmt: skip


def _natural(cells: Sequence[Text]) -> int:
    return max(cell_len(line) for cell in cells for line in (cell.plain.splitlines() or [""]))


def _least(cells: Sequence[Text], *, is_figure: bool) -> int:
    """Figures need all their room (their header can be broken at words), texts that of their longest word."""
    header = max((cell_len(word) for word in cells[0].plain.replace("_", " ").split()), default=0)
    if is_figure:
        return max(header, _natural(cells[1:]) if cells[1:] else 0)
    words = [cell_len(word) for cell in cells[1:] for word in cell.plain.split()]
    return max(header, min(LONGEST_WORD, max(words, default=0)))


def _shared(least: Sequence[int], natural: Sequence[int], room: int) -> list[int]:
    """Room beyond the least goes to the columns that want more, evenly."""
    widths = list(least)
    left = room - sum(widths)
    while left > 0 and (wanting := [index for index, width in enumerate(widths) if width < natural[index]]):
        for index in wanting[:left]:
            widths[index] += 1
        left -= len(wanting[:left])
    return widths


def _at_words(header: Text, width: int) -> Text:
    """`average_recency_days` is broken where a reader would, and stays a name that can be copied."""
    if cell_len(header.plain) <= width:
        return header
    lines = [""]
    for part in re.findall(r"[^_ ]*[_ ]?", header.plain):
        if lines[-1] and cell_len((lines[-1] + part).rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return Text("\n".join(lines), style=header.style)


def _row_by_row(table: Table, columns: Sequence[Sequence[Text]], width: int) -> Table:
    """Each row as a block: name and value of every column that says something, side by side if there is room."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.title, made.title_justify = table.title, table.title_justify
    names = max(_natural(cells[:1]) for cells in columns)
    values = max((cell_len(word) for cells in columns for cell in cells[1:] for word in cell.plain.split()), default=0)
    side_by_side = names + min(LONGEST_WORD, values) + 4 <= width
    made.add_column(overflow="fold", no_wrap=side_by_side)
    if side_by_side:
        made.add_column(overflow="fold")
    for row in range(1, len(columns[0])):
        for cells in columns:
            if not cells[row].plain.strip():
                continue
            name = Text(cells[0].plain, style="bold")
            for line in [(name, cells[row])] if side_by_side else [(name,), (cells[row],)]:
                made.add_row(*line)
        if row + 1 < len(columns[0]):
            made.add_row("")
    return made
