"""Rules in a real ClickHouse hold of the rows of which they hold in Python, operator by operator, and with values missing."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import orjson
import pytest

from config import loader
from pipelines.rules import functions, python, sql, writing
from pipelines.rules.functions import ALL
from pipelines.rules.tree import Call, Field, Kind, Node, names, walk
from sinks.clickhouse import ClickHouse
from tests.random_rules import COLUMNS, NOW, SYMBOLS, RandomRules, functions_of
from tests.stacks import Stack

ROWS = 40
RULES = 500
AT_ONCE = 50
EACH = 12


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    made = RandomRules(11)
    return [{"id": number, **made.row()} for number in range(ROWS)]


@pytest.fixture(scope="module")
def server(stack: Stack, rows: list[dict[str, Any]]) -> Iterator[ClickHouse]:
    address = loader.platform().clickhouse
    root, server = ClickHouse(address, database=""), ClickHouse(address, database="rules")
    root.command("CREATE DATABASE rules")
    server.command(f"CREATE TABLE rows (id UInt32, {', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())}) ENGINE = Memory")
    server.command("INSERT INTO rows FORMAT JSONEachRow\n" + "\n".join(orjson.dumps(row).decode() for row in rows))
    yield server
    root.command("DROP DATABASE rules")


@pytest.fixture(scope="module")
def judged(server: ClickHouse) -> list[tuple[Node, list[bool]]]:
    """Rules with ClickHouse's verdict on each row: some at random, and some for each function by each of its signatures."""
    made = RandomRules(12)
    rules = [made.condition() for _ in range(RULES)]
    for function in ALL.values():
        for takes, gives in function.signatures:
            rules += [_as_condition(made.of(function, takes, gives), gives, made) for _ in range(EACH)]
    found: list[tuple[Node, list[bool]]] = []
    for begin in range(0, len(rules), AT_ONCE):
        some = rules[begin : begin + AT_ONCE]
        verdicts = server.rows(
            f"SELECT {', '.join(f'toUInt8({sql.condition(rule, SYMBOLS)}) AS c{at}' for at, rule in enumerate(some))} FROM rows ORDER BY id"
        )
        found += [(rule, [bool(row[f"c{at}"]) for row in verdicts]) for at, rule in enumerate(some)]
    return found


def _as_condition(node: Node, gives: Kind, made: RandomRules) -> Node:
    """A value becomes a comparison with another one of its kind."""
    if gives == "truth":
        return node
    return Call("=" if gives == "text" else "<=", (node, made.value(gives)))


def test_ten_thousand_pairs_of_rule_and_row_agree(judged: list[tuple[Node, list[bool]]], rows: list[dict[str, Any]]) -> None:
    pairs = 0
    asked: Counter[tuple[str, bool]] = Counter()
    for rule, verdicts in judged:
        holds = python.condition(rule, SYMBOLS)
        for row, verdict in zip(rows, verdicts, strict=True):
            assert holds(row, NOW) is verdict, (writing.write(rule), sql.condition(rule, SYMBOLS), row)
            pairs += 1
            is_missing = any(row[name] is None for name in names(rule) if name != "now")
            asked.update((name, is_missing) for name in functions_of(rule))
    assert pairs >= 10_000
    over_sets = {"count", "has_any", "has_all", "sum", "min", "max", "ago"}  # sets and lists are empty, and `ago` takes literals too
    for name in ALL:
        assert asked[name, False] >= 100, name
        assert asked[name, True] >= 100 or name in over_sets, name


def test_most_rules_tell_rows_apart(judged: list[tuple[Node, list[bool]]]) -> None:
    assert sum(0 < sum(verdicts) < ROWS for _, verdicts in judged) > len(judged) / 3


@pytest.mark.parametrize("name", [name for name, function in ALL.items() if function.python])
def test_an_operator_that_is_broken_in_one_of_both_is_noticed(
    name: str, judged: list[tuple[Node, list[bool]]], rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = ALL[name]
    broken = {"<": "{0} <= {1}", "<=": "{0} < {1}", ">": "{0} >= {1}", ">=": "{0} > {1}", "=": "{0} is {1}", "-": "{1} - {0}"}
    changed = broken.get(name) or (f"not ({right.python})" if right.is_condition else f"({right.python}) * 1.5 + 1")
    monkeypatch.setitem(functions.ALL, name, msgspec.structs.replace(right, python=changed))
    for rule, verdicts in judged:
        if name in functions_of(rule):
            holds = python.condition(rule, SYMBOLS)
            try:
                if [holds(row, NOW) for row in rows] != verdicts:
                    return
            except TypeError:
                return
    pytest.fail(f"nobody noticed that `{name}` is `{changed}`")


def test_values_are_the_same_to_the_last_bit(server: ClickHouse, rows: list[dict[str, Any]]) -> None:
    made = RandomRules(13)
    numbers = [(function, takes) for function in ALL.values() for takes, gives in function.signatures if gives == "number"]
    nodes = [made.of(function, takes, "number", 2) for function, takes in numbers for _ in range(EACH)]
    for begin in range(0, len(nodes), AT_ONCE):
        some = nodes[begin : begin + AT_ONCE]
        columns = ", ".join(f"toString(toFloat64({sql.value(node, SYMBOLS)}) + 0.) AS c{at}" for at, node in enumerate(some))
        for row, found in zip(rows, server.rows(f"SELECT {columns} FROM rows ORDER BY id"), strict=True):
            for at, node in enumerate(some):
                ours = python.value(node, SYMBOLS)(row, NOW)
                theirs = found[f"c{at}"]
                assert (ours is None) == (theirs is None), (writing.write(node), row)
                assert ours is None or repr(float(ours) + 0.0) == repr(float(theirs)), (writing.write(node), sql.value(node, SYMBOLS), row)


def test_what_a_rule_reads_is_all_that_its_sql_names() -> None:
    made = RandomRules(14)
    for _ in range(300):
        rule = made.condition()
        fields = {one.name for one in walk(rule) if isinstance(one, Field)}
        text = sql.condition(rule, SYMBOLS)
        assert all(name in text for name in fields - {"now"})
