"""docs/rules.md lists the operators and functions that there are, and its examples are rules."""

import re
from pathlib import Path

from config import loader
from pipelines.audiences.symbols import profile_symbols
from pipelines.rejected import conditions
from pipelines.rules.functions import ALL, Function
from pipelines.rules.reading import read
from pipelines.rules.rule import Rule

PAGE = (Path(__file__).parents[3] / "docs" / "rules.md").read_text()


def row(function: Function) -> str:
    kinds = dict.fromkeys(kind for takes, _ in function.signatures for kind in takes)
    name = "-x" if function.form == "prefix" else function.name
    return f"| `{name}` | {function.about} | {', '.join(kinds).replace('truth', 'true or false')} |"


def test_every_function_has_its_row() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert rows == [row(function) for function in ALL.values()]


def test_the_examples_are_rules() -> None:
    symbols = profile_symbols(loader.definitions().features)
    *of_profiles, _, of_rejected = re.findall(r"```\n(.*?)\n```", PAGE, re.DOTALL)[0].splitlines()
    assert len([Rule(text, symbols) for text in of_profiles]) == 4
    assert read(of_rejected, conditions.SYMBOLS)


def test_the_sentences_are_what_the_page_says() -> None:
    text = re.findall(r'Rule\("(.*?)", profile_symbols', PAGE)[0]
    rule = Rule(text, profile_symbols(loader.definitions().features))
    for language in ("english", "chinese"):
        assert rule.sentence(language) == re.findall(rf'sentence\("{language}"\) +# (.*)', PAGE)[0]
