"""What commands print fits 80 columns: no line is longer, no figure is cut, and everything that is said with more room is said here."""

import io
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

from cli import limit_commands, live, source_commands, stores
from cli import registry_commands as registry
from cli.audit.report import Check, Report
from cli.import_run import _troubles
from cli.main import app
from cli.quality import views as quality
from cli.quality.report import Line
from cli.quality.story import Reason, Story, Value
from cli.rejected import replay as rejected_replay
from cli.rejected import views as rejected
from cli.rejected.stats import Group
from cli.terminal import safe_console
from cli.unmapped import records
from cli.unmapped import replay as unmapped_replay
from cli.unmapped import views as unmapped
from config import loader
from config.identity import Namespace
from importers.files.preview import Trouble
from importers.personal import Personal
from importers.profiling.survey import Surveyor
from importers.unmapped import Kept
from operations.identity import Placed
from pipelines.identity.link_log import Link, LogRecord, Rules
from pipelines.quality.alerts import Alert
from pipelines.quality.cause import Cause
from pipelines.quality.slices import Group as Question
from pipelines.rejected.record import Record
from pipelines.rejected.verdicts import Sent
from schemas.contract_changes import Change
from schemas.registration import Finding, wanted
from stack import jobs, offsets, overview, topics, transactions

AT_MS = 1_795_867_200_123
WIDTH = 80
LONG_FIELD = "$.properties.products[12].discount_per_unit_before_tax"
LONG_RULE = "a whole number of at most 64 bits; send longer ones as text"


def told(width: int, show: Callable[[Console], Any]) -> list[str]:
    console = safe_console(file=io.StringIO(), width=width)
    show(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def assert_fits(narrow: list[str], wide: list[str], *, copied: tuple[str, ...] = ()) -> None:
    """Compare what is said in 80 columns with what is said with all the room there is.

    Args:
        narrow: lines of 80 columns.
        wide: the same with more room.
        copied: how lines begin that are for copying, and so are never broken.
    """
    assert [line for line in narrow if cell_len(line) > WIDTH and not line.startswith(copied or ("\0",))] == []
    assert "".join(narrow).count("…") <= "".join(wide).count("…"), "only what is abbreviated with any room"
    said = set(" ".join(narrow).split())
    pieces = "".join("".join(narrow).split())
    for word in " ".join(wide).split():
        if len(word) <= 26:
            assert word in said or word.rstrip(":") in said or word.replace("_", "") in pieces.replace("_", ""), f"`{word}` was cut"
        else:
            assert all(part in pieces for part in (word[:10], word[-10:])), f"`{word}` is not whole"


# Commands that ask a server: what it would answer is given here


def given_topics(patch: pytest.MonkeyPatch) -> list[str]:
    held = "held: 40.0 days of log time ahead of cdp.raw.clickstream; write to the others, or `cdp topics clock live`"
    found = [
        topics.TopicState("cdp.raw.clickstream", 2, 123_456_789_012, "LogAppendTime", 987_654_321_098, held, 0),
        topics.TopicState("cdp.profile.changes", 4, 99_123_456, "CreateTime", 12_345_678_901, "retention.ms 604800000, not -1", 1_234_567),
        topics.TopicState("cdp.rejected", 2, 0, "CreateTime"),
    ]
    patch.setattr(topics, "describe", lambda **_: found)
    return ["topics"]


def given_jobs(patch: pytest.MonkeyPatch) -> list[str]:
    lost = "no checkpoint for 143 s; ended and started anew at 150 s (2 of 3 times in this hour): see `cdp logs jobmanager`"
    found = [
        overview.JobLine("profiles", "flink", "waiting", 1.0, 12, "chk-123456, 143 s ago", 123_456_789, lost),
        overview.JobLine("history", "process", "ready", 0.0, 0, "", None, ""),
        overview.JobLine("serve", "process", "ready", 1.0, 3, "", 7, "filling Redis: 1,234,567 older records to look at"),
    ]
    patch.setattr(overview, "jobs", lambda _: found)
    return ["jobs"]


def given_transactions(patch: pytest.MonkeyPatch) -> list[str]:
    places = [(topic, number) for topic in ("cdp.events", "cdp.profile.changes", "cdp.rejected") for number in range(4)]
    found = [
        transactions.Transaction("cdp-profiles-cdp.profile.changes-0-123456", "PrepareEpochFence", 7, 1, 345_678.0, 604_800.0, places),
        transactions.Transaction("cdp-profiles-cdp.events-11-4", "Ongoing", 8, 0, 3.0, 604_800.0, places[:1]),
    ]
    patch.setattr(transactions, "ours", lambda _: found)
    return ["transactions", "list", "--all"]


def given_offsets(patch: pytest.MonkeyPatch) -> list[str]:
    found = [
        offsets.Position("cdp.profile.changes", 11, 123_456_789_012, 1_234_567, 123_456_000_000),
        offsets.Position("erp.public.customers_and_their_addresses", 0, -1, 0, 4_000_000_000),
    ]
    patch.setattr(offsets, "positions", lambda _: found)
    patch.setattr(jobs, "get", lambda name: name)
    return ["offsets", "show", "history"]


def given_rows(patch: pytest.MonkeyPatch, *command: str) -> list[str]:
    row = {
        "tenant": "demo", "profile_id": "0123456789abcdef", "rfm_segment": "high_value_dormant", "orders_lifetime": 1_234,
        "gross_lifetime": 1_234_567.89, "net_lifetime": -1_234_567.89, "last_order_at": "2026-11-28 12:00:00.123", "is_guest": True,
    }  # fmt: skip

    class Server:
        def rows(self, *_: Any, **__: Any) -> list[dict[str, Any]]:
            return [row, row]

    patch.setattr(stores, "history", Server)
    return list(command)


def given_sql(patch: pytest.MonkeyPatch) -> list[str]:
    return given_rows(patch, "sql", "SELECT * FROM profiles")


def given_history(patch: pytest.MonkeyPatch) -> list[str]:
    fields = '{"orders_365d": 1234, "net_365d": 1234567.89, "rfm_segment": "high_value_dormant", "average_basket": 3730.42}'
    row = {
        "shown": "2026-11-28 12:00:00", "incarnation": 1_795_867_200, "version": 123_456, "cause": "Order Completed",
        "tags_entered": ["frequent_small_basket", "loyal"], "tags_exited": ["about_to_churn"], "features": fields,
    }  # fmt: skip

    class Server:
        def rows(self, *_: Any, **__: Any) -> list[dict[str, Any]]:
            return [row, row | {"cause": "time", "tags_exited": [], "version": 123_457}]

    patch.setattr(stores, "history", Server)
    patch.setattr(stores, "node_of", lambda *_: "demo|user_id|1")
    return ["profile", "history", "user_id:1", "--fields", "orders_365d,net_365d,rfm_segment,average_basket", "--all", "--tenant", "demo"]


def given_schema_list(_: pytest.MonkeyPatch) -> list[str]:
    return ["schema", "list"]


def given_schema_check(patch: pytest.MonkeyPatch) -> list[str]:
    found = [
        Change("Product Added to Wishlist", "products[].discount_per_unit", True, "was a number, is an integer now: 2.5 would be refused"),
        Change("Order Completed", "shipping_method", False, "is new and not required"),
    ]
    patch.setattr("schemas.contract_changes.changes", lambda *_: found)
    patch.setattr("schemas.contract_changes.unannounced", lambda *_: {})
    patch.setattr("cli.contract_history.earlier", lambda _: {})
    return ["schema", "check"]


def given_link_log(patch: pytest.MonkeyPatch, *, has_limits: bool) -> None:
    users = [f"demo|user_id|customer-number-123456789-{number}" for number in range(3)]
    phone = "demo|device_id|0123456789abcdef"
    log: list[LogRecord] = [Link("demo", AT_MS, f"order:5678901234567:{user}", a=user, b=phone) for user in users]
    if has_limits:
        body = '{"most_identifiers":9000,"namespaces":{"user_id":{"most":1},"device_id":{"most":1234,"days":36500,"shared_after":10000}}}'
        log.insert(0, Rules("demo", AT_MS, "c", "ann: the shop in the high street has many customers by one and the same device", body))
    patch.setattr("operations.identity.read_log", lambda *_: [Placed(123_456_789 + at, record) for at, record in enumerate(log)])


def given_identity_rules(patch: pytest.MonkeyPatch) -> list[str]:
    given_link_log(patch, has_limits=True)
    return ["identity", "rules", "--tenant", "demo"]


def given_identity_without_rules(patch: pytest.MonkeyPatch) -> list[str]:
    given_link_log(patch, has_limits=False)
    return ["identity", "rules", "--tenant", "demo"]


def given_identity_apply(patch: pytest.MonkeyPatch) -> list[str]:
    given_link_log(patch, has_limits=True)
    loose = msgspec.structs.replace(loader.identity(), namespaces=[Namespace("user_id"), Namespace("device_id")])
    patch.setattr(loader, "identity", lambda *_: loose)
    return ["identity", "apply", "--past", "--dry-run", "--tenant", "demo"]


@pytest.mark.parametrize(
    "given",
    [
        given_topics,
        given_jobs,
        given_transactions,
        given_offsets,
        given_sql,
        given_history,
        given_schema_list,
        given_schema_check,
        given_identity_rules,
        given_identity_without_rules,
        given_identity_apply,
    ],
    ids=lambda given: given.__name__.removeprefix("given_"),
)
def test_a_command_fits(given: Callable[[pytest.MonkeyPatch], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    command = given(monkeypatch)
    lines = []
    for width in (WIDTH, 400):
        monkeypatch.setenv("COLUMNS", str(width))
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, (done.output, done.exception)
        lines.append(done.stdout.splitlines())
    assert_fits(*lines, copied=("would be one person: ", "would be several: "))


# What is drawn from values


def record(**changes: Any) -> Record:
    told = {
        "source": "cdp.raw.clickstream", "partition": 11, "offset": 123_456_789, "log_time": AT_MS, "code": "timestamp_out_of_range",
        "field": LONG_FIELD, "rule": LONG_RULE, "tenant": "demo", "message_id": "order:5678901234567:created:0123456789abcdef",
        "original": b"x" * 123_456, "origin": "shop-orders",
    }  # fmt: skip
    return Record(**(told | changes))


KEPT = Kept(
    partition=2, offset=123_456_789, at=AT_MS, source="erp", tenant="demo",
    position={"topic": "erp.public.orders", "partition": 11, "offset": 9**9},
    code="schema_drift", field="events[0].properties.products[0].price", rule=LONG_RULE, key=b"{}", original=b"x" * 4321,
)  # fmt: skip


def show_rejected(console: Console) -> None:
    console.print(rejected.list_table([record(), record(origin="", message_id="", field="$", code="size_violation")]))
    group = Group(
        {"code": "timestamp_out_of_range", "source": "cdp.raw.clickstream", "field": LONG_FIELD}, 1_234_567, 0.9876, AT_MS - 10**9, AT_MS,
        [number * 7 % 31 for number in range(24)], "cdp.raw.clickstream:11:123456789",
    )  # fmt: skip
    console.print(rejected.stats_table([group, group], ["code", "source", "field"]))
    example = rejected_replay.Example("cdp.raw.clickstream:11:123456789", "schema_violation", LONG_FIELD, LONG_RULE)
    tally = rejected_replay.Tally(
        matched=1_234_567, looked_at=1_000_000, passing=Counter({"Product Added to Wishlist": 1_234_567, "Order Completed": 12}), late=1234,
        failing=Counter({("schema_violation", LONG_FIELD): 123_456}), refused=Counter({"its fix is older than one that was sent": 12}),
        sent=7, examples=[example], refusals=[example],
    )  # fmt: skip
    for dry_run in (True, False):
        rejected.show_tally(console, tally, dry_run=dry_run)


def show_unmapped(console: Console) -> None:
    seen = records.Seen(
        KEPT, Sent(tenant="demo", at=AT_MS, to="cdp.raw.orders", fix="0123456789ab", message_id="erp:orders:123456789:27049576")
    )
    console.print(unmapped.list_table([seen, records.Seen(KEPT, None)]))
    group = records.Group(KEPT)
    for _ in range(1234):
        group.add(seen)
    console.print(unmapped.stats_table([group, group]))
    console.print(unmapped.card(seen, loader.identity(), plain=False))
    example = unmapped_replay.Example("cdp.unmapped:2:123456789", "erp", "schema_drift", KEPT.field, LONG_RULE)
    tally = unmapped_replay.Tally(
        matched=1_234_567, records=1_000_000, becoming=Counter({"Product Added to Wishlist": 1_234_567, "Order Completed": 12}), late=1234,
        late_days=7, skipped=Counter({"refund without its customer; orders/updated tells it too": 123_456}),
        failing=Counter({f"value at {KEPT.field}": 12_345}), applied=12, before=4, drifts=3, sent=9, examples=[example],
    )  # fmt: skip
    for dry_run in (True, False):
        unmapped.show_tally(console, tally, dry_run=dry_run)


LOOK = [
    "cdp rejected list --code schema_violation --source cdp.raw.orders --field '$.properties.products[*].price' --since 2026-11-28T11:00Z"
]


def show_quality(console: Console) -> None:
    alert = "0123456789abcdef"
    line = Line(
        "demo", "shop-orders-of-the-new-site", "cdp.raw.orders", "Product Added to Wishlist", "completeness", "products[].price", 1_234_567,
        12_345_678, 0.1, 0.09, 0.11, 0.99, 0.95, "missed", alert, {"region": "Baden-Württemberg", "app_version": "12.34.5"}, 0.873, LOOK,
    )  # fmt: skip
    quality.show_lines(console, [line, line], 29_931_120, 60, everything=False)
    cause = Cause((("region", "Baden-Württemberg"), ("app_version", "12.34.5")), 0.873, 0.95, 0.1, 12_345, 123.4)
    question = Question("demo", "completeness", "Product Added to Wishlist", "products[].price")
    opened = Alert(alert, 1, "opened", "drop", question, "shop-orders", 29_931_120, 29_931_100, 29_931_119, 0.95, 0.1, 12_345, [cause])
    failed = {alert: ["webhook https://alerts.example/hooks/cdp"]}
    quality.show_alerts(console, [opened, opened], failed, everything=True)


def show_story(console: Console) -> None:
    cause = {
        "where": {"region": "Baden-Württemberg", "app_version": "12.34.5"}, "share": 0.873, "before": 0.95, "after": 0.1, "events": 12_345,
    }  # fmt: skip
    story = Story(
        {"causes": [cause, cause]},
        [("2026-11-28 11:59", "opened", "completeness of Product Added to Wishlist.products[].price fell from 95.0% to 10.0% in Baden")],
        "2026-11-28 11:00", [0.9, None, 0.1] * 75,
        [Value("region", "Baden-Württemberg", 0.95, 0.1, 1_234_567, 0.87), Value("app_version", "", None, 0.1, 7, 0.1)],
        [Reason(LONG_FIELD, LONG_RULE, 1_234_567)],
        {"webhook https://alerts.example/hooks/cdp": "change 1 was refused with status 503, tried again until 2026-11-28 13:00"}, LOOK,
    )  # fmt: skip
    quality.show_story(console, story)


def show_limits(console: Console) -> None:
    met = limit_commands.Met("collector", "request_bytes_by_address", "shop-orders-of-the-new-site", 1_234_567_890, AT_MS)
    console.print(limit_commands.table_of([met, met._replace(where="pipeline", kind="movements", last_ms=0, source="")]))


def show_verify(console: Console) -> None:
    report = Report()
    report.checks += [
        Check("orders and money of profiles, views and clean events (demo)", 123_456_789, 123_456_788, ["user_id|1: " + "net 1 " * 30]),
        Check("cdp.raw.clickstream partition 11 ends once", 12_345_678_901, 12_345_678_901, note="2,345 are late, 12 beyond a limit " * 2),
        Check("Redis holds the newest change of every profile", 0, 0, note="Redis does not answer", known=False),
    ]  # fmt: skip
    report.show(console)


def show_registry(console: Console) -> None:
    one, other = wanted()[:2]
    before = [Finding(one, "new"), Finding(other, "breaks", 1_234_567, "BACKWARD_TRANSITIVE", "field `products` has no default " * 3)]
    console.print(registry.table_of(before, before, dry_run=True))


def show_survey(console: Console) -> None:
    with Surveyor("orders-of-november.csv", ["user_id"]) as surveyor:
        for number in range(40):
            surveyor.add({
                "customer_number": f"C{number:08d}", "e_mail": f"customer.{number}@example.org", "total_including_tax": f"{number},99",
                "placed_at": f"2026-11-28 10:{number:02d}:00", "remark": "leave it with the neighbours, please " * (number % 3),
            })  # fmt: skip
        console.print(source_commands._table(surveyor.result(whole=True)))


def show_troubles(console: Console) -> None:
    trouble = Trouble(
        row=123_456_789, line=123_456_790, code="value", field="events[0].properties.total", rule=LONG_RULE, value="1.234,56", event=""
    )
    console.print(_troubles([trouble, trouble], Personal(loader.identity())))


SHOWN = [show_rejected, show_unmapped, show_quality, show_story, show_limits, show_verify, show_registry, show_survey, show_troubles]


@pytest.mark.parametrize("show", SHOWN, ids=lambda show: show.__name__.removeprefix("show_"))
def test_what_is_drawn_fits(show: Callable[[Console], None]) -> None:
    assert_fits(told(WIDTH, show), told(400, show), copied=("  cdp ",))


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (" 19.0 s  kafka          starting", " 19.0 s  kafka          starting"),
        (
            "  19.0 s  profiles       waiting for kafka, jobmanager, taskmanager-1, taskmanager-2, taskmanager-3",
            "  19.0 s  profiles       waiting for kafka, jobmanager, taskmanager-1, ...",
        ),
        ("x" * 90, "x" * 75 + " ..."),
    ],
)
def test_a_line_of_progress_without_a_terminal_fits(line: str, shown: str) -> None:
    assert live.shorten(line) == shown
