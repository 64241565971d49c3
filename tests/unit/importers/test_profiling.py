"""A look at a source: what it says is so, nothing personal is shown, and its draft always loads."""

import datetime as dt
import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.main import app
from importers.mapping import compile_mapping
from importers.mapping.options import DEFAULT, Options
from importers.profiling import names
from importers.profiling.draft import draft
from importers.profiling.fields import EXACT, Field
from importers.profiling.kinds import joint, kind_of
from importers.profiling.reading import guess_options
from importers.profiling.survey import Survey, Surveyor
from schemas import contracts
from schemas.plans import CompiledPlan, Plan
from stack.settings import PROJECT

NAMESPACES = ["user_id", "member_id", "phone", "email", "open_id", "device_id", "anonymous_id"]
CONTRACTS = contracts.load()


def survey(records: list[dict[str, Any]], source: str = "source") -> Survey:
    with Surveyor(source, NAMESPACES) as surveyor:
        for record in records:
            surveyor.add(record)
        return surveyor.result(whole=True)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "missing"), ("", "missing"), ("  ", "missing"), (True, "boolean"), (1, "integer"), (1.5, "number"), ({}, "object"),
        ([], "list"), ("17", "text:integer"), ("-3", "text:integer"), ("007", "text"), ("0.5", "text:number"), ("1,234.50", "text:number"),
        ("1.234,50", "text:number,"), ("4,5", "text:number,"), ("£5", "text:money"), ("5 EUR", "text:money"), ("T-1001", "text"),
        ("85123A", "text"), ("yes", "text:boolean"), ("2026-11-02", "text:time"), ("02/11/2026 09:15", "text:time"),
        ("31.12.2026", "text:time"), ("ada@example.org", "text:email"), ("+44 20 7946 0018", "text:phone"),
        ("020 7946 0018", "text:phone"), ("https://example.org", "text:url"), ("8d777f38-5d3d-4fec-815d-20f7496026dc", "text:uuid"),
        ('{"a": 1}', "text:json"), ("hello", "text"), ("1.2.3", "text"),
    ],
)  # fmt: skip
def test_what_a_value_is(value: Any, kind: str) -> None:
    assert kind_of(value) == kind


@given(st.text(max_size=70))
@settings(deadline=None)
def test_every_text_is_of_some_kind(text: str) -> None:
    assert kind_of(text).startswith(("text", "missing"))


def test_values_of_several_kinds_are_what_all_of_them_can_be_read_as() -> None:
    assert joint(["text:integer", "text:number"]) == "text:number"
    assert joint(["text:integer", "text:number,"]) == "text:number,"
    assert joint(["text:number", "text:number,"]) == "text"
    assert joint(["text:integer", "missing"]) == "text:integer"
    assert joint(["integer", "text"]) == "mixed"
    assert joint(["missing"]) == "missing"


@pytest.mark.parametrize(
    ("name", "namespace"),
    [
        ("CustomerID", "user_id"), ("customer_no", "user_id"), ("userId", "user_id"), ("client number", "user_id"), ("E-Mail", "email"),
        ("billing.email", "email"), ("mobile", "phone"), ("cookie_id", "anonymous_id"), ("device_id", "device_id"),
        ("loyalty_card_no", "member_id"),
        ("customer_name", ""), ("order_id", ""), ("StockCode", ""), ("userAgent", ""),
    ],
)  # fmt: skip
def test_which_names_speak_of_identifiers(name: str, namespace: str) -> None:
    assert names.namespace_of(name, NAMESPACES) == namespace


def test_which_names_are_personal() -> None:
    assert all(
        map(names.is_personal, ["email", "firstName", "last_name", "name", "customer_name", "Birthday", "postcode", "client.address", "IP"])
    )
    assert not any(map(names.is_personal, ["product_name", "filename", "description", "price", "shipping_method", "zipped"]))


scalars = st.one_of(
    st.none(), st.integers(-5, 5), st.booleans(), st.sampled_from(["", "a", "b", "7", "4,5", "£5", "2026-11-02", "x@example.org"])
)
tables = st.lists(st.dictionaries(st.sampled_from(["a", "b", "order_id"]), scalars, max_size=3), max_size=30)


@given(tables)
@settings(deadline=None)
def test_the_counts_are_those_of_the_rows(records: list[dict[str, Any]]) -> None:
    found = survey(records)
    assert found.rows == len(records)
    whole = [orjson.dumps(record, option=orjson.OPT_SORT_KEYS) for record in records]
    assert found.duplicates == len(whole) - len(set(whole))
    for field in found.fields:
        values = [record[field.name] for record in records if record.get(field.name) not in (None, "")]
        assert field.filled == pytest.approx(len(values) / len(records))
        assert field.distinct == len({(type(value), value) for value in values})
        assert field.is_exact
        assert field.is_unique == (len(values) > 1 and field.distinct == len(values))
        assert sum(field.kinds.values()) == pytest.approx(1 if values else 0)
    for key in found.keys:
        rows: dict[Any, list[bytes]] = {}
        for record, row in zip(records, whole, strict=True):
            value = record.get(key.field)
            if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
                rows.setdefault(value, []).append(row)
        assert key.values == len(rows)
        assert key.repeated == sum(len(group) > 1 for group in rows.values())
        assert key.conflicting == sum(len(set(group)) > 1 for group in rows.values())


def test_numbers_that_python_hashes_alike_are_different_keys() -> None:
    found = survey([{"order_id": number} for number in (-1, -2, 0, 2**61 - 1)])
    assert [(key.values, key.repeated, key.conflicting) for key in found.keys] == [(4, 0, 0)]


def test_many_values_are_estimated_the_same_way_each_time() -> None:
    def counted() -> int:
        field = Field(("x",))
        for number in range(EXACT * 5):
            field.add(f"value {number}")
        found = field.summary(EXACT * 5)
        assert not found.is_exact
        assert found.is_unique
        return found.distinct

    assert counted() == counted() == pytest.approx(EXACT * 5, rel=0.05)


def test_bounds_of_numbers_are_by_size_also_when_they_are_text() -> None:
    (field,) = survey([{"n": text} for text in ("9", "10", "-2.5", "1,000")]).fields
    assert (field.kind, field.smallest, field.largest) == ("text:number", "-2.5", "1000")


def test_nested_fields_are_filled_in_relation_to_what_is_around_them() -> None:
    records = [{"who": {"email": "a@example.org"}, "lines": [{"sku": "x"}, {"sku": None}]}, {"who": None, "lines": []}]
    found = {field.name: field for field in survey(records).fields}
    assert (found["who"].filled, found["who.email"].filled, found["lines[].sku"].filled) == (0.5, 1.0, 0.5)


def test_times_are_told_by_the_formats_that_fit_all_of_them() -> None:
    clear = survey([{"at": "31/12/2026 10:00"}, {"at": "01/02/2026 11:00"}])
    assert clear.times == {"at": ["%d/%m/%Y %H:%M"]}
    unclear = survey([{"at": "01/02/2026"}, {"at": "03/04/2026"}])
    assert unclear.times == {"at": ["%d/%m/%Y", "%m/%d/%Y"]}
    assert any("day and month cannot be told apart" in line for line in unclear.advice)
    assert survey([{"at": "31/12/2026"}, {"at": "12/31/2026"}]).times == {}


def test_lines_that_belong_together_are_told_from_contradictions() -> None:
    lines = [{"invoice_no": str(number // 3), "sku": f"s{number % 5}", "qty": number} for number in range(300)]
    said = survey(lines).advice
    assert any("`group_by: invoice_no` with `groups: adjacent`" in line for line in said)
    customers = [{"customer_no": str(number % 40), "city": f"c{number % 80}"} for number in range(200)]
    key = next(one for one in survey(customers).keys if one.field == "customer_no")
    assert (key.values, key.repeated, key.conflicting) == (40, 40, 40)


def test_nothing_personal_is_shown() -> None:
    records = [
        {"email": f"ada{n}@example.org", "phone": f"+44 20 7946 00{n:02}", "last_name": f"Lovelace{n}", "memo": f"ada{n}@example.org"}
        for n in range(60)
    ]
    shown = json.dumps([[field.examples, field.smallest, field.largest] for field in survey(records).fields])
    assert "example" not in shown
    assert "7946" not in shown
    assert "Lovelace" not in shown


weird = st.text(min_size=1, max_size=6)
values = st.recursive(
    st.one_of(scalars, st.floats(allow_nan=False, allow_infinity=False), weird),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(weird, inner, max_size=2)),
    max_leaves=4,
)
columns = st.one_of(
    weird, st.sampled_from(["id", "Ticket No", "ticket_id", "opened at", "email", "$each", "a.b", "价格", "line\nbreak", "no", "rows", "'"])
)


@given(
    st.lists(st.dictionaries(columns, values, max_size=5), max_size=6), st.sampled_from(["a/b c.csv", "topic.name", "价格.csv", "$", "x"])
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_draft_loads_whatever_the_source_is_and_leaves_no_field_out(records: list[dict[str, Any]], source: str) -> None:
    found = survey(records, source)
    made = draft(found, records, CONTRACTS)
    rules = compile_mapping(made.mapping, "draft.yaml")
    assert made.mapped + sum(made.failed.values()) == len(records)
    tops = [field for field in found.fields if len(field.path) == 1 and field.filled > 0]
    left = {field.path[0] for field in tops if field.name not in found.identifiers and field.name not in found.times}
    assert {path[0] for path in rules.reads()} >= left


def test_a_draft_of_a_table_that_fits_a_contract_is_that_event(tmp_path: Path) -> None:
    path = PROJECT / "data/examples/tickets.csv"
    assert guess_options(path) == Options(delimiter=";")
    said = CliRunner().invoke(app, ["source", "profile", str(path), "--out", str(tmp_path)], env={"COLUMNS": "160"})
    assert said.exit_code == 0, said.output
    assert "draft: `Ticket Opened`; of 5 rows 5 can be mapped by it" in said.output
    rules = compile_mapping((tmp_path / "tickets.mapping.yaml").read_text(), "draft.yaml")
    assert rules.options.delimiter == ";"
    plan = (tmp_path / "tickets.plan.yaml").read_text()
    assert "ticket_id:\n        type: key\n        required: true" in plan
    drafted = msgspec.convert(yaml.safe_load(plan), Plan)
    CompiledPlan("drafted", drafted, contracts.load())
    dry = CliRunner().invoke(app, ["import", str(path), "-m", str(tmp_path / "tickets.mapping.yaml"), "--dry-run"])
    assert "would be sent" in dry.output
    assert "would fail" not in dry.output


def test_a_profile_as_json_is_for_programs(tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["source", "profile", str(PROJECT / "data/examples/leads.jsonl"), "--json"])
    found = json.loads(said.stdout)
    assert found["identifiers"] == {"email": "email", "phone": "phone", "visitor": "anonymous_id"}
    assert found["rows"] == 3
    assert Counter(field["kind"] for field in found["fields"])["text:time"] == 1


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (b"a,b\n1,2\n", DEFAULT),
        (b"a;b\n1,5;2\n", Options(delimiter=";")),
        (b"a\tb,c\n1\t2\n", Options(delimiter="\t")),
        ("a|b\nö|2\n".encode("cp1252"), Options(delimiter="|", encoding="cp1252")),
        ("a,b\n1,2\n".encode("utf-16"), Options(encoding="utf-16")),
    ],
)
def test_the_dialect_of_a_file_is_guessed_by_its_beginning(tmp_path: Path, content: bytes, options: Options) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    assert guess_options(path) == options


def test_the_clock_of_the_examples_is_not_that_of_the_profile() -> None:
    """Two looks at one source are the same, whenever they are made."""
    records = [{"at": dt.datetime(2026, 1, 1, hour).isoformat(), "n": hour} for hour in range(24)]
    assert survey(records) == survey(records)
