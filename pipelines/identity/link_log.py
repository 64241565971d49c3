"""The link log: what is said about identifiers, in the order in which it is said. The identity graph is a function of it alone."""

from typing import Final, Literal

import msgspec

Rule = Literal["seen", "alias", "bind"]
SEEN: Final[Rule] = "seen"


class Said(msgspec.Struct, frozen=True, tag_field="kind"):
    """What every record of the log has.

    Attributes:
        tenant: whose identifiers.
        at: log time of what caused it, ms.
        cause: where it came from, for people: a message id, or who asked for it and why.
    """

    tenant: str
    at: int
    cause: str = ""


class Link(Said, frozen=True, tag="link"):
    """Two identifiers are one person's.

    Attributes:
        a, b: node keys.
        rule: how that is known: `seen` together in one record, an `alias` call, or an explicit `bind`.
    """

    a: str = ""
    b: str = ""
    rule: Rule = SEEN

    @property
    def is_stated(self) -> bool:
        """Whether somebody has said so, instead of records that merely show it."""
        return self.rule != SEEN


class Unbind(Said, frozen=True, tag="unbind"):
    """Two identifiers are not one person's, whatever records show; a later `alias` or `bind` of the two takes it back."""

    a: str = ""
    b: str = ""


class Block(Said, frozen=True, tag="block"):
    """An identifier is nobody's."""

    node: str = ""


class Release(Said, frozen=True, tag="release"):
    """A blocked or shared identifier may be somebody's again: by links that come from now on."""

    node: str = ""


LogRecord = Link | Unbind | Block | Release
