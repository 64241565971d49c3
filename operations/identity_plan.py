"""Putting other limits in force, and judging the past by them: worked out on a copy, then done by the very records that were tried."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from operations.controls import Publisher
from operations.identity import Differs, People, Placed
from operations.identity_limits import InForce, rules_record
from pipelines.identity.graph import LINKED, Decision
from pipelines.identity.graph_state import OPEN, SHARED, ProfileRecord
from pipelines.identity.limits import MOST, TOO_MANY, Change, Limits, TenantLimits, changes
from pipelines.identity.link_log import Link, LogRecord, Release, Rules, Settle

Tell = Callable[[int, int], None]
"""Told how many of how many are done."""


class Asked(NamedTuple):
    """Who asks for other limits.

    Attributes:
        tenant: whose limits.
        at: now, ms.
        cause: an id of this request, which its records carry.
        reason: who asks, and why.
    """

    tenant: str
    at: int
    cause: str
    reason: str


class Past(msgspec.Struct, frozen=True):
    """What other limits would change of what was decided before they came.

    Attributes:
        settled: persons and shared identifiers whose links are looked at anew.
        released: identifiers that were shared by the limits of before and are not by these.
        proposed: links that were refused or dropped and would be in force.
        differs: who would be whom afterwards.
    """

    settled: int
    released: int
    proposed: int
    differs: Differs


class Plan(msgspec.Struct, frozen=True):
    """What is to be done.

    Attributes:
        changed: limits that would be others; empty when the log has them in force already, or has none and begins to have them.
        rules: the record that puts them in force; None when they are.
        past: what they would change of the past.
        records: of the link log, in their order, that do change it.
    """

    changed: list[Change]
    rules: Rules | None
    past: Past
    records: list[LogRecord]


def plan(people: People, now: InForce, wanted: TenantLimits, asked: Asked, tell: Tell = lambda *_: None) -> Plan:
    """Work out what other limits would change, on a copy.

    Args:
        people: by the whole link log; they stay as they are.
        now: the limits in force.
        wanted: the other ones.
        asked: by whom.
        tell: takes the progress through the links that are not in force.
    """
    then, changed = people.copy(), changes(now.limits, wanted)
    rules = rules_record(asked.tenant, wanted, asked.at, asked.cause, asked.reason) if changed or not now.epoch else None
    if rules:
        then.take(Placed(then.epoch + 1, rules))
    settled, released = list(_settle(then, asked)), list(_release(then, asked))
    proposed = list(_propose(then, asked, {record.node for record in released}, tell))
    past = Past(len(settled), len(released), len(proposed), people.compare(then))
    return Plan(changed, rules, past, [*settled, *released, *proposed])


def _settle(then: People, asked: Asked) -> Iterator[Settle]:
    """Persons that have more than the limits allow, and identifiers that are shared by them."""
    limits, clock = then.limits, max(then.state.clock(0), asked.at)
    exceeding = [_founder(limits, person) for person in then.persons() if limits.exceeds(person, clock)]
    shared = [key for key in then.named() if then.state.node(key).status == OPEN and limits.is_shared(key, then.state.node(key))]
    for key in sorted(exceeding, key=_age(then)) + sorted(shared, key=_age(then)):
        record = Settle(asked.tenant, asked.at, asked.cause, f"judged anew by other limits; {asked.reason}", key)
        if then.take_if(Placed(then.epoch + 1, record), bool):
            yield record


def _release(then: People, asked: Asked) -> Iterator[Release]:
    """Identifiers that are nobody's by the limits of before, and would not be by these."""
    limits = then.limits
    nodes = [key for key in then.named() if then.state.node(key).status == SHARED and not limits.is_shared(key, then.state.node(key))]
    for key in sorted(nodes, key=_age(then)):
        record = Release(asked.tenant, asked.at, asked.cause, f"not shared by other limits; {asked.reason}", key)
        then.take(Placed(then.epoch + 1, record))
        yield record


def _propose(then: People, asked: Asked, released: set[str], tell: Tell) -> Iterator[Link]:
    """Links that a limit has kept out and that would be in force now, in the order of the log; again until there are none.

    This ends: whatever a link displaces is weaker, so of the strongest links never fewer are in force.
    """
    is_new = True
    while is_new:
        is_new = False
        waiting = sorted((one for one in then.not_in_force() if _is_by_limit(one[1], one[2], released)), key=lambda one: one[0])
        for done, (_, link, _) in enumerate(waiting, 1):
            again = msgspec.structs.replace(link, at=asked.at, reason=f"proposed again by other limits; {asked.reason}")
            if not _is_apart(then, link) and then.take_if(Placed(then.epoch + 1, again), _links(again)):
                is_new = True
                yield again
            tell(done, len(waiting))


def _is_by_limit(link: Link, rule: str, released: set[str]) -> bool:
    """Whether a limit has kept a link out. What was unbound or blocked stays so: that was somebody's will, and no limit's."""
    return rule == TOO_MANY or rule.startswith(MOST) or (rule == SHARED and not released.isdisjoint((link.a, link.b)))


def _is_apart(then: People, link: Link) -> bool:
    """Whether the two were unbound; a statement from before would take that back."""
    return link.b in then.state.node(link.a).apart


def _links(link: Link) -> Callable[[list[Decision]], bool]:
    return lambda decisions: any(decision.what == LINKED and {decision.a, decision.b} == {link.a, link.b} for decision in decisions)


def _founder(limits: Limits, person: ProfileRecord) -> str:
    return limits.founder(person.members)


def _age(people: People) -> Callable[[str], int]:
    return lambda key: people.state.node(key).first


def carry_out(publisher: Publisher, found: Plan, *, with_past: bool, tell: Tell = lambda *_: None) -> tuple[int, int] | None:
    """Write a plan's records to the link log.

    Args:
        publisher: where to.
        found: the plan.
        with_past: whether the records that change the past are written too.
        tell: takes the progress.

    Returns:
        Place of the first and of the last record; None when there was none to write.

    Raises:
        operations.controls.ControlError: Kafka has not taken them all. What it has taken holds, and a new plan has what is left.
        KeyboardInterrupt: somebody has stopped it; likewise.
    """
    records = ([found.rules] if found.rules else []) + (found.records if with_past else [])
    if not records:
        return None
    first = publisher.state(records[0])
    return first, publisher.state_all(records[1:], tell) if records[1:] else first
