"""`cdp up | down | status | logs`: the local stack."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up)
    app.command("down")(down)
    app.command("status")(status)
    app.command("logs")(logs)


def up(
    only: Annotated[
        str, typer.Option(help="Start only these services and what they need, e.g. `kafka,redis`; `flink` stands for all of Flink.")
    ] = "",
    deadline: Annotated[float, typer.Option(help="Seconds to wait until everything is ready.")] = 600.0,
) -> None:
    """Start the stack: fetch what is missing, start every server, wait until all of them serve. Does nothing when all is up."""
    from cli.live import UpView
    from stack import control
    from stack.settings import load

    settings = load()
    with UpView() as view:
        states = control.up(settings, [name.strip() for name in only.split(",") if name.strip()], view.services, view.part, deadline)
    view.summary(states, settings)


def down(
    wipe: Annotated[
        bool, typer.Option("--wipe", help="DELETE the data too: topics, tables, profiles, checkpoints, and the keys of personal values.")
    ] = False,
    savepoint: Annotated[
        bool,
        typer.Option("--savepoint/--no-savepoint", help="Save the state of the Flink jobs first, for a long absence."),
    ] = True,
    within: Annotated[float, typer.Option(help="Seconds that each savepoint may take.")] = 60.0,
) -> None:
    """Stop everything that belongs to this stack. Data stays; `cdp up` goes on where it was."""
    import time

    from stack import control
    from stack.settings import load

    settings = load()
    began = time.monotonic()
    count = control.down(settings, lambda line: print(line, flush=True), within if savepoint and not wipe else 0.0)
    print(f"stopped {count} processes in {time.monotonic() - began:.1f} s" if count else "nothing was running")
    if wipe:
        print("data deleted" if control.wipe(settings) else "there was no data")


def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False) -> None:
    """Show every service: state, process, port, memory, CPU time, restarts, uptime."""
    import sys

    from cli.live import print_status
    from stack import overview
    from stack.settings import load

    settings = load()
    lines = overview.services(settings)
    if as_json:
        import msgspec

        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(lines), indent=1) + b"\n")
        return
    print_status(lines)


def logs(
    service: Annotated[str, typer.Argument(help="Name of a service as `cdp status` shows it, or `supervisor`.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing as lines are written.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines to print.", min=0)] = 50,
) -> None:
    """Print the end of a service's log. A Flink job's own log tells of its submissions; what it says as it runs is in its TaskManagers'."""
    import sys

    from cli.live import print_log
    from stack import catalogue
    from stack.settings import load

    print_log(load().logs, service, lines, follow)
    if service in catalogue.flink_jobs():
        said = "what the job says as it runs is in `cdp logs taskmanager-1` and its peers; its state: `cdp jobs`"
        print(f"(this log tells of submissions, whose process ends once the job is handed over; {said})", file=sys.stderr)
