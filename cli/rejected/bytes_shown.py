"""The bytes of a record, line by line for a terminal."""

import json
from collections.abc import Iterator
from typing import Any, Final

from rich.text import Text

from cli.terminal import shown
from pipelines.rejected import paths

DEPTH: Final = 200
"""What nests deeper is not walked through."""
HEX_BYTES: Final = 256
HEX_ROW: Final = 12


def json_lines(
    value: Any, place: paths.Concrete = (), before: str = "", after: str = "", depth: int = 0
) -> Iterator[tuple[paths.Concrete, str]]:
    """JSON a line at a time, each with the place of the value that begins in it.

    Args:
        value: nested no deeper than `DEPTH`.
        place: of the value.
        before: what stands before it on its line.
        after: what stands behind it.
        depth: how far its lines are indented.
    """
    indent = "  " * depth
    if isinstance(value, dict | list) and value:
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        yield place, f"{indent}{before}{opening}"
        entries = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
        for number, (key, inner) in enumerate(entries):
            name = f"{json.dumps(key, ensure_ascii=False)}: " if isinstance(value, dict) else ""
            yield from json_lines(inner, (*place, key), name, "," if number < len(entries) - 1 else "", depth + 1)
        yield (), f"{indent}{closing}{after}"
    else:
        yield place, f"{indent}{before}{json.dumps(value, ensure_ascii=False)}{after}"


def raw_lines(original: bytes) -> Iterator[Text]:
    """Bytes that are no JSON: as text, or as hexadecimal around what is no UTF-8."""
    try:
        yield from (Text(shown(line)) for line in original.decode()[: 8 * HEX_BYTES].splitlines())
    except UnicodeDecodeError as error:
        start = max(0, error.start - HEX_BYTES // 2)
        yield Text(f"not UTF-8 at byte {error.start:,}", style="red")
        for at in range(start, min(len(original), start + HEX_BYTES), HEX_ROW):
            row = original[at : at + HEX_ROW]
            printable = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
            yield Text(f"{at:08x}  {row.hex(' '):<{3 * HEX_ROW}}  {printable}")
