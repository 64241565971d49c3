"""Random rejected records and conditions over them, for the tests that compare what must agree."""

import random

from hypothesis import strategies as st

from pipelines.rejected import conditions
from pipelines.rejected.record import Record
from pipelines.rules.tree import Call, Field, Kind, Literal, Node
from schemas import codes

# Few letters, so that conditions hit, and all that has a meaning in SQL, in patterns, in quotes or in the wire's escapes.
TEXTS = st.text("ab%_\\'\"$.[]é😀 ", max_size=2)
SOURCES = st.sampled_from(["cdp.raw.orders", "cdp.raw.service"])
FIRST_MS = 1_700_000_000_000
MOMENTS = st.integers(FIRST_MS, FIRST_MS + 3)
NUMBERS = st.integers(-2, 5)


def records(count: int) -> list[Record]:
    """The same random records each time; the offset tells them apart."""
    dice = random.Random(7)

    def text() -> str:
        return "".join(dice.choices("ab%_\\'\"$.[]é😀 ", k=dice.randrange(4)))

    return [
        Record(
            source=dice.choice(["cdp.raw.orders", "cdp.raw.service"]),
            partition=dice.randrange(2),
            offset=number,
            log_time=FIRST_MS + dice.randrange(4),
            code=dice.choice(codes.ALL),
            field=text(),
            rule=text(),
            tenant=dice.choice(["demo", "shop", ""]),
            message_id=text(),
            original=dice.randbytes(dice.randrange(5)),
            origin=text(),
        )
        for number in range(count)
    ]


def _values(field: str) -> st.SearchStrategy[str | int]:
    if field == "code":
        return st.sampled_from(codes.ALL)
    if field == "source":
        return SOURCES
    if field == "position":
        return st.builds("{}:{}:{}".format, SOURCES, st.integers(0, 1), st.integers(0, 4))
    kinds: dict[Kind, st.SearchStrategy[str | int]] = {"text": TEXTS, "number": NUMBERS, "time": MOMENTS}
    return kinds[conditions.FIELDS[field]]


@st.composite
def _comparisons(draw: st.DrawFn) -> Node:
    field = draw(st.sampled_from(list(conditions.FIELDS)))
    kind = conditions.FIELDS[field]
    shape = draw(st.sampled_from(["compare", "in", "like"] if kind == "text" else ["compare", "in"]))
    if shape == "like":
        parts = draw(st.lists(st.one_of(TEXTS.map(_literally), st.sampled_from("%_")), max_size=4))
        return conditions.like(field, "".join(parts))
    if shape == "in":
        values = draw(st.lists(_values(field), min_size=1, max_size=3))
        literals = tuple(Literal(kind, value if isinstance(value, str) else float(value)) for value in values)
        return Call(draw(st.sampled_from(["in", "not in"])), (Field(field), *literals))
    operators = ("=", "!=") if kind == "text" else ("=", "!=", "<", "<=", ">", ">=")
    return conditions.compare(field, draw(st.sampled_from(operators)), draw(_values(field)))


def _literally(text: str) -> str:
    return "".join("\\" + character if character in "%_\\" else character for character in text)


def _combined(parts: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(parts, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        parts.map(lambda part: Call("not", (part,))),
        several.map(lambda found: Call("and", found)),
        several.map(lambda found: Call("or", found)),
    )


CONDITIONS = st.recursive(_comparisons(), _combined, max_leaves=6)


def written(condition: Node) -> str:
    """A condition as somebody would type it."""
    assert isinstance(condition, Call)
    name, given = condition.function, condition.arguments
    if name == "not":
        return f"not ({written(given[0])})"
    if name in ("and", "or"):
        return f" {name} ".join(f"({written(part)})" for part in given)
    field = given[0]
    assert isinstance(field, Field)
    values = [_value(value) for value in given[1:]]
    return f"{field.name} {name} ({', '.join(values)})" if name in ("in", "not in") else f"{field.name} {name} {values[0]}"


def _value(literal: Node) -> str:
    assert isinstance(literal, Literal)
    if literal.kind == "time":
        return _quoted(f"2023-11-14T22:13:20.{int(literal.value) - FIRST_MS:03d}Z")
    return _quoted(literal.value) if isinstance(literal.value, str) else str(int(literal.value))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
