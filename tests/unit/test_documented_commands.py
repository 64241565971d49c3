"""Every command line of `cdp` in README and docs is one that the program takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.main import OURS, app
from stack.settings import PROJECT

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md")), PROJECT / "tests" / "README.md", PROJECT / "data" / "README.md"]
CDP = typer.main.get_command(app)
FENCE = re.compile(r"^ *```[^\n`]*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
OPTION = re.compile(r"--[a-z][a-z-]+")


def in_blocks(text: str) -> Iterator[str]:
    """Whole command lines: those of code blocks."""
    for block in FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|;|\s\|\s", line.partition(" #")[0]):
                if found := re.match(r"\s*(?:\.venv/bin/)?cdp (.*)", part):
                    yield found[1]


def in_sentences(text: str) -> Iterator[str]:
    """Commands named in a sentence: arguments may be left out, and `a | b` stands for the one or the other."""
    for code in re.findall(r"`([^`]+)`", FENCE.sub("", text)):
        for part in re.split(r"&&", re.sub(r"\s+", " ", code)):
            if found := re.match(r"\s*(?:\.venv/bin/)?cdp ([a-z].*)", part):
                first, *others = found[1].split(" | ")
                yield first
                yield from (f"{first.rpartition(' ')[0]} {other}" for other in others)


def words_of(line: str) -> list[str]:
    """The words of a command line, without the brackets of what may be left out."""
    return [word for word in shlex.split(re.sub(r"[\[\]]", "", line), comments=True) if word != "..."]


def commands_of(command: Any) -> dict[str, Any]:
    return getattr(command, "commands", {})


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words name, and the words behind its name."""
    command: Any = CDP
    while (below := commands_of(command)) and words and not words[0].startswith("-"):
        assert words[0] in below, f"`{command.name}` has no command `{words[0]}`"
        command, words = below[words[0]], words[1:]
    return command, words


def options_of(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def every_option(command: Any) -> set[str]:
    return options_of(command).union(*map(every_option, commands_of(command).values()))


BLOCKS = sorted({(page.name, line) for page in PAGES for line in in_blocks(page.read_text())})
SENTENCES = sorted({(page.name, line) for page in PAGES for line in in_sentences(page.read_text())})


@pytest.mark.parametrize(("page", "line"), BLOCKS)
def test_a_command_line_is_taken(page: str, line: str) -> None:
    command, words = command_of(words_of(line))
    command.make_context("cdp", words)  # raises for an unknown option, a wrong choice, a missing argument, one too many


@pytest.mark.parametrize(("page", "line"), SENTENCES)
def test_a_command_in_a_sentence_is_there_with_its_options(page: str, line: str) -> None:
    command, words = command_of(words_of(line))
    unknown = {word.partition("=")[0] for word in words if word.startswith("-")} - options_of(command)
    assert not unknown, f"{page}: `cdp {line}`: no option {unknown}; there are {sorted(options_of(command))}"
    takes = sum(parameter.nargs if parameter.nargs > 0 else 99 for parameter in command.params if parameter.param_type_name == "argument")
    named = [word for number, word in enumerate(words) if not word.startswith("-") and not (number and words[number - 1].startswith("-"))]
    assert len(named) <= takes, f"{page}: `cdp {line}`: {named} is too much"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_an_option_named_by_itself_is_one_of_our_programs(page: Path) -> None:
    ours = every_option(CDP)
    for folder in ("api", "bench", "jobs", "tests"):
        for source in (PROJECT / folder).rglob("*.py"):
            ours.update(OPTION.findall(source.read_text()))
    named = {code.split()[0] for code in re.findall(r"`(--[^`]+)`", FENCE.sub("", page.read_text()))}
    assert named - ours == set()


def test_commands_that_messages_and_comments_name_are_there() -> None:
    wrong = []
    for source in (path for room in sorted(OURS) for path in (PROJECT / room).rglob("*.py")):
        for line in in_sentences(re.sub(r"\{[^{}`]*\}", "X", source.read_text())):
            try:
                command, words = command_of(words_of(line.replace("X", "NAME")))
            except (AssertionError, ValueError) as error:
                wrong.append(f"{source.relative_to(PROJECT)}: `cdp {line}`: {error}")
                continue
            unknown = {word for word in words if re.fullmatch(OPTION, word)} - options_of(command)
            wrong += [f"{source.relative_to(PROJECT)}: `cdp {line}`: no option {word}" for word in unknown]
    assert wrong == []


def test_the_pages_name_commands_at_all() -> None:
    assert len(BLOCKS) > 25
    assert len(SENTENCES) > 40
