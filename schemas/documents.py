"""YAML files that people write: read once, every value knowing its line and column, so that a mistake is shown where it stands."""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import yaml

MAX_DEPTH: Final = 40
MAX_VALUES: Final = 200_000
_FAST: Final = getattr(yaml, "CSafeLoader", None)
Steps = tuple[Any, ...]
"""How a value is reached from the document's root: keys and indexes, e.g. `("features", 3, "windows", 0)`."""


class Problem(msgspec.Struct, frozen=True, order=True):
    """A mistake in a file.

    Attributes:
        file: as it is to be shown.
        line: from 1; 0 when it concerns the file as a whole.
        column: from 1; 0 likewise.
        where: the part of the document, e.g. `features[3].windows[0]`; empty for the whole.
        what: what is wrong.
        remedy: what to do, or what was probably meant; may be empty.
    """

    file: str
    line: int
    column: int
    where: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        """`config/tags.yaml:2:9: [0].when: unknown field `net_90dd`; did you mean `net_90d`?`."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.where + ': ' if self.where else ''}{self.what}{'; ' + self.remedy if self.remedy else ''}"


class Problems(ValueError):
    """Files of definitions cannot be used. The message has a line for each mistake, all of them.

    Args:
        problems: what is wrong, at least one.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Mistake(NamedTuple):
    """A mistake as found in values that no longer know where they stood; `Document.problem` places it.

    Attributes:
        steps: the value it concerns.
        what: what is wrong.
        remedy: what to do; may be empty.
        column: from 1, inside the text of the value; 0 for its beginning.
    """

    steps: Steps
    what: str
    remedy: str = ""
    column: int = 0

    def __str__(self) -> str:
        """Without a file: `[0].when: unknown field`."""
        return f"{shown(self.steps)}: {self.what}{'; ' + self.remedy if self.remedy else ''}"


class _Mark(NamedTuple):
    line: int
    column: int


class Document:
    """A YAML document with positions.

    Attributes:
        file: name for messages.
        value: what the document says, in plain Python; None when it is empty or cannot be read.
        problems: why it cannot be read: syntax, keys that are there twice, values that YAML cannot make.
    """

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.value: Any = None
        self.problems: list[Problem] = []
        self._keys: dict[Steps, _Mark] = {}
        self._values: dict[Steps, _Mark] = {}
        self._inside: dict[Steps, int] = {}  # texts of one line: how far after their mark they begin (1 after a quote)
        self._count = 0
        self._loader: Any = None
        try:
            root = self._compose(text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            at = _Mark(mark.line + 1, mark.column + 1) if mark else _Mark(1, 1)
            self.problems.append(Problem(file, *at, "", f"not YAML: {error.problem}", _advice(text, at.line, str(error.problem))))
        except yaml.YAMLError as error:
            position = getattr(error, "position", 0)
            line = text.count("\n", 0, position) + 1
            what = str(getattr(error, "reason", error))
            self.problems.append(Problem(file, line, position - text.rfind("\n", 0, position), "", f"not YAML: {what}"))
        else:
            if root is None:
                self.problems.append(Problem(file, 1, 1, "", "the file is empty", "say what it is for, or restore it"))
            else:
                self.value = self._read(root, (), 0)
        self._loader = None

    def at(self, steps: Steps, *, key: bool = False) -> tuple[int, int]:
        """Line and column of a value, or of its key; of the nearest part that is there when it is not."""
        while True:
            found = (self._keys.get(steps) if key else None) or self._values.get(steps)
            if found is not None or not steps:
                return found or _Mark(1, 1)
            steps = steps[:-1]

    def problem(self, steps: Steps, what: str, remedy: str = "", *, key: bool = False, column: int = 0) -> Problem:
        """A mistake of this document.

        Args:
            steps: the value it concerns.
            what: what is wrong with it.
            remedy: see `Problem`.
            key: whether it is the key that is wrong.
            column: from 1, inside the text of the value; 0 for its beginning.
        """
        line, first = self.at(steps, key=key)
        inside = self._inside.get(steps)
        if column and inside is not None:
            first += inside + column - 1
        return Problem(self.file, line, first, shown(steps), what, remedy)

    def place(self, mistake: Mistake) -> Problem:
        """A mistake with its line and column."""
        return self.problem(mistake.steps, mistake.what, mistake.remedy, column=mistake.column)

    def _compose(self, text: str) -> yaml.Node | None:
        """The document's nodes: by libyaml where it is there, by PyYAML's own reader where something is wrong, for it says what."""
        if _FAST is not None:
            try:
                self._loader = _FAST(text)
                found: yaml.Node | None = self._loader.get_single_node()
                return found
            except yaml.YAMLError:
                pass  # read again below, for a better message
        self._loader = yaml.SafeLoader(text)
        return yaml.SafeLoader.get_single_node(self._loader)

    def _read(self, node: yaml.Node, steps: Steps, depth: int) -> Any:
        mark = _Mark(node.start_mark.line + 1, node.start_mark.column + 1)
        self._values.setdefault(steps, mark)
        self._count += 1
        if depth > MAX_DEPTH or self._count > MAX_VALUES:
            if not any("too much" in problem.what for problem in self.problems):
                self.problems.append(
                    Problem(self.file, *mark, shown(steps), "too much: nested too deeply, or an alias that contains itself")
                )
            return None
        if isinstance(node, yaml.SequenceNode):
            return [self._read(one, (*steps, index), depth + 1) for index, one in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._map(node, steps, depth)
        if node.start_mark.line == node.end_mark.line:
            self._inside[steps] = 1 if getattr(node, "style", None) else 0
        return self._scalar(node, steps)

    def _map(self, node: yaml.MappingNode, steps: Steps, depth: int) -> dict[Any, Any]:
        own: dict[Any, _Mark] = {}
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
                key, here = key_node.value, _Mark(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
                if key in own:
                    what = f"the key `{key}` is there twice (first in line {own[key].line})"
                    self.problems.append(Problem(self.file, *here, shown((*steps, key)), what, "keep one of the two"))
                own.setdefault(key, here)
        try:
            self._loader.flatten_mapping(node)
        except yaml.MarkedYAMLError as error:
            self._unmade(node, steps, str(error.problem))
            return {}
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node, steps) if isinstance(key_node, yaml.ScalarNode) else None
            if key is None and not (isinstance(key_node, yaml.ScalarNode) and key_node.value):
                self._unmade(key_node, steps, "a key must be a word")
                continue
            inner = (*steps, key)
            self._keys[inner] = _Mark(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            self._values.pop(inner, None)
            found[key] = self._read(value_node, inner, depth + 1)
        return found

    def _scalar(self, node: yaml.Node, steps: Steps) -> Any:
        try:
            return self._loader.construct_object(node)
        except yaml.MarkedYAMLError as error:
            self._unmade(node, steps, str(error.problem))
        except (ValueError, OverflowError) as error:  # 2010-13-45 looks like a date to YAML, and is none
            self._unmade(node, steps, f"`{getattr(node, 'value', '')}`: {error}")
        return None

    def _unmade(self, node: yaml.Node, steps: Steps, what: str) -> None:
        self.problems.append(Problem(self.file, node.start_mark.line + 1, node.start_mark.column + 1, shown(steps), what))


def read(path: Path, file: str = "") -> Document:
    """Read a file.

    Args:
        path: of the file.
        file: name for messages; by default as `label` has it.

    Raises:
        OSError: it cannot be read.
    """
    file = file or label(path)
    try:
        return Document(file, path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        document = Document(file, "{}")
        document.problems.append(Problem(file, 0, 0, "", f"not UTF-8 (byte {error.start})", "save it as UTF-8"))
        return document


def label(path: Path) -> str:
    """A path as it is shown: from the working folder when the file lies below it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def shown(steps: Steps) -> str:
    """`features[3].windows`."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) and not isinstance(step, bool) else f".{step}" if text else str(step)
    return text


def meant(word: Any, known: Iterable[Any], *, most: int = 12) -> str:
    """`did you mean ...?` when something is near, else what there is."""
    names = [str(name) for name in known]
    by_words = {name.lower(): name for name in names}
    near = difflib.get_close_matches(str(word), names, 1) or [
        by_words[one] for one in difflib.get_close_matches(str(word).lower(), by_words, 1)
    ]
    if near:
        return f"did you mean `{near[0]}`?"
    if not names:
        return "there are none"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"there are {', '.join(names[:most])}{more}"


def doubles(document: Document, names: Iterable[tuple[Steps, str]], what: str) -> Iterator[Problem]:
    """Names that are there twice.

    Args:
        document: for positions.
        names: where each stands, and the name.
        what: kind of thing, e.g. `tag`.
    """
    seen: dict[str, Steps] = {}
    for steps, name in names:
        if name in seen:
            yield document.problem(
                steps, f"there are two {what}s `{name}` (first in line {document.at(seen[name])[0]})", "give one another name"
            )
        seen.setdefault(name, steps)


def _advice(text: str, line: int, problem: str) -> str:
    lines = text.split("\n")
    said = lines[line - 1] if 0 < line <= len(lines) else ""
    if "\t" in said[: len(said) - len(said.lstrip())] or "'\\t'" in problem:
        return "indent with spaces: a tab is no indentation in YAML"
    if "mapping values" in problem or "expected <block end>" in problem:
        return "look at the indentation, and put quotes around a text that has `: ` or `#` in it"
    if "',' or" in problem:
        return "a bracket, brace or comma is missing"
    return ""
