"""`cdp sql`: a question to ClickHouse."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sql")(sql)


def sql(
    query: Annotated[
        str, typer.Argument(help="One statement, e.g. 'SELECT count() FROM orders'; without it, standard input is read.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a row instead of a table.")] = False,
) -> None:
    """Ask ClickHouse (docs/analysts.md): views such as profiles, customers, orders, rfm_segments. Nothing can be changed this way."""
    import sys

    import msgspec
    from rich.table import Table
    from rich.text import Text

    from cli import stores
    from cli.terminal import plain_console

    text = query or sys.stdin.read()
    rows = stores.history().rows(text.strip().rstrip(";"), settings={"readonly": "2"})
    if as_json:
        for row in rows:
            sys.stdout.buffer.write(msgspec.json.encode(row, enc_hook=str) + b"\n")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, value in (rows[0] if rows else {}).items():
        table.add_column(Text(name), justify="right" if isinstance(value, int | float) and not isinstance(value, bool) else "left")
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row.values()))
    console = plain_console()
    if rows:
        console.print(table)
    console.print(f"{len(rows)} row{'' if len(rows) == 1 else 's'}", style="dim")
