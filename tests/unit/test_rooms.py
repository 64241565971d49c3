"""The lists of our packages, kept in several files, agree; and what a job imports counts as its code."""

import ast
import re
import tomllib

from cli.main import OURS
from stack import source
from stack.settings import PROJECT


def imported_by(room: str) -> set[str]:
    """Our packages that the files of one of them import."""
    names: set[str] = set()
    for path in (PROJECT / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    return names & OURS


def test_every_list_of_our_packages_is_the_same() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]
    (makefile,) = re.findall(r"^ROOMS := (.*)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert set(project["hatch"]["build"]["targets"]["wheel"]["packages"]) == OURS
    assert set(project["mypy"]["packages"]) == OURS
    assert set(project["importlinter"]["root_packages"]) == OURS
    assert set(makefile.split()) == OURS | {"tests"}
    layers = [names for contract in project["importlinter"]["contracts"] for names in contract.get("layers", [])]
    assert {name for names in layers for name in names.split(" | ")} == OURS


def test_a_change_of_any_package_that_jobs_import_starts_their_processes_anew() -> None:
    reached, new = set(), {"jobs"}
    while new:
        reached |= new
        new = {other for room in new for other in imported_by(room)} - reached
    assert set(source.ROOMS) == reached
