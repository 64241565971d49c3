"""YAML with line numbers: what a mapping file says, each part knowing its line and path so that an error can name them."""

import difflib
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import yaml

MAX_DEPTH: Final = 40


class MappingError(ValueError):
    """A mapping cannot be used; the message names file, line and field, and what to do."""


class Node(msgspec.Struct, frozen=True):
    """A part of a document.

    Attributes:
        value: a dict of nodes, a list of nodes, or a plain value.
        line: where it begins, from 1.
        path: how it is reached: `events[0].properties.total`.
        where: name of the file.
    """

    value: Any
    line: int
    path: str
    where: str

    def error(self, what: str) -> MappingError:
        """An error about this part: `mapping.yaml: line 12: events[0].track: what`."""
        return MappingError(f"{self.where}: line {self.line}: {self.path + ': ' if self.path else ''}{what}")

    def fields(self, known: Iterable[str] | None = None, required: Iterable[str] = ()) -> "dict[str, Node]":
        """This part as a map.

        Args:
            known: the keys it may have; None: any.
            required: the keys it must have.

        Raises:
            MappingError: it is no map, has an unknown key, or lacks one.
        """
        if not isinstance(self.value, dict):
            raise self.error(f"a map of fields is expected, not {_kind(self.value)}")
        found: dict[str, Node] = self.value
        allowed = list(known) if known is not None else None
        for name, node in found.items():
            if allowed is not None and name not in allowed:
                raise node.error(f"unknown key `{name}`{hint(name, allowed)}")
        for name in required:
            if name not in found:
                raise self.error(f"`{name}` is missing")
        return found

    def entries(self) -> "list[Node]":
        """This part as a list.

        Raises:
            MappingError: it is none.
        """
        if not isinstance(self.value, list):
            raise self.error(f"a list is expected, not {_kind(self.value)}")
        found: list[Node] = self.value
        return found

    def text(self) -> str:
        """This part as text that is not empty.

        Raises:
            MappingError: it is none.
        """
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.error(f"text is expected, not {_kind(self.value)}")
        return self.value

    def plain(self) -> Any:
        """The value without lines, as JSON has it."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def hint(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` when something is near, else what there is."""
    options = list(known)
    near = difflib.get_close_matches(name, options, 1, 0.65)
    if near:
        return f"; did you mean `{near[0]}`?"
    return f"; there are {', '.join(f'`{one}`' for one in options)}" if options else ""


def parse(text: str, where: str) -> Node:
    """Read a document.

    Args:
        text: YAML. Plain scalars are as in YAML 1.2: `no` and `2020-01-01` are text, not a boolean and a date.
        where: name for error messages.

    Raises:
        MappingError: it is not YAML, is empty, or has a key twice.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        advice = "an expression with `: `, `#` or a quote needs quotes around it, inside { } also one with a comma or a bracket"
        raise MappingError(f"{where}: line {line}: not YAML: {error.problem}; {advice}") from error
    except yaml.YAMLError as error:
        raise MappingError(f"{where}: not YAML: {error}") from error
    if root is None:
        raise MappingError(f"{where}: is empty")
    return _node(loader, root, "", where, 0)


class _Loader(yaml.SafeLoader):
    """Constructs plain values only."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  PyYAML's own way


for _tag, _pattern, _first in (
    ("null", r"^(?:null|~|)$", ["n", "~", ""]),
    ("bool", r"^(?:true|false)$", ["t", "f"]),
    ("int", r"^-?(?:0|[1-9][0-9]*)$", list("-0123456789")),
    ("float", r"^-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+]?[0-9]+)?$", list("-0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def _node(loader: _Loader, node: yaml.Node, path: str, where: str, depth: int, line: int = 0) -> Node:
    line = line or node.start_mark.line + 1
    if depth > MAX_DEPTH:
        raise MappingError(f"{where}: line {line}: nested deeper than {MAX_DEPTH} levels, or an alias that contains itself")
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Node] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is None:
                raise MappingError(f"{where}: line {key.start_mark.line + 1}: {path}: a key must be a word")
            inner = f"{path}.{name}" if path else name
            if name in found:
                raise MappingError(f"{where}: line {key.start_mark.line + 1}: {inner}: is there twice (see line {found[name].line})")
            found[name] = _node(loader, value, inner, where, depth + 1, key.start_mark.line + 1)
        return Node(found, line, path, where)
    if isinstance(node, yaml.SequenceNode):
        return Node([_node(loader, one, f"{path}[{at}]", where, depth + 1) for at, one in enumerate(node.value)], line, path, where)
    return Node(loader.construct_object(node), line, path, where)


def _kind(value: Any) -> str:
    kinds = {dict: "a map", list: "a list", type(None): "nothing", str: "empty text", bool: "true or false"}
    return kinds.get(type(value), "a number")
