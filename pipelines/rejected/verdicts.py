"""May a replayed record be sent? What keeps a record from being applied twice, as rules over what is known of it.

Dedupe is the node's, and the node remembers an id for `dedupe_s` of log time. So a record is safe as long as one id goes to one node and no
id comes back after that time. The rules below see to both; a repetition within the time, at the same node, ends as duplicate or
`id_conflict`.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from pipelines.identity.nodes import Nodes
from pipelines.rejected.record import Record, iso
from pipelines.rejected.replayed import Replayed
from pipelines.wire import Event, Rejected
from schemas import codes

MARGIN_MS: Final = 86_400_000
"""Ids are forgotten by whole days, and a record is on its way for a while: a day less than promised is what we count on."""


class Sent(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry of `cdp.replays`: a rejected record that was sent.

    Attributes:
        fix: label, empty for none.
        message_id: it was sent under.
        at: log time, ms.
        tenant: owner.
        to: raw topic.
        node: it goes to; empty when it was sent though it fails again.
        node_before: of the record as its producer sent it; empty when that is unknown.
    """

    fix: str
    message_id: str
    at: int
    tenant: str
    to: str
    node: str = ""
    node_before: str = ""


class Applied(NamedTuple):
    """An event that took effect: its node, log time (ms), raw position and the content hash of its lineage, if any."""

    node: str
    log_time: int
    position: str
    content: str


class Refusal(NamedTuple):
    """Why a record is not sent: in short, to be counted, and in full."""

    short: str
    full: str


class Knowledge(NamedTuple):
    """What is known before a record is sent.

    Attributes:
        sent: the newest entry of its position, None when it was never sent.
        sent_ids: entries of other positions under the same tenant and id.
        applied: events applied under the tenant and the id it would have.
        applied_own: events applied under the id it came with.
    """

    sent: Sent | None
    sent_ids: Sequence[Sent]
    applied: Sequence[Applied]
    applied_own: Sequence[Applied]


def node_as_sent(ready: Replayed, tenant: str, nodes: Nodes, source: str) -> str:
    """Node of a record as its producer sent it; empty when that identified nobody, or when a fix may have changed it by now.

    Args:
        ready: the record.
        tenant: owner.
        nodes: identifier rules.
        source: name of the source it came through, empty when unknown.
    """
    if ready.before.replay_of:
        return ""
    return next(iter(nodes.keys(tenant, ready.identifiers, source)[0]), "")


def refusal(
    record: Record, ready: Replayed, verdict: Event | Rejected, node_before: str, known: Knowledge, now: int, dedupe_ms: int, again: bool
) -> Refusal | None:
    """Why a record must not be sent, None when it may.

    Args:
        record: the rejected record.
        ready: what would be sent.
        verdict: what `decode` makes of it.
        node_before: node of the record as it came (`node_as_sent`), empty when unknown.
        known: see there.
        now: the log's clock, ms.
        dedupe_ms: how long nodes remember ids.
        again: send also what was sent or applied already.
    """
    sent = known.sent
    if sent is not None and not again:
        how = f" with fix {sent.fix}" if sent.fix else ""
        return Refusal("replayed already", f"was replayed{how} as `{sent.message_id}` at {iso(sent.at)}; --again sends it all the same")
    if isinstance(verdict, Rejected):
        if sent is None or not sent.node:
            return None  # it will not be applied, whatever was
        return Refusal("replayed already", f"was replayed as `{sent.message_id}` at {iso(sent.at)} and passed; this would fail")
    horizon = now - dedupe_ms + MARGIN_MS
    if sent is not None and sent.node and sent.at < horizon:
        return Refusal("too long ago", f"was replayed at {iso(sent.at)}: its node may have forgotten the id and would apply it twice")
    moved = _moved(verdict.node, node_before, known)
    if moved:
        return Refusal("belongs to another node", f"this would apply it at node {verdict.node}, but {moved}: it would count twice")
    here = [event for event in known.applied if event.node == verdict.node]
    if here and not again:
        return Refusal("applied already", f"`{ready.message_id}` was applied from {here[0].position}; --again makes a duplicate of it")
    if any(event.log_time < horizon for event in here):
        return Refusal("too long ago", f"`{ready.message_id}` was applied from {here[0].position}, so long ago that its node may forget it")
    return _another_fix(record, ready, verdict.node, known.applied_own) if record.code == codes.ID_CONFLICT else None


def _moved(node: str, before: str, known: Knowledge) -> str:
    """Where else the same message went, if it did: ids are unique to a producer at best, so equal ids alone do not make it the same."""
    for other in (known.sent, *known.sent_ids):
        if other is None or other.node in ("", node):
            continue
        if before != node or (other.node_before != other.node and other.node_before in (before, "")):
            return f"it was replayed to node {other.node} at {iso(other.at)}"
    if before == node:
        return ""
    return next((f"`{event.position}` was applied at node {event.node} under its id" for event in known.applied if event.node != node), "")


def _another_fix(record: Record, ready: Replayed, node: str, applied: Sequence[Applied]) -> Refusal | None:
    """A conflicting record gets an id of its own. Not so when the other event under its id is itself, differently fixed."""
    here = [event for event in applied if event.node == node]
    same = next((event for event in here if event.content == ready.lineage.content), None)
    if same is not None:
        why = f"is another fix of a record that was applied from {same.position} already; this would be a second event"
        return Refusal("another fix was applied", why)
    if ready.before.replay_of and not here:
        return Refusal("not known yet", f"ClickHouse does not show yet which event holds `{record.message_id}`; try again in a moment")
    return None
