"""Mapping files: all that is wrong with each, and the sources that use them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from config.sources import Source
from importers import webhooks
from importers.mapping import document as mapping_document
from importers.mapping import rules, tables
from importers.mapping.document import MappingError, Node
from importers.mapping.events import compile_event
from importers.mapping.expressions import Language
from schemas import documents
from schemas.contracts import Contract
from schemas.documents import Mistake, Problem, meant

FOLDER: Final = "mappings"
_PLACED: Final = re.compile(r"^[^:]*: line (\d+): (?:([^:\s]+): )?(.*)$", re.S)


def names(folder: Path) -> list[str]:
    """Mapping files, from `config/mappings` on."""
    return sorted(str(path.relative_to(folder / FOLDER)) for path in (folder / FOLDER).rglob("*.yaml"))


def of_mapping(path: Path, namespaces: Sequence[str], contracts: Mapping[str, Contract]) -> list[Problem]:
    """All that is wrong with a mapping file: with each of its events and skip rules, and with the rest."""
    file = documents.label(path)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [Problem(file, 0, 0, "", f"cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})")]
    try:
        rules.compile_mapping(text, path.name, path.parent, namespaces, contracts)
    except MappingError as error:
        found = {str(error): _problem(file, error)}
        for other in _others(text, path, namespaces, contracts):
            found.setdefault(str(other), _problem(file, other))
        return sorted(found.values())
    return []


def of_uses(sources: Mapping[str, Source], folder: Path, broken: Sequence[str]) -> Iterator[Mistake]:
    """Mappings that sources name: they must be there, and fit.

    Args:
        sources: of `sources.yaml`.
        folder: of the configuration.
        broken: mapping files with mistakes of their own, which are not told again.
    """
    there = names(folder)
    for name, source in sources.items():
        for steps, file in (
            ((name, "mapping"), source.mapping),
            *(((name, "tables", topic), file) for topic, file in source.tables.items()),
        ):
            if file and file not in there:
                yield Mistake(steps, f"there is no mapping `{file}` in config/mappings", meant(file, there))
        if source.kind == "webhook" and source.mapping in there and source.mapping not in broken:
            try:
                webhooks.open_mapping(name, source, folder / FOLDER)
            except MappingError as error:
                yield Mistake((name, "mapping"), str(error))


def _others(text: str, path: Path, namespaces: Sequence[str], contracts: Mapping[str, Contract]) -> Iterator[MappingError]:
    """What the compiler would find if it went on after the first mistake."""
    try:
        fields = mapping_document.parse(text, path.name).fields(rules.KEYS)
        language = Language(tables.load(fields["tables"], path.parent) if "tables" in fields else {})
        parts = {label: fields[label].entries() for label in ("skip", "events") if label in fields}
    except MappingError:
        return
    for label, entries in parts.items():
        for node in entries:
            try:
                if label == "events":
                    compile_event(node, language, list(namespaces), contracts, [])
                else:
                    _skip(node, language)
            except MappingError as error:
                yield error


def _skip(node: Node, language: Language) -> None:
    fields = node.fields(("when", "reason"), required=("when", "reason"))
    language.compile(fields["when"])
    fields["reason"].text()


def _problem(file: str, error: MappingError) -> Problem:
    placed = _PLACED.match(str(error))
    if placed is None:
        return Problem(file, 0, 0, "", str(error).partition(": ")[2] or str(error))
    what, _, remedy = placed[3].partition("; ")
    return Problem(file, int(placed[1]), 1, placed[2] or "", what, remedy)
