"""The grammar of rules, once, and its three spellings: as rules are written, as an English sentence, as a Chinese one.

A spelling says how operators, durations and fields look; the grammar itself, and so the tree, is the same for all. Texts are read by Lark's
LALR parser: its time is linear in the length of the text.
"""

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from lark import Lark, Token, Tree, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from pipelines.rules import functions
from pipelines.rules.errors import RuleError
from pipelines.rules.moments import UNITS_MS
from pipelines.rules.symbols import Symbols

MAX_LENGTH: Final = 2000
MAX_DEPTH: Final = 30
NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*(?::[A-Za-z_][A-Za-z0-9_]*)?"

_GRAMMAR: Final = r"""
    ?start: either
    ?either: both | both (_OR both)+ -> or
    ?both: denied | denied (_AND denied)+ -> and
    ?denied: comparison | _NOT denied -> not
    ?comparison: sum
        | sum COMPARE sum -> infix
        | sum LIKE sum -> infix
        | sum TEXTUAL sum -> infix
        | sum HAS _OPEN arguments _CLOSE -> member
        | sum MEMBER _OPEN arguments _CLOSE -> member
        | sum MEMBER field -> among
        | sum STATE -> state
    ?sum: product | sum PLUS product -> infix | sum MINUS product -> infix
    ?product: signed | product TIMES signed -> infix | product OVER signed -> infix
    ?signed: value | MINUS signed -> negative
    ?value: NUMBER -> number
        | DURATION -> duration
        | DURATION _AGO -> ago
        | TEXT -> text
        | TRUTH -> truth
        | field
        | NAME _OPEN arguments _CLOSE -> call
        | PHRASE _OPEN arguments _CLOSE -> call
        | _OPEN either _CLOSE
    field: NAME | NAME _DOT NAME | LABEL
    arguments: either (_COMMA either)*
    PLUS: "+"
    MINUS: "-"
    TIMES: "*"
    OVER: "/"
    _DOT: "."
    NAME: /(?!(?:KEYWORDS)(?![A-Za-z0-9_:]))[A-Za-z_][A-Za-z0-9_]*(?::[A-Za-z_][A-Za-z0-9_]*)?|`[^`]+`/
    NUMBER: /[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_.])/
    TEXT: /'(?:[^']|'')*'|"(?:[^"]|"")*"/
    %ignore /\s+/
"""


class Spelling(NamedTuple):
    """How a rule looks in one of its forms.

    Attributes:
        name: `rule`, `english`, `chinese`.
        operators: operator -> its spellings, of which the first is the one that is written.
        logic: the same for `and`, `or`, `not`.
        truths: how true and false are written.
        units: unit of a duration -> its spellings; in the second, if there is one, more than one is counted.
        gap: stands between a duration's number and its unit.
        ago: stands behind a duration that is so long ago; empty: only the function is there.
        marks: opening and closing parenthesis and comma, each the one that is written and others.
        before: what `and` and `or` may have in front of them: the one that is written, and others.
        by_kind: kind of the first argument -> operator -> the spelling that is written instead of the first.
        functions: function -> the phrase that stands for its name.
    """

    name: str
    operators: dict[str, tuple[str, ...]]
    logic: dict[str, tuple[str, ...]]
    truths: tuple[str, str]
    units: dict[str, tuple[str, ...]]
    gap: str = ""
    ago: str = ""
    marks: tuple[str, str, str] = ("(", ")", ",")
    before: str = ""
    by_kind: Mapping[str, Mapping[str, str]] = {}
    functions: Mapping[str, str] = {}


RULE: Final = Spelling(
    "rule",
    {
        "<=": ("<=",),
        ">=": (">=",),
        "!=": ("!=", "<>"),
        "=": ("=", "=="),
        "<": ("<",),
        ">": (">",),
        "like": ("like",),
        "not like": ("not like",),
        "in": ("in",),
        "not in": ("not in",),
        "is missing": ("is missing", "is not known", "is null"),
        "is known": ("is known", "is not missing", "is not null"),
    },
    {"and": ("and",), "or": ("or",), "not": ("not",)},
    ("true", "false"),
    {unit: (unit,) for unit in UNITS_MS},
)
ENGLISH: Final = Spelling(
    "english",
    {
        "<=": ("is at most", "is no later than"),
        ">=": ("is at least", "is no earlier than"),
        "!=": ("is not",),
        "=": ("is",),
        "<": ("is less than", "is earlier than"),
        ">": ("is more than", "is later than"),
        "like": ("matches",),
        "not like": ("does not match",),
        "contains": ("contains",),
        "starts_with": ("starts with",),
        "ends_with": ("ends with",),
        "has_any": ("includes any of",),
        "has_all": ("includes all of",),
        "in": ("is one of",),
        "not in": ("is none of",),
        "is missing": ("is unknown",),
        "is known": ("is known",),
    },
    {"and": ("and",), "or": ("or",), "not": ("it is not so that",)},
    ("true", "false"),
    {
        "ms": ("millisecond", "milliseconds"),
        "s": ("second", "seconds"),
        "m": ("minute", "minutes"),
        "h": ("hour", "hours"),
        "d": ("day", "days"),
        "w": ("week", "weeks"),
    },
    " ",
    "ago",
    by_kind={"time": {"<=": "is no later than", ">=": "is no earlier than", "<": "is earlier than", ">": "is later than"}},
    functions={
        "coalesce": "the first known of",
        "abs": "the size of",
        "round": "the rounded value of",
        "floor": "the next lower whole of",
        "ceil": "the next higher whole of",
        "least": "the smaller of",
        "greatest": "the greater of",
        "length": "the length of",
        "ago": "the moment before now by",
        "days": "the days in",
        "hours": "the hours in",
        "hour": "the hour of",
        "weekday": "the weekday of",
        "count": "the count of",
        "sum": "the sum of",
        "min": "the least of",
        "max": "the greatest of",
    },
)
CHINESE: Final = Spelling(
    "chinese",
    {
        "<=": ("不超过", "不晚于"),
        ">=": ("不少于", "不早于"),
        "!=": ("不是", "不等于"),
        "=": ("是", "等于"),
        "<": ("小于", "早于"),
        ">": ("大于", "晚于"),
        "like": ("匹配",),
        "not like": ("不匹配",),
        "contains": ("包含文字",),
        "starts_with": ("开头是",),
        "ends_with": ("结尾是",),
        "has_any": ("包含任一",),
        "has_all": ("包含全部",),
        "in": ("属于",),
        "not in": ("不属于",),
        "is missing": ("未知",),
        "is known": ("已知",),
    },
    {"and": ("并且",), "or": ("或者",), "not": ("并非",)},
    ("真", "假"),
    {"ms": ("毫秒",), "s": ("秒",), "m": ("分钟",), "h": ("小时",), "d": ("天",), "w": ("周",)},
    " ",
    "前",
    ("（(", "）)", "，,、"),
    "，,",
    by_kind={
        "time": {"<=": "不晚于", ">=": "不早于", "<": "早于", ">": "晚于"},
        "number": {"=": "等于", "!=": "不等于"},
        "duration": {"=": "等于", "!=": "不等于"},
    },
    functions={
        "coalesce": "首个已知值",
        "abs": "绝对值",
        "round": "舍入值",
        "floor": "向下取整",
        "ceil": "向上取整",
        "least": "较小者",
        "greatest": "较大者",
        "length": "字数",
        "ago": "此前时刻",
        "days": "折合天数",
        "hours": "折合小时数",
        "hour": "所在小时",
        "weekday": "星期",
        "count": "个数",
        "sum": "总和",
        "min": "最小值",
        "max": "最大值",
    },
)
SPELLINGS: Final = {spelling.name: spelling for spelling in (RULE, ENGLISH, CHINESE)}
_TAILS: Final = frozenset({"at", "earlier", "known", "later", "less", "more", "no", "none", "not", "one", "unknown"})
"""Words that make another operator of the one before them."""
_INSTEAD: Final = (
    (r"between\b", "`x >= a and x <= b`"),
    (r"ilike\b", "`like`"),
    (r"xor\b", "`(a and not b) or (b and not a)`"),
    (r"&&", "`and`"),
    (r"\|\|", "`or`"),
    (r"!(?!=)", "`not`"),
    ("≥", "`>=`"),
    ("≤", "`<=`"),
    ("≠", "`!=`"),
    ("[“”‘’]", "a text in plain quotes: 'so'"),
    (r"\[", "several values in parentheses: `x in ('a', 'b')`"),
    (r"ago\b", "`ago(14d)`"),
    (r"[0-9]+(?:M|mo|months?|y|years?)\b", "days: months and years differ in length: 30d, 365d"),
    (r"[0-9]+ ?(?:days?|hours?|minutes?|min|weeks?)\b", "a duration as 14d, 6h, 90m, 2w"),
)
"""What other languages have and this one has not, and what to write instead."""
_NEVER: Final = r"/(?!x)x/"
_GROUPS: Final = {
    "COMPARE": ("<=", ">=", "!=", "=", "<", ">"),
    "LIKE": ("like", "not like"),
    "TEXTUAL": ("contains", "starts_with", "ends_with"),
    "HAS": ("has_any", "has_all"),
    "MEMBER": ("in", "not in"),
    "STATE": ("is missing", "is known"),
}


def parse(text: str, symbols: Symbols, where: str, spelling: Spelling = RULE) -> Tree[Token]:
    """Read a text.

    Args:
        text: a rule or a sentence.
        symbols: whose words a sentence may have in place of names.
        where: prefix of error messages.
        spelling: of the text.

    Raises:
        RuleError: the text is not of the grammar, or too long.
    """
    if len(text) > MAX_LENGTH:
        raise RuleError(where, f"longer than {MAX_LENGTH} characters")
    if not text.strip():
        raise RuleError(where, "there is no condition")
    parser = _parser(spelling.name, tuple(words(symbols, spelling)))
    try:
        return parser.parse(text)
    except UnexpectedInput as error:
        is_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        raise RuleError(where, _wrong(text, error), len(text) + 1 if is_end else error.column) from None


def words(symbols: Symbols, spelling: Spelling) -> Mapping[str, str]:
    """The words by which a spelling calls fields, with their names; of two fields with the same words neither has them."""
    if spelling is RULE:
        return {}
    found: dict[str, list[tuple[str, str]]] = {}
    for symbol in symbols.all.values():
        said = symbol.english if spelling is ENGLISH else symbol.chinese
        # "is" and "not returned" would be read as "is not" and "returned".
        if said and normal(said).split(" ")[0] not in _TAILS:
            found.setdefault(normal(said), []).append((said, symbol.name))
    return {pairs[0][0]: pairs[0][1] for pairs in found.values() if len(pairs) == 1}


def normal(token: str) -> str:
    """An operator's text with single spaces and small letters."""
    return " ".join(token.split()).lower()


def operator_of(token: Token, spelling: Spelling) -> str:
    """The operator that a token spells."""
    said = normal(token)
    return next(name for name in _GROUPS[token.type] if said in spelling.operators.get(name, ()))


@functools.lru_cache(maxsize=64)
def _parser(name: str, said: tuple[str, ...]) -> Lark:
    spelling = SPELLINGS[name]
    before = f"[{re.escape(spelling.before)}]?\\s*" if spelling.before else ""
    units = "|".join(
        sorted(
            (re.escape(word) if spelling is RULE else _in_any_case(word) for every in spelling.units.values() for word in every),
            key=len,
            reverse=True,
        )
    )
    terminals = {
        f"{group}.{2 if group == 'COMPARE' else 4}": _any_of(word for name in names for word in spelling.operators.get(name, ()))
        for group, names in _GROUPS.items()
    }
    terminals |= {f"_{name.upper()}.3": _any_of(spelling.logic[name], before if name != "not" else "") for name in functions.LOGIC}
    terminals["TRUTH.3"] = _any_of(spelling.truths)
    terminals["DURATION.4"] = rf"/[0-9]+(?:\.[0-9]+)?\s*(?:{units})(?![A-Za-z0-9_.])/"  # 1M is no minute
    terminals["PHRASE.5"] = _any_of(spelling.functions.values())
    terminals["_AGO.3"] = _any_of([spelling.ago]) if spelling.ago else _NEVER
    terminals["LABEL.6"] = _any_of(said, r"(?<![A-Za-z0-9_])") if said else _NEVER
    for name, marks in zip(("_OPEN", "_CLOSE", "_COMMA"), spelling.marks, strict=True):
        terminals[name] = f"/[{re.escape(marks)}]/"
    written = "\n".join(f"{name}: {pattern}" for name, pattern in terminals.items())
    grammar = _GRAMMAR.replace("KEYWORDS", "|".join(map(_in_any_case, ("and", "or", "not", "in", "like", "is", "true", "false"))))
    return Lark(f"{grammar}\n{written}\n", parser="lalr", propagate_positions=True, maybe_placeholders=False)


def _any_of(words: Iterable[str], before: str = "") -> str:
    """A pattern, as Lark's grammars write them, for any of some words, the longest first; a word ends where no letter follows."""
    spelled: list[str] = []
    for word in sorted(words, key=len, reverse=True):
        end = "(?![A-Za-z0-9_:])" if re.search("[A-Za-z0-9_]$", word) else ""
        spelled.append(r"\s+".join(_in_any_case(part) for part in word.split()).replace("/", r"\/") + end)
    return f"/{before}(?:{'|'.join(spelled)})/" if spelled else _NEVER


def _in_any_case(word: str) -> str:
    """A pattern for a word in small letters or capitals; ASCII ones: to ignore the case of all would take a long s for an s."""
    return "".join(f"[{one.lower()}{one.upper()}]" if one.isascii() and one.isalpha() else re.escape(one) for one in word)


def _hint(found: str) -> str:
    """What to write instead of something that other languages have, as the end of a message."""
    return next((f"; write {meant}" for sign, meant in _INSTEAD if re.match(sign, found, re.IGNORECASE)), "")


def _wrong(text: str, error: UnexpectedInput) -> str:
    """What is wrong with a text, in words."""
    if isinstance(error, UnexpectedCharacters):
        found = text[error.pos_in_stream or 0 :]
        quote = "; a quote is not closed" if found[:1] in ("'", '"') else ""
        return f"`{found[:12]}` cannot be read{quote or _hint(found)}"
    if not isinstance(error, UnexpectedToken):
        return "it ends too early"
    token = error.token
    said = f"`{token}`" if token.type != "$END" else "the end"
    if hint := _hint(text[token.start_pos or 0 :]) if token.type != "$END" else "":
        return f"{said} is not of the language{hint}"
    if "NUMBER" in error.accepts:
        wanted = "a field, a value or `(`" if "_NOT" not in error.accepts else "a condition"
        return f"{said} where {wanted} is wanted"
    if token.type in ("COMPARE", "LIKE", "MEMBER", "STATE"):
        return "one comparison at a time: write `a < b and b < c`"
    if "_CLOSE" in error.accepts and token.type == "$END":
        return "a `(` is not closed"
    if "NAME" in error.accepts:
        return f"{said} where the name of a field is wanted"
    return f"{said} is too much; join conditions by `and` or `or`"
