"""A profile: the combined values of its nodes, the verdict of the rules, and when to publish. Pure: time comes in with the messages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from config.definitions import CutPoints, Definitions
from pipelines.audiences.rules import RuleBook, Verdict
from pipelines.features import plan
from pipelines.features.combine import COMBINED, combined, combined_other
from pipelines.features.fields import NO_CLOCK, Fields, of_group, piece
from pipelines.features.layout import LAST_ORDER, UNKNOWN, Layouts
from pipelines.features.profile_state import (
    CLOCK,
    FLIP_AT,
    HOLD,
    INCARNATION,
    NONE,
    NOTHING,
    PUBLISH_BY,
    ROSTER_EPOCH,
    TIMER,
    VERSION,
    LiveProfile,
    Part,
    unpacked,
)
from pipelines.traits.claims import unpack
from pipelines.traits.golden import EMPTY, FIELD, golden
from pipelines.wire import Join, Leave, Roster, Update
from profile_store.patch import Patch, from_record

ATTEMPTS: Final = 1_000_000
_VERDICTS: Final = 4096
"""So many different verdicts are kept once; thousands of profiles share one."""


def incarnation(run: int, attempt: int) -> int:
    """Number an operator's start: greater than that of every start before it, whatever checkpoint it begins from.

    The engine counts the attempts of one submission, and whoever submits numbers the submissions. No store is asked, so none can be away
    or have forgotten. The number stays below 2 ** 53: Redis' scripts compute with doubles.

    Args:
        run: number of the submission.
        attempt: of the engine within it, from 0.
    """
    return run * ATTEMPTS + attempt


class _Shared(msgspec.Struct, frozen=True):
    """A verdict, the fields that say it, and these as a piece of JSON."""

    verdict: Verdict
    shown: dict[str, Any]
    written: str


class Change(msgspec.Struct):
    """A published change: the record for Kafka."""

    record: dict[str, Any]

    @property
    def patch(self) -> Patch:
        """What the profile store makes of it."""
        return from_record(self.record)


class ProfileLogic:
    """The rules by which a profile changes.

    Args:
        definitions: features, scores, segments, tags as of submission.
        rules: the same, compiled.
        scale: minor units in a major one, by tenant.
        incarnation: of this writer; grows with every start.
        layouts: names of the numbers of layouts that there have been, by id: the state may have rows of them.

    Raises:
        ConfigError: see `plan.published_fields`.
    """

    def __init__(
        self,
        definitions: Definitions,
        rules: RuleBook,
        scale: dict[str, int],
        incarnation: int,
        layouts: Mapping[int, tuple[str, ...]] | None = None,
    ) -> None:
        published = plan.published_fields(definitions.features)
        self._layout = plan.layout(definitions.features)
        self._layouts = Layouts(self._layout, layouts or {})
        by_units = {units: Fields(published, self._layout, units, rules.reads) for units in set(scale.values())}
        self._fields = {tenant: by_units[units] for tenant, units in scale.items()}
        self._others = {*COMBINED, *(field.plus for field in published if field.measure not in plan.NUMBERS)}
        self._rules = rules
        self._traits = definitions.traits
        self._initial_cuts = definitions.rfm.initial
        self._cuts: dict[str, CutPoints] = {}
        self._incarnation = incarnation
        self._refresh_ms = definitions.features.refresh_s * 1000
        self._verdicts: dict[tuple[object, ...], _Shared] = {}

    def set_cut_points(self, tenant: str, cuts: CutPoints) -> bool:
        """Use other cut points from now on; an older version is ignored.

        Returns:
            Whether they were taken.
        """
        if cuts.version <= self.cut_points(tenant).version:
            return False
        self._cuts[tenant] = cuts
        return True

    def cut_points(self, tenant: str) -> CutPoints:
        """The cut points in force."""
        return self._cuts.get(tenant, self._initial_cuts)

    def load(self, profile_id: str, tenant: str, blob: bytes | None) -> LiveProfile:
        """Decode a profile, or begin it."""
        if blob is None:
            return LiveProfile(profile_id, tenant)
        live = unpacked(profile_id, blob, self._layouts)
        for part in live.nodes.values():
            if part.others and not part.others.keys() <= self._others:  # of definitions that are gone
                part.others = {name: value for name, value in part.others.items() if name in self._others} or None
        if live.verdict is not None:
            live.verdict = self._shared(live.verdict).verdict
            if live.published_tags == live.verdict.tags:
                live.published_tags = live.verdict.tags
        numbers = live.numbers
        if numbers[INCARNATION] > self._incarnation:
            # Whoever numbered this start had lost count. The store would take what we write for old: go on above what it holds.
            self._incarnation = numbers[INCARNATION] + 1
        is_settled = not numbers[PUBLISH_BY] and not numbers[HOLD] and _is_whole(live)
        if numbers[INCARNATION] == self._incarnation and live.nodes and is_settled:
            # Its fields are those that this writer published last: what changes from here on is all that has to be told.
            self._combine(live)
            live.published = True
        return live

    def dump(self, live: LiveProfile) -> bytes:
        """Encode a profile's state."""
        return live.packed(self._layout)

    def update(self, live: LiveProfile, update: Update, epoch: int | None = None) -> Change | None:
        """Take what a node tells.

        Args:
            live: the profile.
            update: the node's values.
            epoch: of the membership, when the node joins.
        """
        numbers = live.numbers
        part = live.nodes.get(update.node)
        places: Sequence[int] = ()
        names: Sequence[str] = ()
        if part is None:
            part = live.nodes[update.node] = Part(update.seq, epoch or 0, self._layout.row(), None)
            part.take(update)
            live.values, live.published = None, False
        else:
            part.seq = update.seq
            places, names = part.take(update)
            if epoch is not None:
                part.epoch = epoch
                live.published = False
        numbers[CLOCK], numbers[HOLD] = max(numbers[CLOCK], update.now), max(numbers[HOLD], update.hold)
        is_news = places or names or live.values is None
        self._recompute(live, places, names)
        if update.message_id:
            return self._publish(live, "event", update.message_id)
        if (live.changed or not live.published) if update.is_asked else is_news:
            due = update.changed_at + self._refresh_ms
            numbers[PUBLISH_BY] = min(numbers[PUBLISH_BY] or due, due)
        cause = "identity" if epoch is not None else "definitions" if update.is_asked else "time"
        return self._publish_if_due(live, cause, force=epoch is not None)

    def join(self, live: LiveProfile, join: Join) -> Change | None:
        """A node comes in."""
        return self.update(live, join.update, join.epoch)

    def leave(self, live: LiveProfile, leave: Leave) -> Change | None:
        """A node goes; the last one leaves a forwarding address."""
        numbers = live.numbers
        part = live.nodes.get(leave.node)
        if part is None:
            live.left_to, numbers[CLOCK] = leave.to_profile, max(numbers[CLOCK], leave.now)
            return self._forward_unseen(live)
        if part.epoch >= leave.epoch:
            return None
        del live.nodes[leave.node]
        numbers[CLOCK] = max(numbers[CLOCK], leave.now)
        live.values, live.published = None, False
        if not live.nodes:
            return self._forward(live, leave.to_profile)
        self._recompute(live)
        return self._publish_if_due(live, "identity", force=True)

    def roster(self, live: LiveProfile, roster: Roster, now: int) -> Change | None:
        """The resolver says which nodes make up the profile, at watermark `now` (ms)."""
        numbers = live.numbers
        if roster.epoch <= numbers[ROSTER_EPOCH]:
            return None
        live.roster, numbers[ROSTER_EPOCH] = roster.nodes, roster.epoch
        numbers[CLOCK] = max(numbers[CLOCK], now)
        if not live.nodes:
            return self._forward_unseen(live)
        self._recompute(live)
        return self._publish_if_due(live, "identity", force=True)

    def poke(self, live: LiveProfile, now: int) -> Change | None:
        """Look again because a definition changed. Who comes to be judged by other rules or cut points says so, though no verdict turns."""
        return self._look_again(live, now, "definitions")

    def tick(self, live: LiveProfile, now: int) -> Change | None:
        """Let time pass: a timer has fired."""
        numbers = live.numbers
        if numbers[TIMER] <= now:
            numbers[TIMER] = 0
        if 0 < numbers[HOLD] <= now:
            numbers[HOLD], numbers[PUBLISH_BY] = 0, now  # what it was silent about is due
            return self._look_again(live, now, "object")
        return self._look_again(live, now, "time")

    def _look_again(self, live: LiveProfile, now: int, cause: str) -> Change | None:
        if not live.nodes:
            return None
        live.numbers[CLOCK] = max(live.numbers[CLOCK], now)
        self._recompute(live)
        return self._publish_if_due(live, cause)

    @staticmethod
    def next_timer(live: LiveProfile) -> int | None:
        """The moment for which a timer has to be set now, or None when the outstanding one will do. Marks it as set."""
        numbers = live.numbers
        due, turn, outstanding = numbers[PUBLISH_BY], numbers[FLIP_AT], numbers[TIMER]
        if not due or 0 < turn < due:
            due = turn
        due = numbers[HOLD] or due
        if not due or 0 < outstanding <= due:
            return None
        numbers[TIMER] = due
        return due

    def _recompute(self, live: LiveProfile, places: Sequence[int] = (), names: Sequence[str] = ()) -> None:
        """Bring values and verdict up to the clock after some node values changed, unless that would be half of a merge.

        Nobody is told of halves, and to compute each of them would cost the square of the nodes that move: whoever completes the merge
        computes once.

        Args:
            live: the profile.
            places: of numbers that changed.
            names: of other values that changed.
        """
        if not _is_whole(live):
            live.values, live.published, live.numbers[FLIP_AT] = None, False, 0
            live.changed = NOTHING
            return
        is_new = live.values is None
        if is_new:
            self._combine(live)
        elif len(live.nodes) > 1:  # else they are the node's own
            self._combine_again(live, places, names)
        elif names:
            self._take_others(live)
        if "traits" in names and not is_new:
            self._choose_traits(live)
        assert live.values is not None
        if _is_group(live):
            self._judge_group(live)
            return
        stirred = self._fields[live.tenant].touched(places, names)
        if stirred:
            live.note(stirred)
        if live.values[LAST_ORDER] != UNKNOWN or "last_order_at" in stirred:
            live.note(NO_CLOCK)
        self._judge(live, stirred, is_new=is_new)

    def _written(self, live: LiveProfile) -> str:
        """All fields as JSON."""
        assert live.values is not None
        assert live.golden is not None
        assert live.verdict is not None
        if _is_group(live):
            shown = piece({**of_group(live.values, live.others), "rules_version": live.verdict.rules})
            return f"{{{shown},{live.golden.written}}}"
        pieces = self._fields[live.tenant].write(live.values, live.numbers[CLOCK])
        pieces += (*live.shown_others, live.golden.written, self._shared(live.verdict).written)
        return "{" + ",".join(pieces) + "}"

    def _combine(self, live: LiveProfile) -> None:
        """Bring together what all nodes have told."""
        parts = list(live.nodes.values())
        if len(parts) == 1:
            live.values = parts[0].numbers
        else:
            rows = [part.numbers for part in parts]
            live.values = [combined(place, rows) for place in range(len(self._layout.names))]
        self._take_others(live)
        self._choose_traits(live)

    def _combine_again(self, live: LiveProfile, places: Iterable[int], names: Iterable[str]) -> None:
        parts = live.nodes.values()
        rows = [part.numbers for part in parts]
        assert isinstance(live.values, list)
        for place in places:
            live.values[place] = combined(place, rows)
        if names:
            others = [part.others or NONE for part in parts]
            live.others = live.others | {name: combined_other(name, others) for name in names}
            live.shown_others = self._fields[live.tenant].write_others(live.others)

    def _take_others(self, live: LiveProfile) -> None:
        others = [part.others for part in live.nodes.values() if part.others]
        if len(others) < 2:
            live.others = others[0] if others else NONE
        else:
            live.others = {name: combined_other(name, others) for name in {name for one in others for name in one}}
        live.shown_others = self._fields[live.tenant].write_others(live.others)

    def _choose_traits(self, live: LiveProfile) -> None:
        """Choose the golden record, and note what the profile no longer has."""
        claims: Any = live.others.get("traits")
        before, live.golden = live.golden, golden(unpack(claims), live.tenant, self._traits) if claims else EMPTY
        if before is not None and before is not live.golden:
            live.note({name: None for name in before.fields if name.startswith(FIELD)} | live.golden.fields)

    def _shared(self, verdict: Verdict) -> _Shared:
        """A verdict as all profiles share it, with the fields that say it."""
        key = (*verdict.scores, verdict.segment, *verdict.tags, verdict.version, verdict.rules)
        known = self._verdicts.get(key)
        if known is None:
            shown: dict[str, Any] = {f"tag:{name}": int(name in verdict.tags) for name in self._rules.tag_names}
            shown["r_score"], shown["f_score"], shown["m_score"] = verdict.scores
            shown["rfm_segment"], shown["rfm_version"], shown["rules_version"] = verdict.segment, verdict.version, verdict.rules
            if len(self._verdicts) >= _VERDICTS:
                self._verdicts.clear()
            known = self._verdicts[key] = _Shared(verdict, shown, piece(shown))
        return known

    def _judge(self, live: LiveProfile, stirred: Mapping[str, Any], *, is_new: bool) -> None:
        """Let the rules look again if they can come to another verdict; a turned rule is to be published at once."""
        numbers, rules = live.numbers, self._rules
        now, cuts, old = numbers[CLOCK], self.cut_points(live.tenant), live.verdict
        again = is_new or old is None or old.version != cuts.version or old.rules != rules.version or 0 < numbers[FLIP_AT] <= now
        effect = rules.effect(stirred)
        if not again and not effect.concerns:
            return
        assert live.values is not None
        fields = self._fields[live.tenant].read(live.values, live.others, now, None if again else effect.reads)
        if old is not None:
            fields.update(self._shared(old).shown)
        found = rules.judge(fields, cuts, now) if again else rules.judge(fields, cuts, now, old, stirred)
        if again or effect.moves_flip:
            numbers[FLIP_AT] = rules.next_flip(fields, cuts, now) or 0
        if again or found is not old:
            is_other = found != old
            shared = self._shared(found)
            live.verdict = shared.verdict
            live.note(shared.shown)
            if is_other:  # another verdict, or the same by other rules: whoever asked for it waits to see that
                numbers[PUBLISH_BY] = now

    def _judge_group(self, live: LiveProfile) -> None:
        """Nothing is judged of a group; it says by which rules it was looked at, so that whoever asked for that sees it."""
        assert live.values is not None
        assert live.golden is not None
        new = Verdict((0, 0, 0), "", [], 0, self._rules.version)
        if live.verdict != new:
            live.verdict, live.numbers[PUBLISH_BY] = new, live.numbers[CLOCK]
        live.note({**of_group(live.values, live.others), **live.golden.fields, "rules_version": new.rules})

    def _publish_if_due(self, live: LiveProfile, cause: str, *, force: bool = False) -> Change | None:
        if force or 0 < live.numbers[PUBLISH_BY] <= live.numbers[CLOCK]:
            return self._publish(live, cause, "")
        return None

    def _publish(self, live: LiveProfile, cause: str, message_id: str) -> Change | None:
        if live.numbers[HOLD]:
            return None  # an object changes hands: whoever lets time pass publishes
        live.numbers[PUBLISH_BY] = 0
        if live.values is None:
            return None  # half of a merge: whoever completes it publishes
        tags, before = live.verdict.tags if live.verdict else (), live.published_tags
        change = self._change(
            live,
            self._written(live),
            {
                "cause": cause,
                "message_id": message_id,
                "tags_entered": [name for name in tags if name not in before] if tags else [],
                "tags_exited": [name for name in before if name not in tags] if before else [],
            },
        )
        live.published_tags = tags
        return change

    def _forward_unseen(self, live: LiveProfile) -> Change | None:
        """The profile has ended, and was never published as far as its state knows.

        An attempt that was undone may have shown it nevertheless: the store is written at once, and links are not undone. In the attempt
        that counts its node heard of its new profile before it had anything to tell.
        """
        if live.nodes or live.numbers[VERSION] or live.roster != [] or not live.left_to:
            return None
        return self._forward(live, live.left_to)

    def _forward(self, live: LiveProfile, to_profile: str) -> Change:
        """The profile is empty: whoever still reads it is sent on."""
        exited, live.published_tags, live.verdict = list(live.published_tags), (), None
        for place in (FLIP_AT, PUBLISH_BY, HOLD):
            live.numbers[place] = 0
        live.golden = EMPTY
        features = orjson.dumps({"_merged_into": to_profile}).decode()
        change = self._change(live, features, {"cause": "identity", "message_id": "", "tags_entered": [], "tags_exited": exited})
        live.published = False
        return change

    def _change(self, live: LiveProfile, features: str, why: dict[str, Any]) -> Change:
        numbers = live.numbers
        partial = live.published and numbers[INCARNATION] == self._incarnation
        base = numbers[VERSION]
        numbers[VERSION], numbers[INCARNATION] = base + 1, self._incarnation
        record = {
            "tenant": live.tenant,
            "profile_id": live.profile_id,
            "incarnation": self._incarnation,
            "version": base + 1,
            "at": numbers[CLOCK],
            "nodes": {node: part.seq for node, part in live.nodes.items()},
            "features": features,
            "pii": (live.golden or EMPTY).personal,
            "base_version": base if partial else 0,
            "changed": list(live.changed) if partial else [],
            "epochs": {node: part.epoch for node, part in live.nodes.items() if part.epoch},
            **why,
        }
        live.changed = NOTHING
        live.published = True
        return Change(record)


def _is_group(live: LiveProfile) -> bool:
    """Whether it is the profile of a group: the node of one says so, and groups are never merged."""
    return "kind" in live.others


def _is_whole(live: LiveProfile) -> bool:
    """Whether a profile holds the nodes that it has to hold, as far as it can know.

    A node that came by a later word of the resolver's than the roster is the first of a merge: the roster that names the others is on its
    way. Without any roster, nobody may have come: a node founds its profile at epoch 0.
    """
    roster, nodes, epoch = live.roster, live.nodes, live.numbers[ROSTER_EPOCH]
    if roster is not None and len(nodes) != len(roster):
        return False
    for part in nodes.values():
        if part.epoch > epoch:
            return False
    return roster is None or nodes.keys() == set(roster)
