"""The files under check: each read once, with its type where it has the right shape, and everything wrong with it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from schemas import documents, shapes
from schemas.documents import Document, Mistake, Problem

T = TypeVar("T")


class Files:
    """The files of one configuration folder.

    Args:
        folder: that holds them.

    Attributes:
        folder: as given.
        problems: what has been found so far.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[Problem] = []
        self._documents: dict[str, Document] = {}

    def read(self, name: str, kind: type[T]) -> T | None:
        """A file in its type; None when it cannot be used as it is, which is then among the problems.

        Args:
            name: from the folder on.
            kind: its type.
        """
        path = self.folder / name
        try:
            document = self._documents[name] = documents.read(path)
        except OSError as error:
            what = f"cannot be read ({error.strerror})"
            self.problems.append(Problem(documents.label(path), 0, 0, "", what, "restore the file, or let CDP_CONFIG_DIR name its folder"))
            return None
        wrong = shapes.problems(document, kind)
        self.problems += wrong
        return None if wrong else shapes.convert(document, kind)

    def document(self, name: str) -> Document:
        """A file that has been read."""
        return self._documents[name]

    def found(self, name: str, mistakes: Iterable[Mistake]) -> None:
        """Mistakes in a file that has been read."""
        document = self._documents[name]
        self.problems += [document.place(mistake) for mistake in mistakes]

    def failed(self, name: str, error: Exception) -> None:
        """What the code that will use a file says of it, when none of the checks has foreseen it."""
        path = documents.label(self.folder / name)
        self.problems.append(Problem(path, 0, 0, "", str(error).removeprefix(f"{path}: ")))


def twice(names: Iterable[tuple[tuple[Any, ...], str]], what: str) -> Iterable[Mistake]:
    """Names that are there more than once.

    Args:
        names: where each stands, and the name.
        what: kind of thing, e.g. `tag`.
    """
    seen: set[str] = set()
    for steps, name in names:
        if name in seen:
            yield Mistake(steps, f"there is another {what} `{name}`", "give one of them another name")
        seen.add(name)
