"""`cdp source ...`: where events come from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from importers.profiling.survey import Survey

source_app = typer.Typer(help="Where events come from.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(source_app, name="source")


@source_app.command()
def profile(
    source: Annotated[str, typer.Argument(help="A file (CSV, Parquet, JSON Lines; packed or not), or a topic of JSON.")],
    sample: Annotated[int, typer.Option(help="Look at the first N rows (0: all).")] = 100_000,
    out: Annotated[Path | None, typer.Option(help="Folder for a draft mapping and a draft tracking plan.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Look at a new source: what its fields hold, who is in it, what contradicts itself; and draft a mapping for it.

    Personal values are shown by their shape only.
    """
    import itertools

    import msgspec
    from rich.console import Console

    from cli.terminal import plain_console
    from config import loader
    from importers.mapping.options import DEFAULT
    from importers.profiling.draft import draft
    from importers.profiling.reading import guess_options, of_file, of_topic
    from importers.profiling.survey import Surveyor
    from schemas import contracts

    path = Path(source)
    options = guess_options(path) if path.is_file() else DEFAULT
    looks = of_file(path, options) if path.is_file() else of_topic(loader.platform().kafka.bootstrap, source)
    with (
        Console(stderr=True).status(f"looking at {source}"),
        Surveyor(source, [one.name for one in loader.identity().namespaces]) as surveyor,
    ):
        for look in itertools.islice(looks, sample or None):
            surveyor.unreadable() if look.record is None else surveyor.add(look.record)
        survey = surveyor.result(whole=next(looks, None) is None)
    made = draft(survey, surveyor.kept, contracts.load(), options)
    if as_json:
        print(msgspec.json.encode(survey).decode())
    else:
        _show(survey, plain_console())
    if out is not None:
        stem = path.name.partition(".")[0] if path.is_file() else source.replace(".", "_")
        _write(out / f"{stem}.mapping.yaml", made.mapping)
        _write(out / f"{stem}.plan.yaml", made.plan)
    if not as_json:
        tried = made.mapped + sum(made.failed.values())
        said = f"draft: `{made.event}`; of {tried:,} rows {made.mapped:,} can be mapped by it"
        print(said + "".join(f"; {count:,} fail at {field}" for field, count in made.failed.items()))
        print(f"written to {out}" if out else "--out FOLDER writes the drafts")


def _show(survey: "Survey", console: "Console") -> None:
    whole = "" if survey.whole else ", the first ones"
    share = f" ({survey.duplicates / survey.rows:.1%})" if survey.rows else ""
    console.print(f"{survey.source}: {survey.rows:,} rows{whole}; {survey.duplicates:,} repeated{share}, {survey.unreadable:,} unreadable")
    console.print(_table(survey))
    for line in survey.advice:
        console.print(f"- {line}", highlight=False, markup=False)


def _table(survey: "Survey") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("field", "holds", "filled", "distinct", "smallest", "largest", "examples", "looks like"):
        table.add_column(column, justify="right" if column in ("filled", "distinct") else "left", overflow="fold")
    keys = {key.field for key in survey.keys}
    for field in survey.fields:
        looks = [f"{survey.identifiers[field.name]}"] if field.name in survey.identifiers else []
        looks += ["unique"] if field.is_unique and field.name in keys else []
        looks += ["money"] if field.name in survey.money else []
        looks += ["currency"] if field.name in survey.currencies else []
        looks += [f"time {' or '.join(survey.times[field.name])}"] if field.name in survey.times else []
        looks += ["personal"] if field.personal else []
        row = [
            field.name,
            _holds(field.kind),
            f"{field.filled:.1%}",
            f"{field.distinct:,}" if field.is_exact else f"~{field.distinct:,}",
            field.smallest,
            field.largest,
            " · ".join(field.examples),
            ", ".join(looks),
        ]
        table.add_row(*map(escape, row))
    return table


def _holds(kind: str) -> str:
    words = {"missing": "nothing", "text:number,": "number (decimal comma)"}
    return words.get(kind, kind.removeprefix("text:"))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
