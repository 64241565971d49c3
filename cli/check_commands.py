"""`cdp check`: whether the definitions can be used."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check")(check)


def check(as_json: Annotated[bool, typer.Option("--json", help="Print JSON: one object for each mistake.")] = False) -> None:
    """Check every definition (config/, schemas/events) at once: file, line, column, what is wrong and what was meant.

    Exit code 1 when there is a mistake. `cdp up` and `cdp job start | stop` check the same first, before anything is stopped.
    `CDP_CONFIG_DIR=/some/folder cdp check` looks at another copy of config/.
    """
    import sys

    from config import loader
    from schemas import contracts
    from schemas.documents import label
    from stack import preflight

    found = preflight.problems()
    if as_json:
        import msgspec

        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    elif found:
        files = len({problem.file for problem in found})
        for problem in found:
            print(problem)
        print(f"{len(found)} mistake{'s' if len(found) > 1 else ''} in {files} file{'s' if files > 1 else ''}; nothing was changed")
    else:
        print(f"all definitions can be used ({label(loader.folder())}, {label(contracts.folder())})")
    if found:
        raise typer.Exit(1)
