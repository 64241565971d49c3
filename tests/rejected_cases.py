"""Random rejected records and conditions over them, for the tests that compare what must agree."""

import random

from hypothesis import strategies as st

from pipelines.rejected import conditions
from pipelines.rejected.record import Record
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
    kinds: dict[conditions.Kind, st.SearchStrategy[str | int]] = {"text": TEXTS, "number": NUMBERS, "time": MOMENTS}
    return kinds[conditions.FIELDS[field]]


@st.composite
def _comparisons(draw: st.DrawFn) -> conditions.Condition:
    field = draw(st.sampled_from(list(conditions.FIELDS)))
    kind = conditions.FIELDS[field]
    shape = draw(st.sampled_from(["compare", "in", "like"] if kind == "text" else ["compare", "in"]))
    if shape == "like":
        parts = draw(st.lists(st.one_of(TEXTS.filter(bool), st.just(conditions.AnyText()), st.just(conditions.OneCharacter())), max_size=4))
        return conditions.Like(field, _joined(parts))
    if shape == "in":
        return conditions.OneOf(field, tuple(draw(st.lists(_values(field), min_size=1, max_size=3))))
    operators = ("=", "!=") if kind == "text" else ("=", "!=", "<", "<=", ">", ">=")
    return conditions.Compare(field, draw(st.sampled_from(operators)), draw(_values(field)))


def _joined(parts: list[object]) -> conditions.Pattern:
    """Two texts in a row are one, as they are when they are read."""
    found: list[object] = []
    for part in parts:
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        else:
            found.append(part)
    return tuple(found)  # type: ignore[arg-type]


def _combined(parts: st.SearchStrategy[conditions.Condition]) -> st.SearchStrategy[conditions.Condition]:
    several = st.lists(parts, min_size=2, max_size=3).map(tuple)
    return st.one_of(parts.map(conditions.Not), several.map(conditions.Every), several.map(conditions.Some))


CONDITIONS = st.recursive(_comparisons(), _combined, max_leaves=6)


def written(condition: conditions.Condition) -> str:
    """A condition as somebody would type it."""
    if isinstance(condition, conditions.Not):
        return f"not ({written(condition.part)})"
    if isinstance(condition, conditions.Compare):
        return f"{condition.field} {condition.operator} {_value(condition.field, condition.value)}"
    if isinstance(condition, conditions.OneOf):
        return f"{condition.field} in ({', '.join(_value(condition.field, value) for value in condition.values)})"
    if isinstance(condition, conditions.Like):
        return f"{condition.field} like {_quoted(''.join(_in_pattern(part) for part in condition.pattern))}"
    word = " and " if isinstance(condition, conditions.Every) else " or "
    return word.join(f"({written(part)})" for part in condition.parts)


def _in_pattern(part: str | conditions.AnyText | conditions.OneCharacter) -> str:
    if isinstance(part, str):
        return "".join("\\" + character if character in "%_\\" else character for character in part)
    return "%" if isinstance(part, conditions.AnyText) else "_"


def _value(field: str, value: str | int) -> str:
    if conditions.FIELDS[field] == "time":
        return _quoted(f"2023-11-14T22:13:20.{int(value) - FIRST_MS:03d}Z")
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
