"""docs/importing.md says what is so: its examples are run, its functions and codes are those of the code."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from config.sources import Signature
from importers.mapping import Failed, Mapped, Skipped, compile_mapping
from importers.mapping.events import CALLS, FIELDS, RULES
from importers.mapping.functions import OURS
from importers.mapping.options import Options
from importers.mapping.rules import KEYS
from importers.mapping.templates import OPERATORS
from stack.settings import PROJECT

PAGE = (PROJECT / "docs" / "importing.md").read_text()
_BLOCK = re.compile(r"^```(yaml mapping|json record|json becomes)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """A mapping, a record, and what becomes of it."""

    mapping: str
    record: Any
    becomes: Any


def examples() -> Iterator[Example]:
    mapping = record = ""
    for kind, text in _BLOCK.findall(PAGE):
        if kind == "yaml mapping":
            mapping = text
        elif kind == "json record":
            record = text
        else:
            yield Example(mapping, json.loads(record), json.loads(text))


@pytest.mark.parametrize("example", list(examples()), ids=range(len(list(examples()))))
def test_an_example_does_what_the_page_says(example: Example) -> None:
    outcome = compile_mapping(example.mapping, "docs/importing.md").apply(example.record)
    if isinstance(outcome, Mapped):
        assert [event.envelope for event in outcome.events] == example.becomes
    elif isinstance(outcome, Skipped):
        assert example.becomes == {"skipped": outcome.reason}
    else:
        assert isinstance(outcome, Failed)
        assert example.becomes == {"failed": {"code": outcome.code, "field": outcome.field, "rule": outcome.rule}}


def test_there_are_examples() -> None:
    assert len(list(examples())) >= 6
    assert {type(example.becomes) for example in examples()} == {list, dict}


def test_everything_the_language_has_is_on_the_page() -> None:
    language = PAGE.split("## Files")[1].split("## Change data capture")[0]
    told = set(re.findall(r"[$A-Za-z_]+", language))
    wanted = {*OURS, "lookup", *KEYS, *OPERATORS, "$let", "$item", *FIELDS, *RULES, *CALLS, *Options.__struct_fields__} - {"type", "event"}
    assert wanted <= told, sorted(wanted - told)


def test_the_fields_of_a_webhooks_configuration_are_those_of_the_code() -> None:
    section = PAGE.split("## Webhooks")[1].split("## Looking")[0]
    for name in ("tenant", "topic", "mapping", "signature", *Signature.__struct_fields__):
        assert re.search(rf"\b{name}\b", section), name
