"""Tables fit the terminal: no line is longer than there is room, no figure is cut, nothing is lost."""

import io
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.table import Table

from cli import live, rfm_commands
from cli.audit.report import Check, Report
from cli.fitting import fitted
from cli.profile_card import card, lasting
from cli.rfm_refresh import Outcome
from cli.terminal import safe_console
from config import loader
from config.definitions import CutPoints
from demo import showcase
from pipelines.history.cut_points import Effect
from profile_store.profile import Profile
from stack.overview import Line

FIGURE = re.compile(r"\d[\d,.]*")
DEFINITIONS = loader.definitions()
words = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=12)
texts = st.lists(words, max_size=6).map(" ".join)
figures = st.integers(0, 10**12).map(lambda number: f"{number:,}")


def printed(width: int, *renderables: Any) -> list[str]:
    console = safe_console(file=io.StringIO(), width=width)
    for renderable in renderables:
        console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@st.composite
def tables(draw: st.DrawFn) -> tuple[Table, list[list[str]]]:
    kinds = draw(st.lists(st.booleans(), min_size=1, max_size=9))
    table = Table(box=None if draw(st.booleans()) else Table().box, pad_edge=draw(st.booleans()))
    for is_figure in kinds:
        table.add_column("_".join(draw(st.lists(words, min_size=1, max_size=3))), justify="right" if is_figure else "left")
    rows = draw(st.lists(st.tuples(*(figures if is_figure else texts for is_figure in kinds)).map(list), max_size=5))
    for row in rows:
        table.add_row(*row)
    return table, rows


@given(tables(), st.integers(30, 120))
def test_any_table_fits_any_width_and_keeps_every_figure_and_word(made: tuple[Table, list[list[str]]], width: int) -> None:
    table, rows = made
    lines = printed(width, table)
    assert all(cell_len(line) <= width for line in lines)
    assert "…" not in "".join(lines)
    said = " ".join(lines)
    for row in rows:
        for word in " ".join(row).split():
            assert word in said, "short words and figures are never broken"


def test_a_table_that_fits_stays_as_it_is() -> None:
    table = Table("a", "b")
    console = safe_console(width=80)
    assert fitted(table, console, 80) is table


def outcome() -> Outcome:
    cuts = CutPoints(1, [14.5, 31.25, 62.125, 125.0], [1, 2, 3, 5], [215.31, 455.69, 1024.5, 2406.38])
    segments = dict.fromkeys(["champions", "high_value_dormant", "needs_attention", "hibernating", "lost"], 1_234)
    effect = Effect(["p"] * 3_210, *(type(Effect([], *({} for _ in range(4))).before)(segments) for _ in range(4)))  # type: ignore[arg-type]
    return Outcome(
        "demo", ["c"] * 4_338, ["g"] * 2_190, CutPoints(0, [14, 30, 60, 120], [1, 2, 4, 8], [100, 300, 700, 1500]), cuts, ["moved"], effect
    )


TOLD = {"source": "demo-web-shop", "at": 1_700_000_000_000, "verified": False}
FIELDS: dict[str, Any] = {
    **{
        f"{feature.name}_{window}": 280_206.02 if feature.measure == "amount" or feature.difference else 12_345
        for feature in DEFINITIONS.features.features
        for window in feature.windows
    },
    "average_basket": 3_730.42,
    "mean_interpurchase_days": 4.83,
    "recency_days": 1.25,
    "recency_ratio": 0.26,
    "rfm_segment": "high_value_dormant",
    "r_score": 5, "f_score": 5, "m_score": 5, "rfm_version": 1,
    "first_seen_at": 1_700_000_000_000, "last_seen_at": 1_700_900_000_000,
    "top_products": [[f"2316{index}", 14_000] for index in range(5)],
    "channels": {"web": 3_000, "store": 1_000, "mini_program": 10, "call_centre": 4, "community": 2},
    "sessions": 123_456,
    **{f"tag:{rule.name}": 1 for rule in DEFINITIONS.tags},
    "trait:city": "Leeds", "trait:address": {"city": "Leeds", "street": "1 High Street", "postcode": "LS1 4AP", "country": "GB"},
    "traits": {
        "city": TOLD | {"conflicts": [TOLD | {"value": "York"}] * 9},
        "address": TOLD | {"source": "erp/binlog.000012", "verified": True, "conflicts": []},
        "email": TOLD | {"personal": True, "conflicts": [TOLD]},
    },
    "groups": {"account": [f"acme-{number}" for number in range(20)]},
}  # fmt: skip
GROUPS_OWN = ("traits", "trait:city", "trait:address", "first_seen_at", "last_seen_at")
PERSONAL = {"email": {"value": "a.rather.long.name@mail.example.com", "conflicts": [TOLD | {"value": "short@example.com"}]}}


def shown_rfm(console: Any) -> None:
    rfm_commands._show(console, outcome())


def shown_segments(console: Any) -> None:
    row = {
        "segment": "high_value_dormant", "customers": 1_234, "share": 0.2861, "average_recency_days": 123.4,
        "average_orders_365d": 12.34, "average_net_365d": 12_345.67, "net_365d_total": 5_979_600.12,
    }  # fmt: skip
    console.print(showcase.of_rows("RFM segments", [row] * 9))


def shown_card(console: Any) -> None:
    profile = Profile("demo", "0123456789abcdef", (12, 3_456), 1_700_000_000_000, FIELDS)
    for personal in (None, PERSONAL):
        nodes = [f"user_id:{index}" for index in range(9)]
        console.print(card(profile, nodes, DEFINITIONS, "GBP", 1_800_000_000.0, 1_700_000_690_129, personal))
    group = msgspec.structs.replace(profile, fields={"kind": "household", "members": 1_234} | {name: FIELDS[name] for name in GROUPS_OWN})
    console.print(card(group, ["household:h1"], DEFINITIONS, "GBP", 1_800_000_000.0, None))


def shown_verify(console: Any) -> None:
    report = Report()
    report.checks.append(
        Check("cdp.raw.clickstream partition 0 ends once", 1_234_567, 1_234_567, note="a long note that has to be folded " * 3)
    )
    report.checks.append(Check("rows of profile_changes in ClickHouse", 9_999_999, 9_999_998, ["demo|user_id|17850: " + "x" * 200]))
    report.show(console)


def shown_status(monkeypatch: pytest.MonkeyPatch, console: Any) -> None:
    monkeypatch.setattr(live, "plain_console", lambda: console)
    live.print_status(
        [
            Line(
                "taskmanager-1",
                "ready",
                1_234_567,
                [19092, 19093],
                1_234.0,
                123_456.0,
                12,
                86_400.0 * 12,
                "a detail that is quite long " * 4,
            )
        ]
    )


@pytest.mark.parametrize("show", [shown_rfm, shown_segments, shown_card, shown_verify])
def test_what_the_commands_show_fits_80_columns(show: Any) -> None:
    wide, narrow = (safe_console(file=io.StringIO(), width=width) for width in (400, 80))
    for console in (wide, narrow):
        show(console)
    told, lines = wide.file.getvalue(), narrow.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line for line in lines if cell_len(line) > 80] == []
    said = "\n".join(lines)
    assert said.count("…") <= told.count("…"), "only what is abbreviated with any room"
    for figure in FIGURE.findall(told):
        assert figure.rstrip(".,") in said


def test_the_status_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    console = safe_console(file=io.StringIO(), width=80)
    shown_status(monkeypatch, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(cell_len, lines)) <= 80
    assert {"1234567", "1234", "123456", "12"} <= set(" ".join(lines).split())


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.3, "0.3 s"), (41, "41 s"), (719, "12 min"), (19_200, "5 h 20 min"), (86_400, "24 h"), (690_129, "8 days"), (417_312, "4.8 days"),
        (366 * 86_400, "1 year 1 day"), (730 * 86_400, "2 years"),
    ],
)  # fmt: skip
def test_durations_read_like_durations(seconds: float, said: str) -> None:
    assert lasting(seconds) == said
