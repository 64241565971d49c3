"""Random rules and rows for them: every operator and function over every kind it takes, every value missing now and then."""

import random
from collections import Counter
from typing import Any

from pipelines.rules.functions import ALL, Function
from pipelines.rules.symbols import Symbol, Symbols
from pipelines.rules.tree import Call, Field, Kind, Literal, Node, walk

NOW = 1_767_225_600_000.0 + 45_296_789
_NUMBERS = [0.0, 1.0, -1.0, 2.0, 3.0, 0.5, -2.5, 0.1, 2.675, 1e3, 1e15, -7.25, 1e300, 123456.789]
_TEXTS = ["", "a", "A", "web", "it's", "100%", "a_b", "Ünï", "购物", "back\\slash", "`", "null", "2026-01-31", "🎈x"]
_PATTERNS = ["%", "_", "a%", "%b", "%a%b%", "_eb", "100\\%", "a\\_b", "\\\\", "%\\\\%", "", "购%", "__", "%ï", "🎈_"]
_TIMES = [0.0, 1_767_225_600_000.0, NOW, NOW - 86_400_000, -1.0, 951_782_400_000.0, 1_798_761_599_999.0]
_DURATIONS = [0.0, 1.0, 1000.0, 90_000.0, 3_600_000.0, 86_400_000.0, 30 * 86_400_000.0, -60_000.0]
_COLUMNS: dict[Kind, tuple[str, str]] = {
    "number": ("n", "{}"),
    "text": ("t", "{}"),
    "truth": ("b", "{}"),
    "time": ("m", "{}"),
    "duration": ("d", "{}"),
    "set": ("s", "{}"),
}
SYMBOLS = Symbols(
    [
        *(
            Symbol(name=f"{letter}{number}", kind=kind, sql=f"{letter}{number}")
            for kind, (letter, _) in _COLUMNS.items()
            for number in (1, 2, 3)
        ),
        Symbol(name="n4", kind="number", sql="n4", is_checked=True, english="orders in the last 30 days", chinese="最近30天的订单数"),
        Symbol(name="t4", kind="text", sql="t4", english="the segment", chinese="客户分层"),
        Symbol(
            name="lines",
            kind="list",
            sql="lines",
            entries={
                "price": Symbol(name="price", kind="number", sql="tupleElement(entry, 'price')"),
                "units": Symbol(name="units", kind="number", sql="tupleElement(entry, 'units')"),
            },
        ),
    ],
    "a row",
    now_sql=f"toFloat64({NOW!r})",
)
COLUMNS = {
    **{
        f"{letter}{number}": f"Nullable({sql})"
        for letter, sql in {"n": "Float64", "t": "String", "b": "Bool", "m": "Float64", "d": "Float64"}.items()
        for number in (1, 2, 3)
    },
    **{f"s{number}": "Array(String)" for number in (1, 2, 3)},
    "n4": "Nullable(Float64)",
    "t4": "Nullable(String)",
    "lines": "Array(Tuple(price Nullable(Float64), units Nullable(Float64)))",
}


class RandomRules:
    """Makes rules and rows.

    Args:
        seed: the same one makes the same.

    Attributes:
        made: how often each operator with each kind of its first argument was made.
    """

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self.made: Counter[tuple[str, Kind]] = Counter()

    def row(self) -> dict[str, Any]:
        """Values for all columns; a quarter of them missing."""
        dice = self._dice
        made: dict[str, Any] = {}
        for name in COLUMNS:
            pool: list[Any] = {"n": _NUMBERS, "t": _TEXTS, "b": [True, False], "m": _TIMES, "d": _DURATIONS}.get(name[0], [])
            if name[0] == "s":
                made[name] = dice.sample(_TEXTS, dice.randrange(4))
            elif name == "lines":
                made[name] = [
                    {"price": self._maybe(_NUMBERS[:8], 0.1), "units": self._maybe(_NUMBERS[:5], 0.1)} for _ in range(dice.randrange(4))
                ]
            else:
                made[name] = self._maybe(pool, 0.25)
        return made

    def condition(self, depth: int = 3) -> Node:
        """A condition."""
        dice = self._dice
        if depth > 0 and dice.random() < 0.45:
            name = dice.choice(["and", "or", "not"])
            return Call(name, tuple(self.condition(depth - 1) for _ in range(1 if name == "not" else dice.randrange(2, 4))))
        if dice.random() < 0.05:
            return dice.choice([Literal("truth", True), Literal("truth", False), Field("b1"), Field("b2")])
        return self.call([function for function in ALL.values() if function.is_condition], "truth", depth)

    def of(self, function: Function, takes: tuple[Kind, ...], gives: Kind, depth: int = 1) -> Node:
        """A call of one function by one signature."""
        return self._call(function, takes, gives, depth)

    def value(self, kind: Kind) -> Node:
        """A literal or a field of a kind."""
        return self._value(kind, 0, is_first=False)

    def call(self, functions: list[Function], gives: Kind, depth: int) -> Node:
        """A call of one of several functions that gives a kind."""
        possible = [(function, takes) for function in functions for takes, given in function.signatures if given == gives]
        function, takes = self._dice.choice(possible)
        return self._call(function, takes, gives, depth)

    def _call(self, function: Function, takes: tuple[Kind, ...], gives: Kind, depth: int) -> Node:
        dice = self._dice
        if function.form == "over":
            return Call(function.name, (self._entry_term(depth),))
        arguments: list[Node] = []
        for place, kind in enumerate(takes):
            is_literal = place in function.literals
            more = dice.randrange(1, 4) if function.more and place == len(takes) - 1 else 1
            for _ in range(more):
                arguments.append(self._literal(function, kind) if is_literal else self._value(kind, depth - 1, is_first=place == 0))
        if function.name == "negative" and isinstance(arguments[0], Literal):
            return self._call(function, takes, gives, depth)
        self.made[function.name, takes[0]] += 1
        return Call(function.name, tuple(arguments))

    def _value(self, kind: Kind, depth: int, *, is_first: bool) -> Node:
        dice = self._dice
        if kind in ("set", "list"):
            return Field(f"s{dice.randrange(1, 4)}") if kind == "set" else Field("lines")
        if depth > 0 and dice.random() < 0.4:
            functions = [function for function in ALL.values() if any(gives == kind for _, gives in function.signatures)]
            if kind != "truth":
                return self.call(functions, kind, depth)
        if not is_first and dice.random() < 0.5:
            return self._plain_literal(kind)
        if kind == "time" and dice.random() < 0.2:
            return Field("now")
        letter = _COLUMNS[kind][0]
        return Field(f"{letter}{dice.randrange(1, 5 if letter in 'nt' else 4)}")

    def _literal(self, function: Function, kind: Kind) -> Literal:
        if function.name in ("like", "not like"):
            return Literal("text", self._dice.choice(_PATTERNS))
        if function.name == "round":
            return Literal("number", float(self._dice.randrange(4)))
        return self._plain_literal(kind)

    def _plain_literal(self, kind: Kind) -> Literal:
        pools: dict[Kind, list[Any]] = {"number": _NUMBERS, "text": _TEXTS, "truth": [True, False], "time": _TIMES, "duration": _DURATIONS}
        return Literal(kind, self._dice.choice(pools[kind]))

    def _entry_term(self, depth: int) -> Node:
        dice = self._dice
        field = Field(dice.choice(["price", "units"]), "lines")
        if dice.random() < 0.5:
            return field
        return Call(
            dice.choice(["*", "+", "-", "/"]),
            (field, dice.choice([Field("price", "lines"), Field("units", "lines"), Literal("number", 2.0)])),
        )

    def _maybe(self, pool: list[Any], missing: float) -> Any:
        return None if self._dice.random() < missing else self._dice.choice(pool)


def functions_of(node: Node) -> set[str]:
    """Names of all that is called in a rule."""
    return {one.function for one in walk(node) if isinstance(one, Call)}
