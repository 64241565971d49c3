"""What sources say about a person or a group, made ready for the card. The fields are those of docs/traits.md."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from cli.terminal import shown
from profile_store.lookup import Personal

LONGEST_VALUE: Final = 120
OTHERS_SHOWN: Final = 5
_VALUE: Final = "trait:"


class Row(NamedTuple):
    """A line of the card: what one source says. The first of a trait is what counts; below it is what others say, best first.

    Attributes:
        name: of the trait; below it how many say otherwise.
        value: what is said.
        source: who says it; empty where the line is no source's.
        at: when it was said, event time in ms; None if nobody knows.
    """

    name: str
    value: str
    source: str
    at: float | None


def public(fields: Mapping[str, Any]) -> list[Row]:
    """The traits of a profile that everybody may see; none of a profile that was written by a version without traits."""
    told, sealed = _told(fields), set(sealed_names(fields))
    values = {name.removeprefix(_VALUE): value for name, value in fields.items() if name.startswith(_VALUE)}
    names = sorted((told.keys() | values.keys()) - sealed)
    return [row for name in names for row in _rows(name, values.get(name), told.get(name, {}), told.get(name, {}).get("conflicts", ()))]


def personal(fields: Mapping[str, Any], opened: Personal) -> list[Row]:
    """The personal traits of a profile.

    Args:
        fields: of the profile: they say who said what, and when.
        opened: the values, in clear.
    """
    told = _told(fields)
    return [row for name, one in sorted(opened.items()) for row in _rows(name, one["value"], told.get(name, {}), one["conflicts"])]


def sealed_names(fields: Mapping[str, Any]) -> list[str]:
    """Names of the personal traits of a profile, in alphabetical order."""
    return sorted(name for name, words in _told(fields).items() if words.get("personal"))


def groups(fields: Mapping[str, Any]) -> str:
    """The groups of a person by their kinds; empty for none."""
    told: Mapping[str, Sequence[str]] = fields.get("groups") or {}
    return "; ".join(f"{kind}: {', '.join(ids)}" for kind, ids in sorted(told.items()) if ids)


def _told(fields: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return fields.get("traits") or {}


def _rows(name: str, value: Any, words: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    yield Row(shown(name), _text(value), _source(words), words.get("at"))
    count = f"  {len(others)} other{'' if len(others) == 1 else 's'}"
    for number, other in enumerate(others[:OTHERS_SHOWN]):
        yield Row("" if number else count, _text(other.get("value")), _source(other), other.get("at"))
    if len(others) > OTHERS_SHOWN:
        yield Row("", f"and {len(others) - OTHERS_SHOWN} more", "", None)


def _text(value: Any) -> str:
    """A text as it is, any other value as JSON; of a long one the beginning (`--json` has all of it)."""
    text = shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _source(words: Mapping[str, Any]) -> str:
    source = shown(words.get("source") or "-")
    return f"{source}, verified" if words.get("verified") else source
