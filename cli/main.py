"""The command `cdp`. Sub-modules register their commands on `app`; what is slow to import is imported inside the commands."""

import os
import sys
from importlib import import_module

import typer

# Each has a function `register(app)`.
MODULES = [
    "cli.stack_commands",
    "cli.check_commands",
    "cli.secret_commands",
    "cli.job_commands",
    "cli.topic_commands",
    "cli.limit_commands",
    "cli.transaction_commands",
    "cli.offset_commands",
    "cli.import_commands",
    "cli.source_commands",
    "cli.replay_commands",
    "cli.demo_commands",
    "cli.profile_commands",
    "cli.explain_commands",
    "cli.verify_commands",
    "cli.tail_commands",
    "cli.rfm_commands",
    "cli.sql_commands",
    "cli.judge_commands",
    "cli.identity_commands",
    "cli.object_commands",
    "cli.schema_commands",
    "cli.shop_commands",
    "cli.collector_commands",
    "cli.rejected.commands",
    "cli.unmapped.commands",
    "cli.quality.commands",
]


# Errors of our own packages are written for people; others are shown with their type.
OURS = {
    "api",
    "bench",
    "cli",
    "config",
    "definitions",
    "demo",
    "importers",
    "jobs",
    "operations",
    "pipelines",
    "profile_store",
    "schemas",
    "sinks",
    "stack",
}

app = typer.Typer(
    name="cdp",
    help="A streaming customer-data platform: start it, feed it, look into it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def point_at_the_stack(context: typer.Context) -> None:
    """Before any command: use the addresses of the stack in `CDP_HOME`, unless the environment names others."""
    if context.invoked_subcommand == "check":
        return  # it tells what is wrong with the very files that say where the stack is
    from stack import settings

    settings.apply_environment()


def _register() -> None:
    for name in MODULES:
        import_module(name).register(app)


def main() -> None:
    """The console script: show an error as its message (what is wrong, what to do), the traceback only with `CDP_DEBUG=1`."""
    try:
        app()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left; nobody wants to hear of it
        sys.exit(1)
    except Exception as error:
        if os.environ.get("CDP_DEBUG") == "1":
            raise
        expected = type(error).__module__.split(".")[0] in OURS
        print(f"error: {error}" if expected else f"error: {type(error).__name__}: {error}", file=sys.stderr)
        if not expected:
            print("set CDP_DEBUG=1 to see where", file=sys.stderr)
        sys.exit(1)


_register()

if __name__ == "__main__":
    main()
