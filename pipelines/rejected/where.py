"""The filter language of rejected records: what `--where` takes.

    code = 'quality_rule' and field like '$.properties.products%' and log_time > ago(1h)

    condition  = condition "or" condition | condition "and" condition | "not" condition | "(" condition ")" | comparison
    comparison = name ("=" | "!=" | "<>" | "<" | "<=" | ">" | ">=") value | name ["not"] "like" text | name ["not"] "in" "(" value, ... ")"
    value      = text | whole number | "ago" "(" duration ")"

Texts stand in single or double quotes (doubled inside), times are texts as in RFC 3339, durations are `90s 15m 6h 2d 1w`. In a pattern `%`
stands for any characters and `_` for one; a backslash takes `%`, `_` and itself literally. Text is compared with `=`, `!=`, `like`, `in`;
numbers and times also by size. What is read here becomes a tree of whitelisted names and plain values (`conditions`); `matching` makes
SQL or Python of it, and no text of the user ever becomes part of either. (The rule language of `pipelines.audiences.expressions` is read by
Python's own parser, which knows neither `=` nor `like` nor `1h`, and compares profile fields of any type; hence a language of its own.)
"""

import difflib
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from pipelines.rejected.conditions import (
    FIELDS,
    AnyText,
    Compare,
    Condition,
    Every,
    Kind,
    Like,
    Not,
    OneCharacter,
    OneOf,
    Operator,
    Pattern,
    Some,
)
from pipelines.rejected.moments import bounded, duration_ms, moment_ms
from schemas import codes

MAX_LENGTH: Final = 2000
MAX_DEPTH: Final = 50
_INT64: Final = 1 << 63
_TOKEN: Final = re.compile(
    r"""(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")|(?P<span>[0-9]+[A-Za-z_][A-Za-z0-9_]*)|(?P<number>-?[0-9]+)(?![A-Za-z0-9_.])"""
    r"""|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<mark><=|>=|!=|<>|==|[=<>(),])"""
)

_OPERATORS: Final[dict[str, Operator]] = {
    "=": "=",
    "==": "=",
    "!=": "!=",
    "<>": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}


class WhereError(ValueError):
    """The text is not of the language; the message says where and what was meant."""


def parse(text: str, now: Callable[[], int]) -> Condition:
    """Read a condition.

    Args:
        text: of the language above.
        now: the moment that `ago` counts from, ms; called only if it is used.

    Raises:
        WhereError: the text is not of the language, or longer than `MAX_LENGTH` characters.
    """
    return _Parser(text, now).whole()


def pattern(text: str) -> Pattern:
    """Read a pattern of `like`.

    Raises:
        WhereError: a backslash before anything but `%`, `_` and a backslash.
    """
    found: list[str | AnyText | OneCharacter] = []
    literal = ""
    rest = iter(text)
    for character in rest:
        if character in "%_":
            found += [literal, AnyText() if character == "%" else OneCharacter()]
            literal = ""
        elif character == "\\":
            after = next(rest, "")
            if after not in ("%", "_", "\\"):
                raise WhereError(f"in the pattern '{text}' a backslash stands before `{after}`; it goes before % _ and \\ only")
            literal += after
        else:
            literal += character
    return tuple(part for part in (*found, literal) if part != "")


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Parser:
    def __init__(self, text: str, now: Callable[[], int]) -> None:
        if len(text) > MAX_LENGTH:
            raise WhereError(f"--where: longer than {MAX_LENGTH} characters")
        self._now = now
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0

    def whole(self) -> Condition:
        found = self._any()
        if (token := self._peek()).kind != "end":
            raise _wrong(token, f"`{token.text}` is too much; join conditions by `and` or `or`")
        return found

    def _any(self) -> Condition:
        parts = [self._all()]
        while self._word("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._word("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self) -> Condition:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _wrong(self._peek(), f"nested deeper than {MAX_DEPTH}")
        try:
            if self._word("not"):
                return Not(self._one())
            if self._mark("("):
                inner = self._any()
                self._expect(")")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Condition:
        token = self._take()
        if token.kind != "name":
            raise _wrong(token, f"a field is wanted, not `{token.text or 'the end'}`; there are {', '.join(FIELDS)}")
        field = token.text.lower()
        if field not in FIELDS:
            raise _wrong(token, f"unknown field `{token.text}`{_near(field, FIELDS)}; there are {', '.join(FIELDS)}")
        negated = self._word("not")
        if self._word("like"):
            return _negated(Like(field, self._pattern(field)), negated)
        if self._word("in"):
            return _negated(OneOf(field, self._values(field)), negated)
        sign = self._take()
        if negated or sign.text not in _OPERATORS:
            raise _wrong(sign, f"`{sign.text or 'the end'}` where a comparison is wanted: = != < <= > >= like in")
        operator = _OPERATORS[sign.text]
        if FIELDS[field] == "text" and operator not in ("=", "!="):
            raise _wrong(sign, f"`{field}` is a text: compare it by =, !=, like or in")
        return Compare(field, operator, self._value(field))

    def _pattern(self, field: str) -> Pattern:
        token = self._take()
        if FIELDS[field] != "text" or token.kind != "text":
            raise _wrong(token, f"`like` compares a text with a quoted pattern; `{field}` is a {FIELDS[field]}")
        try:
            return pattern(_unquoted(token))
        except WhereError as error:
            raise _wrong(token, str(error)) from error

    def _values(self, field: str) -> tuple[str | int, ...]:
        self._expect("(")
        values = [self._value(field)]
        while self._mark(","):
            values.append(self._value(field))
        self._expect(")")
        return tuple(values)

    def _value(self, field: str) -> str | int:
        token, kind = self._take(), FIELDS[field]
        if kind == "text" and token.kind == "text":
            return _known_code(token) if field == "code" else _unquoted(token)
        if kind == "number" and token.kind == "number" and -_INT64 <= int(token.text) < _INT64:
            return int(token.text)
        if kind == "time" and token.kind == "text" and (moment := moment_ms(_unquoted(token))) is not None:
            return bounded(moment)
        if kind == "time" and token.kind == "name" and token.text.lower() == "ago":
            return self._ago()
        wanted = {
            "text": "a text in quotes",
            "number": "a whole number of at most 64 bits",
            "time": "ago(1h) or a time in quotes, e.g. '2026-01-31T10:00:00Z'",
        }
        raise _wrong(token, f"`{field}` is compared with {wanted[kind]}, not with `{token.text or 'the end'}`")

    def _ago(self) -> int:
        self._expect("(")
        token = self._take()
        span = duration_ms(token.text) if token.kind == "span" else None
        if span is None:
            raise _wrong(token, f"`{token.text or 'the end'}` is no duration; write ago(90s), ago(15m), ago(6h), ago(2d) or ago(1w)")
        self._expect(")")
        return bounded(self._now() - span)

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek()
        if token.kind != "end":
            self._next += 1
        return token

    def _word(self, word: str) -> bool:
        token = self._peek()
        found = token.kind == "name" and token.text.lower() == word
        self._next += found
        return found

    def _mark(self, mark: str) -> bool:
        found = self._peek().text == mark
        self._next += found
        return found

    def _expect(self, mark: str) -> None:
        if not self._mark(mark):
            token = self._peek()
            raise _wrong(token, f"`{mark}` is wanted, not `{token.text or 'the end'}`")


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            quote = "; a quote is not closed" if text[at] in "'\"" else ""
            raise WhereError(f"--where: column {at + 1}: `{text[at : at + 12]}` cannot be read{quote}")
        found.append(_Token(str(match.lastgroup), match[0], at))
        at = match.end()
    return [*found, _Token("end", "", len(text))]


def _unquoted(token: _Token) -> str:
    quote = token.text[0]
    inner = token.text[1:-1].replace(quote * 2, quote)
    if any(character < " " or "\ud800" <= character <= "\udfff" for character in inner):
        raise _wrong(token, "control characters cannot be compared")
    return inner


def _known_code(token: _Token) -> str:
    code = _unquoted(token)
    if code not in codes.ALL:
        raise _wrong(token, f"no code `{code}`{_near(code, codes.ALL)}; there are {', '.join(codes.ALL)}")
    return code


def _near(name: str, known: "dict[str, Kind] | tuple[str, ...]") -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean `{near[0]}`?" if near else ""


def _negated(found: Condition, negated: bool) -> Condition:
    return Not(found) if negated else found


def _wrong(token: _Token, why: str) -> WhereError:
    return WhereError(f"--where: column {token.at + 1}: {why}")
