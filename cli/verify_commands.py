"""`cdp verify`: does everything add up, from the raw topics to the stores?"""

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cli.audit.report import Report


LOADER_S = 15.0
"""What the loader gets at least to catch up, however long the pipeline took."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def verify(
        timeout: Annotated[float, typer.Option(help="Seconds to wait for the pipeline and the stores to catch up.")] = 120,
        as_json: Annotated[bool, typer.Option("--json", help="Print everything, each difference included, as JSON.")] = False,
    ) -> None:
        """Compare raw topics, clean topics, ClickHouse and Redis record by record.

        Exit code 0: all is as it should be; 1: something differs; 2: something could not be determined (a server is away, the
        pipeline is behind).
        """
        from cli.terminal import safe_console
        from operations.progress import Progress

        started = time.monotonic()
        # Progress goes to the terminal's error stream, so that standard output holds the result alone.
        with Progress("verifying") as progress:
            report = run(timeout, lambda text: progress.say(f"{text} ({time.monotonic() - started:.0f} s)"))
        if as_json:
            sys.stdout.write(report.as_json().decode() + "\n")
        else:
            report.show(safe_console())
        raise typer.Exit(report.exit_code)


def run(timeout_s: float, tell: Callable[[str], None] = lambda _: None) -> "Report":
    """Make all checks against the platform's servers.

    Args:
        timeout_s: how long to wait for the pipeline and the stores to catch up.
        tell: takes a line about what goes on.
    """
    import redis.exceptions

    from cli.audit.history import TablesMissingError
    from cli.audit.report import Check, Report
    from operations.topics import TopicsAwayError
    from schemas.registry import RegistryError
    from sinks.clickhouse import ClickHouseError

    report = Report()
    try:
        _run(report, time.monotonic() + timeout_s, tell)
    except TopicsAwayError as error:
        report.checks.append(Check("Kafka", note=str(error), known=False))
    except RegistryError as error:
        report.checks.append(Check("schema registry", note=str(error), known=False))
    except (ClickHouseError, TablesMissingError) as error:
        report.checks.append(Check("ClickHouse", note=str(error), known=False))
    except redis.exceptions.RedisError as error:
        report.checks.append(Check("Redis", note=f"{type(error).__name__}: {error}", known=False))
    return report


def _run(report: "Report", deadline: float, tell: Callable[[str], None]) -> None:
    from redis import Redis

    from cli.audit.conservation import conservation, missing
    from cli.audit.event_rows import event_rows
    from cli.audit.evidence import CLEAN, CleanEvidence, RawEvidence
    from cli.audit.history import history, rollups
    from cli.audit.identity import identity
    from cli.audit.money import money
    from cli.audit.order_events import OrderEvents
    from cli.audit.served import Served
    from config import loader
    from operations.topics import Reader, processed
    from pipelines import control
    from pipelines.history.group import GROUP
    from schemas import contracts
    from sinks.clickhouse import ClickHouse

    platform, sources = loader.platform(), loader.topics().raw()
    tenants = list(platform.tenants)
    named = [*sources, *control.TOPICS]  # control records are rejected too
    raw, clean, orders = RawEvidence(sources), CleanEvidence(named, tenants), OrderEvents(platform.tenants)
    clean.on_event = orders.take
    reader = Reader(platform.kafka.bootstrap, sources, raw.take)
    ends = reader.ends()
    reader.read_to(ends, lambda count: tell(f"reading raw topics: {count:,} of {sum(ends.values()):,}"))
    reader.close()
    cleaned = Reader(platform.kafka.bootstrap, CLEAN, clean.take)
    try:
        while True:
            cleaned.read_on(lambda count: tell(f"reading clean topics: {count:,}"))
            behind = missing(raw, clean)
            if not behind or time.monotonic() > deadline:
                break
            tell(f"waiting for the pipeline: {behind:,} raw records have not come out yet")
            time.sleep(0.5)
        done = processed(platform.kafka.bootstrap, "cdp-profiles", list(ends))
        report.add(conservation(raw, clean, sources, ends, done))
        server = ClickHouse(platform.clickhouse)
        tell("comparing ClickHouse with the clean topics")
        loaded = partial(processed, platform.kafka.bootstrap, GROUP, list(cleaned.ends()))
        report.add(history(server, clean, named, tenants, cleaned.read_on, loaded, max(deadline, time.monotonic() + LOADER_S)))
        report.add(rollups(server))
        served = Served(Redis.from_url(platform.redis.url, socket_timeout=30), clean, cleaned.read_on)
        report.checks.append(served.profiles(lambda count: tell(f"comparing Redis: {count:,} profiles")))
        tell("comparing Redis: identifiers")
        report.checks.append(served.identifiers())
        tell("replaying the link log")
        report.add(identity(server, clean, loader.identity(), tenants, platform.kafka.bootstrap, cleaned.read_on))
        tell("comparing orders and money")
        report.add(money(server, clean, orders, platform.tenants, cleaned.read_on, loaded))
        report.checks.append(event_rows(server, contracts.load()))
    finally:
        cleaned.close()
