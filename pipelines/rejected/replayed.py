"""A rejected record as it goes back to a raw topic: fixed, with its lineage and with the id that keeps it from being applied twice.

The id is a function of what the producer sent and of nothing a fix or a second attempt could change:

* the record's own `messageId` where it has a usable one. Was the record applied already, it ends as duplicate or `id_conflict`;
* of an `id_conflict` (its own id belongs to another event): a hash of that id and what the producer sent, so that a retry of the
  conflicting record, rejected as well and replayed as well, ends as duplicate;
* of a record without any: its position.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pipelines.rejected.fixes import ORIGINAL_BASE64, ORIGINAL_TEXT, Fix, FixError, LoadedFix
from pipelines.rejected.record import Record, iso
from schemas import codes, json_text, odd_spellings

_CONTENT: Final = (
    "type",
    "event",
    "messageId",
    "tenant",
    "userId",
    "anonymousId",
    "timestamp",
    "originalTimestamp",
    "properties",
    "traits",
)
"""The parts of an envelope that a producer's retry sends again as they were (docs/contracts.md, same body)."""
_HASH: Final = re.compile(r"[0-9a-f]{32}")
UNREADABLE: Final = "no JSON object: it cannot carry a lineage; give a fix whose `text` says how to read it (docs/rejected.md)"


class NotReplayableError(ValueError):
    """A record cannot go back as it is, or with this fix; the message says why."""


class Lineage(NamedTuple):
    """What a replayed record says of where it comes from.

    Attributes:
        replay_of: position of the rejected record, empty when this is no replay.
        fix: label of the fix, empty for none.
        content: hash of what the producer sent at first; the same through all replays and fixes.
    """

    replay_of: str
    fix: str
    content: str


class Replayed(NamedTuple):
    """A record ready to go.

    Attributes:
        value: its bytes.
        message_id: the id in them.
        lineage: the lineage in them.
        before: the lineage of the rejected record itself: whether it was a replay already.
        identifiers: namespace and value of whatever identified somebody in the record as it came.
    """

    value: bytes
    message_id: str
    lineage: Lineage
    before: Lineage
    identifiers: list[tuple[str, str]]


def readable(original: bytes) -> dict[str, Any] | None:
    """A record as a JSON object, None when it is none.

    Read more generously than `decode` does (NaN, numbers of any size, any nesting Python takes), so that a fix can remove what is wrong.
    """
    try:
        found = json_text.read_generously(original)
    except json_text.JsonTextError:
        return None
    return found if isinstance(found, dict) else None


def replayed(record: Record, fix: LoadedFix | None, id_chars: int, known_id: str = "") -> Replayed:
    """Fix a record and give it lineage and id.

    Args:
        record: to be sent again.
        fix: what corrects it, None for nothing.
        id_chars: how long ids may be.
        known_id: the id under which the record was sent before, if it was.

    Raises:
        NotReplayableError: see there.
    """
    try:
        return _replayed(record, fix, id_chars, known_id)
    except FixError as error:
        raise NotReplayableError(str(error)) from error
    except RecursionError as error:
        raise NotReplayableError("nested too deeply to be changed") from error


def _replayed(record: Record, fix: LoadedFix | None, id_chars: int, known_id: str) -> Replayed:
    original = readable(record.original)
    if original is None and fix is None:
        raise NotReplayableError(UNREADABLE)
    fixed = _fixed(record, original, fix.apply) if fix is not None else json_text.read_generously(record.original)
    context = fixed.get("context")
    context = {} if context is None else odd_spellings.as_object(context)
    if not isinstance(context, dict):
        raise NotReplayableError("`context` is no object, so that it cannot carry a lineage; give a fix that sets it")
    before = lineage_of(original or {})
    content = before.content or content_hash(record.original, original)
    lineage = Lineage(str(record.position), fix.label if fix is not None else "", content)
    message_id = known_id or _message_id(record, original, fixed, id_chars, content)
    kept = _lineage(original or {})
    fixed["messageId"] = message_id
    fixed["context"] = {**context, "lineage": {**kept, **lineage._asdict()}}
    keep_time(fixed, record.log_time)
    return Replayed(_encoded(fixed), message_id, lineage, before, identifiers(original or {}))


def content_hash(original: bytes, envelope: Mapping[str, Any] | None) -> str:
    """Hash (32 hex digits) of what a producer sent, without what its retries restamp."""
    if envelope is None:
        return hashlib.blake2b(original, digest_size=16).digest().hex()
    parts = {name: envelope[name] for name in _CONTENT if envelope.get(name) is not None}
    context = envelope.get("context")
    external = context.get("externalIds") if isinstance(context, dict) else None
    canonical = json.dumps([parts, external], sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=16).digest().hex()


def lineage_of(envelope: Mapping[str, Any]) -> Lineage:
    """The replay lineage a record carries; of one that does not carry any, all is empty."""
    told = _lineage(envelope)
    replay_of, fix, content = (value if isinstance(value := told.get(name), str) else "" for name in Lineage._fields)
    return Lineage(replay_of, fix, content) if replay_of and _HASH.fullmatch(content) else Lineage("", "", "")


def identifiers(envelope: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Namespace and value of everything in an envelope that identifies somebody, whatever else is wrong with it."""
    found = [("user_id", envelope.get("userId")), ("anonymous_id", envelope.get("anonymousId"))]
    context = envelope.get("context")
    external = context.get("externalIds") if isinstance(context, dict) else None
    for entry in external if isinstance(external, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("type"), str):
            found.append((entry["type"], entry.get("id")))
    return [(namespace, value) for namespace, value in found if isinstance(value, str)]


def keep_time(envelope: dict[str, Any], log_time: int) -> None:
    """An event whose time is reckoned from that of its raw record keeps it: its new record is younger.

    Args:
        envelope: is changed.
        log_time: of the record that it came in, ms.
    """
    if envelope.get("timestamp") is not None:
        return
    if envelope.get("originalTimestamp") is None:
        envelope["timestamp"] = iso(log_time)
    elif envelope.get("sentAt") is not None and envelope.get("receivedAt") is None:
        envelope["receivedAt"] = iso(log_time)


def _fixed(record: Record, original: dict[str, Any] | None, fix: Fix) -> dict[str, Any]:
    given = original
    if given is None:
        given = {name: getattr(record, name) for name in Record.__struct_fields__ if name != "original"}
        given[ORIGINAL_TEXT] = record.original.decode(errors="replace")
        given[ORIGINAL_BASE64] = base64.b64encode(record.original).decode()
    return dict(fix(given))


def _message_id(record: Record, original: dict[str, Any] | None, fixed: dict[str, Any], id_chars: int, content: str) -> str:
    def usable(envelope: dict[str, Any] | None) -> str:
        found = (envelope or {}).get("messageId")
        return found if isinstance(found, str) and 0 < len(found) <= id_chars else ""

    own = usable(original)
    if record.code == codes.ID_CONFLICT:
        return "replay:" + hashlib.blake2b(f"{own}|{content}".encode(), digest_size=16).hexdigest()
    if own:
        return own
    found = usable(fixed)
    # The record had it, only not where it should be: under another name, or in an object that needed a fix to be read.
    if found and found.encode(errors="replace") in record.original:
        return found
    derived = f"replay:{record.position}"
    return derived if len(derived) <= id_chars else "replay:" + hashlib.blake2b(derived.encode(), digest_size=16).hexdigest()


def _lineage(envelope: Mapping[str, Any]) -> dict[str, Any]:
    context = envelope.get("context")
    told = context.get("lineage") if isinstance(context, dict) else None
    return told if isinstance(told, dict) else {}


def _encoded(envelope: dict[str, Any]) -> bytes:
    """As JSON that means exactly what was read: what `decode` refuses (NaN, half a surrogate pair) is still there for it to refuse."""
    try:
        return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(envelope, separators=(",", ":")).encode()
