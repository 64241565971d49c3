"""Records of the control topics: what operators of definitions tell the job `profiles`.

Whoever writes them may be wrong: another version, a script, a hand. What is not as it should be is rejected like an event, with its bytes,
a code and the field, and nothing stops.
"""

from collections.abc import Callable, Collection
from typing import Annotated, Any, Final, NamedTuple, TypeVar

import msgspec

from config.definitions import CutPoints
from pipelines.wire import Poke, Rejected
from schemas import codes, json_text
from schemas.validators import Violation, shape_violation

LINKS: Final = "cdp.links"
POKES: Final = "cdp.pokes"
DEFINITIONS: Final = "cdp.definitions"
TOPICS: Final = (LINKS, POKES, DEFINITIONS)
MARK: Final = ord("@")
"""First byte of a framed record; no message between operators begins with it."""
MAX_BYTES: Final = 1_000_000
MAX_NESTING: Final = 8
_POINTS: Final = 4

Version = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
ProfileId = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
NodeKey = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


_Read = TypeVar("_Read")


class Framed(NamedTuple):
    """A control record with the place it stands in."""

    topic: str
    partition: int
    offset: int
    log_time: int
    original: bytes


class Definition(NamedTuple):
    """New cut points of a tenant."""

    tenant: str
    cuts: CutPoints


class NodePoke(NamedTuple):
    """Tell your profile everything anew: definitions have changed."""

    node: str
    tenant: str


class _Poke(msgspec.Struct):
    tenant: str
    profile_id: ProfileId
    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class _NodePoke(msgspec.Struct):
    tenant: str
    node: NodeKey
    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class _Definition(msgspec.Struct):
    tenant: str
    kind: str
    version: Version
    body: CutPoints


def frame(topic: str, partition: int, offset: int, log_time: int, original: bytes) -> bytes:
    """A record as it travels to the operators; `jobs.topology.control_source` writes the same in SQL."""
    return f"@{partition}|{offset}|{log_time}|{topic}|".encode() + original


def unframe(value: bytes) -> Framed:
    """What `frame` has made."""
    partition, offset, log_time, topic, original = value[1:].split(b"|", 4)
    return Framed(topic.decode(), int(partition), int(offset), int(log_time), original)


def to_node(key: str, framed: Framed, tenants: Collection[str]) -> NodePoke | Rejected | None:
    """An operator's word to a node.

    Pokes come to nodes and to profiles. What names a node is the node's to take or to reject, all else the profile's.

    Args:
        key: the record's key.
        framed: the record.
        tenants: that there are.

    Returns:
        None when it is not for a node.
    """
    return _judged(_read_node_poke, key, framed, tenants) if _names_node(framed) else None


def to_profile(key: str, framed: Framed, tenants: Collection[str]) -> Poke | Rejected | None:
    """An operator's word to a profile, None when it is not for one; see `to_node`."""
    return None if _names_node(framed) else _judged(_read_poke, key, framed, tenants)


def definition(key: str, framed: Framed, tenants: Collection[str]) -> Definition | Rejected:
    """A published definition; see `to_node`."""
    return _judged(_read_definition, key, framed, tenants)


def foreign(framed: Framed, tenant: str) -> Rejected:
    """The rejection of a message for a profile that is another tenant's."""
    return Rejected(codes.SCHEMA_VIOLATION, "$.tenant", "the tenant whose profile it is", tenant)


def _judged(read: Callable[[str, dict[str, Any]], _Read], key: str, framed: Framed, tenants: Collection[str]) -> _Read | Rejected:
    tenant = ""
    try:
        if len(framed.original) > MAX_BYTES:
            raise Violation(codes.SIZE_VIOLATION, "", f"at most {MAX_BYTES} bytes")
        try:
            told = json_text.read_object(framed.original, MAX_NESTING)
        except json_text.JsonTextError as error:
            raise Violation(codes.PAYLOAD_FORMAT, error.path, error.rule) from error
        if not isinstance(told.get("tenant"), str) or told["tenant"] not in tenants:
            raise Violation(codes.SCHEMA_VIOLATION, ".tenant", "a tenant of platform.yaml")
        tenant = told["tenant"]
        return read(key, told)
    except Violation as found:
        return Rejected(found.code, "$" + found.path, found.rule, tenant)
    except msgspec.ValidationError as error:
        wrong = shape_violation(error)
        return Rejected(wrong.code, "$" + wrong.path, wrong.rule, tenant)
    except Exception as error:  # a fault of ours must cost one record, never the job
        return Rejected(codes.INTERNAL, "$", type(error).__name__, tenant)


def _read_poke(key: str, told: dict[str, Any]) -> Poke:
    found = msgspec.convert(told, _Poke)
    _same(key, found.profile_id, ".profile_id")
    return Poke(found.tenant, found.profile_id, found.reason)


def _names_node(framed: Framed) -> bool:
    if len(framed.original) > MAX_BYTES:
        return False
    try:
        return "node" in json_text.read_object(framed.original, MAX_NESTING)
    except json_text.JsonTextError:
        return False


def _read_node_poke(key: str, told: dict[str, Any]) -> NodePoke:
    found = msgspec.convert(told, _NodePoke)
    _same(key, found.node, ".node")
    _owned(found.node, found.tenant, ".node")
    return NodePoke(found.node, found.tenant)


def _read_definition(key: str, told: dict[str, Any]) -> Definition:
    if told.get("kind") != "cut_points":
        raise Violation(codes.SCHEMA_VIOLATION, ".kind", "a kind that this version of the platform knows: cut_points")
    found = msgspec.convert(told, _Definition)
    _same(key, f"{found.tenant}/{found.kind}", ".kind")
    if found.body.version != found.version:
        raise Violation(codes.SCHEMA_VIOLATION, ".body.version", "the same as `version`")
    for name in ("recency", "frequency", "monetary"):
        points = getattr(found.body, name)
        if len(points) != _POINTS or sorted(points) != points:
            raise Violation(codes.SCHEMA_VIOLATION, f".body.{name}", f"{_POINTS} ascending numbers")
    return Definition(found.tenant, found.body)


def _same(key: str, told: str, path: str) -> None:
    """State is found by the record's key: a message that speaks of another would be taken for it."""
    if key != told:
        raise Violation(codes.SCHEMA_VIOLATION, path, "what the record's key says")


def _owned(node: str, tenant: str, path: str) -> None:
    if node.count("|") < 2 or not node.startswith(tenant + "|"):
        raise Violation(codes.SCHEMA_VIOLATION, path, "a node of the tenant: tenant|namespace|value")
