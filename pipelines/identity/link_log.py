"""The link log: what is said about identifiers, in the order in which it is said. The identity graph is a function of it alone."""

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, get_args

import msgspec

from pipelines.identity.limits import read_limits
from schemas import json_text

Rule = Literal["seen", "alias", "bind"]
SEEN: Final[Rule] = "seen"
ALIAS: Final[Rule] = "alias"
BIND: Final[Rule] = "bind"
STATED: Final = "stated"
"""In place of a raw topic: somebody has stated it by hand."""
_RULES: Final[tuple[Rule, ...]] = get_args(Rule)
_BARS: Final = 2


class Said(msgspec.Struct, frozen=True, tag_field="kind"):
    """What every record of the log has.

    Attributes:
        tenant: whose identifiers.
        at: log time of what caused it, ms.
        cause: message id of the event that shows it; of what was stated by hand an id of its own.
        reason: of what was stated by hand: who asked for it and why.
    """

    tenant: str
    at: int
    cause: str = ""
    reason: str = ""


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


class Rules(Said, frozen=True, tag="rules"):
    """The limits in force from here on.

    Attributes:
        body: JSON text of `limits.TenantLimits`.
    """

    body: str = ""


class Settle(Said, frozen=True, tag="settle"):
    """The links of a person are looked at anew by the limits in force; those that exceed are dropped.

    Attributes:
        node: one of the person's; it is nobody's if by these limits so many others could not be joined with it.
    """

    node: str = ""


LogRecord = Link | Unbind | Block | Release | Rules | Settle
_ABOUT_ONE: Final[dict[str, type[Block | Release | Settle]]] = {"block": Block, "release": Release, "settle": Settle}


class LinkLogError(ValueError):
    """A record of the topic is none of the log's; the message says why."""


def read(record: Mapping[str, Any], groups: Collection[str]) -> LogRecord:
    """What a record of `cdp.links` says.

    Args:
        record: as `schemas.clean.decode` gives it.
        groups: kinds of groups (`groups` of identity.yaml): they are no people, and join none.

    Raises:
        LinkLogError: it names no nodes of its tenant, or a group, is of a kind or rule that is not known, or holds no limits.
    """
    tenant, kind, rule = record["tenant"], record["kind"], record["rule"]
    said = {"tenant": tenant, "at": record["log_time"], "cause": record["message_id"], "reason": record["reason"]}
    if kind == "rules":
        try:
            read_limits(record["body"])
        except (json_text.JsonTextError, msgspec.ValidationError) as error:
            raise LinkLogError(f"`body` holds no limits: {error}") from error
        return Rules(**said, body=record["body"])
    pair = kind in ("link", "unbind")
    if not pair and kind not in _ABOUT_ONE:
        raise LinkLogError(f"`kind` is {kind!r}, not link, unbind, {', '.join(_ABOUT_ONE)} or rules")
    for field in ("a", "b") if pair else ("a",):
        if not record[field].startswith(f"{tenant}|") or record[field].count("|") < _BARS:
            raise LinkLogError(f"`{field}` is no node of the tenant: tenant|namespace|value")
        if record[field].split("|")[1] in groups:
            raise LinkLogError(f"`{field}` is a group: groups join nobody")
    if kind == "link":
        if rule not in _RULES:
            raise LinkLogError(f"`rule` is {rule!r}, not one of {', '.join(_RULES)}")
        return Link(**said, a=record["a"], b=record["b"], rule=rule)
    if kind == "unbind":
        return Unbind(**said, a=record["a"], b=record["b"])
    return _ABOUT_ONE[kind](**said, node=record["a"])


def written(said: LogRecord) -> dict[str, Any]:
    """What `read` reads, for what was stated by hand."""
    a, b = (said.a, said.b) if isinstance(said, Link | Unbind) else ("", "") if isinstance(said, Rules) else (said.node, "")
    return {
        "tenant": said.tenant,
        "a": a,
        "b": b,
        "message_id": said.cause,
        "source": STATED,
        "partition": -1,
        "offset": -1,
        "log_time": said.at,
        "kind": type(said).__name__.lower(),
        "rule": said.rule if isinstance(said, Link) else SEEN,
        "reason": said.reason,
        "body": said.body if isinstance(said, Rules) else "",
    }
