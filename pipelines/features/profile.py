"""A profile: the combined values of its nodes, the verdict of the rules, and when to publish. Pure: time comes in with the messages."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson

from config.definitions import CutPoints, Definitions
from pipelines.audiences.rules import RuleBook, Verdict, clock_fields
from pipelines.features.combine import Fields, combine, of_group
from pipelines.features.plan import published_fields
from pipelines.features.profile_state import FORMAT, LiveProfile, Part, ProfileState, decode, encode
from pipelines.traits.claims import unpack
from pipelines.traits.golden import EMPTY, FIELD, golden
from pipelines.wire import Join, Leave, Roster, Update, Value
from profile_store.patch import Patch, from_record

ATTEMPTS: Final = 1_000_000


def incarnation(run: int, attempt: int) -> int:
    """Number an operator's start: greater than that of every start before it, whatever checkpoint it begins from.

    The engine counts the attempts of one submission, and whoever submits numbers the submissions. No store is asked, so none can be away
    or have forgotten. The number stays below 2 ** 53: Redis' scripts compute with doubles.

    Args:
        run: number of the submission.
        attempt: of the engine within it, from 0.
    """
    return run * ATTEMPTS + attempt


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
    """

    def __init__(self, definitions: Definitions, rules: RuleBook, scale: dict[str, int], incarnation: int) -> None:
        published = published_fields(definitions.features)
        self._fields = {tenant: Fields(published, units) for tenant, units in scale.items()}
        self._rules = rules
        self._traits = definitions.traits
        self._initial_cuts = definitions.rfm.initial
        self._cuts: dict[str, CutPoints] = {}
        self._incarnation = incarnation
        self._refresh_ms = definitions.features.refresh_s * 1000

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
            return LiveProfile(profile_id, ProfileState(FORMAT, tenant))
        live = LiveProfile(profile_id, decode(blob))
        state = live.state
        if state.incarnation > self._incarnation:
            # Whoever numbered this start had lost count. The store would take what we write for old: go on above what it holds.
            self._incarnation = state.incarnation + 1
        if state.incarnation == self._incarnation and state.nodes and not state.publish_by and not state.hold and _is_whole(state):
            # Its fields are those that this writer published last: what changes from here on is all that has to be told.
            live.fields = self._all_fields(live)
            if _is_group(live):
                live.fields["rules_version"] = self._rules.version
            else:
                live.fields |= self._shown(state.verdict)
                live.fields |= clock_fields(live.fields["last_order_at"], live.fields["mean_interpurchase_days"], state.clock)
            live.published = True
        return live

    def dump(self, live: LiveProfile) -> bytes:
        """Encode a profile's state."""
        return encode(live.state)

    def update(self, live: LiveProfile, update: Update, epoch: int | None = None) -> Change | None:
        """Take what a node tells.

        Args:
            live: the profile.
            update: the node's values.
            epoch: of the membership, when the node joins.
        """
        state = live.state
        part = state.nodes.get(update.node)
        if part is None:
            part = state.nodes[update.node] = Part(update.seq, epoch or 0, update.values)
            live.fields, live.published = None, False
        else:
            part.seq = update.seq
            part.values.update(update.values)
            if epoch is not None:
                part.epoch = epoch
                live.published = False
        state.clock, state.hold = max(state.clock, update.now), max(state.hold, update.hold)
        self._recompute(live, update.values)
        if update.message_id:
            return self._publish(live, "event", update.message_id)
        if not update.is_asked or live.changed:
            due = update.changed_at + self._refresh_ms
            state.publish_by = min(state.publish_by or due, due)
        cause = "identity" if epoch is not None else "definitions" if update.is_asked else "time"
        return self._publish_if_due(live, cause, force=epoch is not None)

    def join(self, live: LiveProfile, join: Join) -> Change | None:
        """A node comes in."""
        return self.update(live, join.update, join.epoch)

    def leave(self, live: LiveProfile, leave: Leave) -> Change | None:
        """A node goes; the last one leaves a forwarding address."""
        state = live.state
        part = state.nodes.get(leave.node)
        if part is None:
            state.left_to, state.clock = leave.to_profile, max(state.clock, leave.now)
            return self._forward_unseen(live)
        if part.epoch >= leave.epoch:
            return None
        del state.nodes[leave.node]
        state.clock = max(state.clock, leave.now)
        live.fields, live.published = None, False
        if not state.nodes:
            return self._forward(live, leave.to_profile)
        self._recompute(live, {})
        return self._publish_if_due(live, "identity", force=True)

    def roster(self, live: LiveProfile, roster: Roster, now: int) -> Change | None:
        """The resolver says which nodes make up the profile, at watermark `now` (ms)."""
        state = live.state
        if roster.epoch <= state.roster_epoch:
            return None
        state.roster, state.roster_epoch = roster.nodes, roster.epoch
        state.clock = max(state.clock, now)
        if not state.nodes:
            return self._forward_unseen(live)
        self._recompute(live, {})
        return self._publish_if_due(live, "identity", force=True)

    def poke(self, live: LiveProfile, now: int) -> Change | None:
        """Look again because a definition changed. Who comes to be judged by other rules or cut points says so, though no verdict turns."""
        return self._look_again(live, now, "definitions")

    def tick(self, live: LiveProfile, now: int) -> Change | None:
        """Let time pass: a timer has fired."""
        state = live.state
        if state.timer <= now:
            state.timer = 0
        if 0 < state.hold <= now:
            state.hold, state.publish_by = 0, now  # what it was silent about is due
            return self._look_again(live, now, "object")
        return self._look_again(live, now, "time")

    def _look_again(self, live: LiveProfile, now: int, cause: str) -> Change | None:
        state = live.state
        if not state.nodes:
            return None
        state.clock = max(state.clock, now)
        self._recompute(live, {})
        return self._publish_if_due(live, cause)

    def next_timer(self, live: LiveProfile) -> int | None:
        """The moment for which a timer has to be set now, or None when the outstanding one will do. Marks it as set."""
        state = live.state
        due = state.hold or min(filter(None, (state.flip_at, state.publish_by)), default=0)
        if not due or (state.timer and state.timer <= due):
            return None
        state.timer = due
        return due

    def _recompute(self, live: LiveProfile, values: dict[str, Value]) -> None:
        """Bring fields and verdict up to the clock after some node values changed, unless that would be half of a merge.

        Nobody is told of halves, and to compute each of them would cost the square of the nodes that move: whoever completes the merge
        computes once.
        """
        state = live.state
        if not _is_whole(state):
            live.fields, live.published, state.flip_at = None, False, 0
            live.changed.clear()
            return
        fields = self._fields[state.tenant]
        if live.fields is None:
            live.fields = {}
            stirred = self._all_fields(live)
        elif values:
            if len(state.nodes) > 1:  # else they are the node's own
                parts = [part.values for part in state.nodes.values()]
                live.values.update({name: combine(name, parts) for name in values})
            stirred = of_group(live.values) if _is_group(live) else fields.stirred(values, live.values, live.fields)
            if "traits" in values:
                self._choose_traits(live, stirred)
        else:
            stirred = {}
        known = live.fields
        if _is_group(live):
            self._note(live, stirred)
            self._judge_group(live)
            return
        self._note(live, stirred)
        if known["last_order_at"] is not None or "last_order_at" in stirred or "recency_days" not in known:
            self._note(live, clock_fields(known["last_order_at"], known["mean_interpurchase_days"], state.clock))
        self._judge(live, stirred)

    def _all_fields(self, live: LiveProfile) -> dict[str, Any]:
        """Every field that does not move with the clock, before the rules have spoken."""
        parts = [part.values for part in live.state.nodes.values()]
        live.values = parts[0] if len(parts) == 1 else {name: combine(name, parts) for name in {name for part in parts for name in part}}
        fields = of_group(live.values) if _is_group(live) else self._fields[live.state.tenant].all(live.values)
        self._choose_traits(live, fields)
        return fields

    def _choose_traits(self, live: LiveProfile, fields: dict[str, Any]) -> None:
        """Add to `fields` what the golden record is now, and take out of the profile what it no longer has."""
        claims: Any = live.values.get("traits")
        found = golden(unpack(claims), live.state.tenant, self._traits) if claims else EMPTY
        live.personal = found.personal
        known = live.fields or {}
        for name in [name for name in known if name.startswith(FIELD) and name not in found.fields]:
            del known[name]
            live.changed[name] = None
        fields |= found.fields

    def _shown(self, verdict: Verdict | None) -> dict[str, Any]:
        """The fields that say what the rules said."""
        assert verdict is not None
        shown: dict[str, Any] = {f"tag:{name}": int(name in verdict.tags) for name in self._rules.tag_names}
        shown["r_score"], shown["f_score"], shown["m_score"] = verdict.scores
        shown["rfm_segment"], shown["rfm_version"], shown["rules_version"] = verdict.segment, verdict.version, verdict.rules
        return shown

    @staticmethod
    def _note(live: LiveProfile, fields: Mapping[str, Any]) -> None:
        assert live.fields is not None
        live.fields.update(fields)
        live.changed.update(dict.fromkeys(fields))

    def _judge(self, live: LiveProfile, stirred: dict[str, Any]) -> None:
        """Let the rules look again if they can come to another verdict; a turned rule is to be published at once."""
        state, fields = live.state, live.fields
        assert fields is not None
        cuts = self.cut_points(state.tenant)
        old = state.verdict
        turned = 0 < state.flip_at <= state.clock
        again = old is None or turned or old.version != cuts.version or old.rules != self._rules.version or "rfm_segment" not in fields
        if not again and not self._rules.concerns(stirred):
            return
        new = self._rules.judge(fields, cuts, state.clock) if again else self._rules.judge(fields, cuts, state.clock, old, stirred)
        if again or self._rules.moves_flip(stirred):
            state.flip_at = self._rules.next_flip(fields, cuts, state.clock) or 0
        if again or new != old:
            self._note(live, self._shown(new))
        state.verdict = new
        if new != old:  # another verdict, or the same by other rules: whoever asked for it waits to see that
            state.publish_by = state.clock

    def _judge_group(self, live: LiveProfile) -> None:
        """Nothing is judged of a group; it says by which rules it was looked at, so that whoever asked for that sees it."""
        new = Verdict((0, 0, 0), "", [], 0, self._rules.version)
        if live.state.verdict != new:
            live.state.verdict, live.state.publish_by = new, live.state.clock
        self._note(live, {"rules_version": new.rules})

    def _publish_if_due(self, live: LiveProfile, cause: str, *, force: bool = False) -> Change | None:
        state = live.state
        if force or 0 < state.publish_by <= state.clock:
            return self._publish(live, cause, "")
        return None

    def _publish(self, live: LiveProfile, cause: str, message_id: str) -> Change | None:
        state = live.state
        if state.hold:
            return None  # an object changes hands: whoever lets time pass publishes
        if live.fields is None:
            state.publish_by = 0  # half of a merge: whoever completes it publishes
            return None
        tags, before = state.verdict.tags if state.verdict else [], state.published_tags
        features = orjson.dumps(live.fields)
        change = self._change(
            live,
            features,
            {
                "cause": cause,
                "message_id": message_id,
                "tags_entered": [name for name in tags if name not in before],
                "tags_exited": [name for name in before if name not in tags],
            },
        )
        state.published_tags = tags
        state.publish_by = 0
        return change

    def _forward_unseen(self, live: LiveProfile) -> Change | None:
        """The profile has ended, and was never published as far as its state knows.

        An attempt that was undone may have shown it nevertheless: the store is written at once, and links are not undone. In the attempt
        that counts its node heard of its new profile before it had anything to tell.
        """
        state = live.state
        if state.nodes or state.version or state.roster != [] or not state.left_to:
            return None
        return self._forward(live, state.left_to)

    def _forward(self, live: LiveProfile, to_profile: str) -> Change:
        """The profile is empty: whoever still reads it is sent on."""
        state = live.state
        exited, state.published_tags, state.verdict = state.published_tags, [], None
        state.flip_at = state.publish_by = state.hold = 0
        live.personal = EMPTY.personal
        features = orjson.dumps({"_merged_into": to_profile})
        change = self._change(live, features, {"cause": "identity", "message_id": "", "tags_entered": [], "tags_exited": exited})
        live.published = False
        return change

    def _change(self, live: LiveProfile, features: bytes, why: dict[str, Any]) -> Change:
        state = live.state
        partial = live.published and state.incarnation == self._incarnation
        base, state.version, state.incarnation = state.version, state.version + 1, self._incarnation
        record = {
            "tenant": state.tenant,
            "profile_id": live.profile_id,
            "incarnation": self._incarnation,
            "version": state.version,
            "at": state.clock,
            "nodes": {node: part.seq for node, part in state.nodes.items()},
            "features": features.decode(),
            "pii": live.personal,
            "base_version": base if partial else 0,
            "changed": list(live.changed) if partial else [],
            "epochs": {node: part.epoch for node, part in state.nodes.items() if part.epoch},
            **why,
        }
        live.changed.clear()
        live.published = True
        return Change(record)


def _is_group(live: LiveProfile) -> bool:
    """Whether it is the profile of a group: the node of one says so, and groups are never merged."""
    return "kind" in live.values


def _is_whole(state: ProfileState) -> bool:
    """Whether a profile holds the nodes that it has to hold, as far as it can know.

    A node that came by a later word of the resolver's than the roster is the first of a merge: the roster that names the others is on its
    way. Without any roster, nobody may have come: a node founds its profile at epoch 0.
    """
    if state.roster is not None and len(state.nodes) != len(state.roster):
        return False
    if any(part.epoch > state.roster_epoch for part in state.nodes.values()):
        return False
    return state.roster is None or state.nodes.keys() == set(state.roster)
