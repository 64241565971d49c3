"""A patch: what the store is told of a profile's change, made from the record of that change, and how several of them become one."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from profile_store import layout


class Patch(msgspec.Struct, frozen=True, gc=False):
    """One new version of one profile.

    Attributes:
        tenant: owner.
        profile_id: profile.
        incarnation: of the operator that made it; grows with every start of it.
        version: of the profile within the writer's state; grows by one with each change.
        base_version: version this one was made from, 0 when the whole profile is to be written.
        at: moment (ms, log time) the values are true for.
        features: JSON object with *all* fields, also those that did not change: the store may ask for the whole profile.
        changed: names of the fields that differ from `base_version`, at least; a name that is not in `features` was removed.
        nodes: `(namespace, value, epoch)` of the profile's identifiers; they are written along with a whole profile.
        merged_into: profile that took this one over; such a profile holds nothing else.
        pii: JSON object with *all* personal traits, name -> `{"value", "conflicts"}`, values encrypted.
    """

    tenant: str
    profile_id: str
    incarnation: int
    version: int
    base_version: int
    at: int
    features: bytes
    changed: list[str] = []
    nodes: list[tuple[str, str, int]] = []
    merged_into: str = ""
    pii: bytes = b"{}"

    @property
    def rank(self) -> tuple[int, int]:
        """Versions compare by this."""
        return self.incarnation, self.version

    @property
    def whole(self) -> bool:
        """Is the profile to be written as a whole?"""
        return not self.base_version or bool(self.merged_into)

    def replaces_pii(self, base: int) -> bool:
        """Are the personal traits in the store to be replaced, all of them, by those of this patch?

        A change of them always changes field `traits` too, so a partial write that does not name it leaves them alone.

        Args:
            base: version that the write builds on; 0 or less for a whole profile.
        """
        return base <= 0 or bool(self.merged_into) or layout.TRAITS in self.changed


def from_record(record: Mapping[str, Any]) -> Patch:
    """The patch that a record of `cdp.profile.changes` stands for.

    Args:
        record: as `schemas.clean.decode` gives it.
    """
    nodes, features, epochs = record["nodes"], record["features"].encode(), record["epochs"]
    return Patch(
        record["tenant"],
        record["profile_id"],
        record["incarnation"],
        record["version"],
        record["base_version"],
        record["at"],
        features,
        record["changed"],
        [(*node.split("|", 2)[1:], epochs.get(node, 0)) for node in nodes],
        # A profile that was merged away has no nodes and one field, which says where to.
        "" if nodes else _FORWARD.decode(features).get(layout.MERGED_INTO, ""),
        record.get("pii", "{}").encode(),  # a record that was never Avro may lack what has a default there
    )


_FORWARD = msgspec.json.Decoder(dict[str, Any])


def coalesce(patches: Iterable[Patch]) -> list[Patch]:
    """Keep one patch per profile that has the effect of all of them, one after the other.

    Args:
        patches: in order of arrival; a repeated or overtaken version is harmless.

    Returns:
        The newest patch of each profile, in order of first arrival: built on the oldest base with the union of the changed fields, or whole
        when one of them is whole or the chain of bases has a gap. An identifier goes with its greatest epoch.
    """
    newest: dict[tuple[str, str], Patch] = {}
    for patch in patches:
        key = (patch.tenant, patch.profile_id)
        before = newest.get(key)
        newest[key] = patch if before is None else _join(before, patch)
    return list(newest.values())


def _join(one: Patch, other: Patch) -> Patch:
    older, newer = (one, other) if one.rank < other.rank else (other, one)
    nodes = _nodes(older.nodes, newer.nodes) if older.nodes or newer.nodes else []
    chained = newer.incarnation == older.incarnation and newer.base_version == older.version
    if newer.rank == older.rank or (not newer.whole and not older.whole and chained):
        base, changed = min(older.base_version, newer.base_version), [*dict.fromkeys(older.changed + newer.changed)]
    else:
        base, changed = 0, []
    return msgspec.structs.replace(newer, base_version=base, changed=changed, nodes=nodes)


def _nodes(older: list[tuple[str, str, int]], newer: list[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    epochs: dict[tuple[str, str], int] = {}
    for namespace, value, epoch in older + newer:
        epochs[namespace, value] = max(epoch, epochs.get((namespace, value), epoch))
    return [(namespace, value, epoch) for (namespace, value), epoch in epochs.items()]
