"""Every published field of a profile: docs/features.md, docs/traits.md."""

from collections import Counter
from collections.abc import Callable, Container, Sequence
from fractions import Fraction
from typing import Any

from tests.oracle.envelope import Event
from tests.oracle.ledger import Ledger, ledger
from tests.oracle.log import Log, Position
from tests.oracle.objects import Told, facts
from tests.oracle.rulebook import CutPoints, Rulebook
from tests.oracle.rules import holds
from tests.oracle.traits import Shown, Word, group_profile, kept, memberships, shown
from tests.oracle.windows import Series

DAY_MS = 86_400_000
TOP = 5
TOP_PER_NODE = 64
Fields = dict[str, Any]


class _Node:
    """What one node contributes: by the events that name it, and by what is told of the objects it owns."""

    def __init__(self, key: str, named: Sequence[Event], owned: Sequence[Told], rules: Rulebook) -> None:
        self.late = sum(event.late for event in named)
        self.events = [event for event in named if not event.late and not event.excluded]
        self.times_ms = sorted(event.event_ms for event in self.events)
        self.ledger: Ledger = ledger(owned, rules.money[key.split("|")[0]].decimals)
        self.series = {name: Series(key, self._happened(source), rules) for name, source in rules.series.items()}

    def _happened(self, source: dict[str, Any]) -> list[tuple[int, int]]:
        if source.get("ledger") == "orders":
            return [(order.time_ms, order.total) for order in self.ledger.orders]
        if source.get("ledger") == "refunds":
            return [(refund.time_ms, refund.total) for refund in self.ledger.refunds]
        names, types = source.get("events", ()), source.get("types", ())
        return [(event.event_ms, 0) for event in self.events if event.type in types or (event.type == "track" and event.name in names)]

    def sessions(self, gap_ms: int) -> int:
        if not self.times_ms:
            return 0
        return 1 + sum(after - before > gap_ms for before, after in zip(self.times_ms, self.times_ms[1:], strict=False))

    def top(self) -> list[tuple[str, int]]:
        return sorted(self.ledger.units().items(), key=_by_units)[:TOP_PER_NODE]


def _by_units(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


class Profiles:
    """Computes profiles from a judged log.

    Args:
        log: judged.
        rules: configuration.
    """

    def __init__(self, log: Log, rules: Rulebook) -> None:
        self._log = log
        self._rules = rules
        self._owned = facts(log.applied(), rules)

    def at(
        self, nodes: Sequence[str], at_ms: int, *, cut_points: CutPoints | None = None, included: Container[Position] | None = None
    ) -> Fields:
        """Every published field of the profile of some nodes.

        Args:
            nodes: keys of its nodes; of a group's profile the group's alone.
            at_ms: the clock (`_at` of a published profile).
            cut_points: what scores are computed with; by default those the configuration starts with.
            included: raw positions of the events of these nodes that the profile includes; by default all. No event may be younger than the
                clock. What others told of objects until the clock is included in any case.

        Returns:
            Field name -> value, amounts in major units, without `_v` and `_at`.
        """
        if self._is_group(nodes):
            return self.group(nodes[0], included=included).fields
        owned = self._owned
        if included is not None:
            known = [
                (place, event)
                for place, event in self._log.applied()
                if (Position(*place[1:]) in included if event.node in nodes else event.log_ms <= at_ms)
            ]
            owned = facts(known, self._rules)
        parts = []
        for key in nodes:
            named = [event for position, event in self._log.events.get(key, ()) if included is None or position in included]
            parts.append(_Node(key, named, owned.get(key, ()), self._rules))
        scale = 10 ** self._rules.money[nodes[0].split("|")[0]].decimals
        fields = self._windowed(parts, at_ms, scale)
        fields |= _times(parts)
        fields |= _rhythm(fields, at_ms, scale)
        fields |= self._counts(parts)
        fields |= _scores(fields, cut_points or self._rules.cut_points)
        spoken = self._spoken(nodes, included)
        fields |= shown(spoken, nodes[0].split("|")[0], self._rules, self._rules.pii_traits).fields
        fields["groups"] = memberships(self._called(nodes, "group", included))
        fields["rfm_segment"] = next((rule["name"] for rule in self._rules.segments if holds(rule["when"], fields)), None)
        tags = {f"tag:{rule['name']}": int(holds(rule["when"], fields)) for rule in self._rules.tags}
        return fields | tags

    def personal(self, nodes: Sequence[str], *, included: Container[Position] | None = None) -> Fields:
        """Personal traits of the profile of some nodes in plain text: name -> value and conflicts.

        Args:
            nodes: as in `at`.
            included: as in `at`.
        """
        if self._is_group(nodes):
            return self.group(nodes[0], included=included).personal
        return shown(self._spoken(nodes, included), nodes[0].split("|")[0], self._rules, self._rules.pii_traits).personal

    def groups(self) -> set[str]:
        """Keys of all groups that have a profile."""
        return {event.group for _, event in self._log.applied() if event.group and not event.late}

    def group(self, key: str, *, included: Container[Position] | None = None) -> Shown:
        """The profile of a group: all its fields, and its personal traits in plain text.

        Args:
            key: of the group, `tenant|kind|id`.
            included: raw positions of the calls that the profile includes; by default all.
        """
        calls = [(place, event) for place, event in self._log.applied() if event.group == key and not event.late]
        return group_profile([told for told in calls if included is None or Position(*told[0][1:]) in included], self._rules)

    def _is_group(self, nodes: Sequence[str]) -> bool:
        return nodes[0].split("|")[1] in self._rules.groups

    def _called(self, nodes: Sequence[str], kind: str, included: Container[Position] | None) -> list[list[Told]]:
        """For each node its calls of one kind that tell something."""
        found = []
        for key in nodes:
            named = [told for told in self._log.events.get(key, ()) if included is None or told[0] in included]
            telling = [(position, event) for position, event in named if event.type == kind and not event.late and not event.excluded]
            found.append([((event.log_ms, *position), event) for position, event in telling])
        return found

    def _spoken(self, nodes: Sequence[str], included: Container[Position] | None) -> list[Word]:
        tenant = nodes[0].split("|")[0]
        return [word for calls in self._called(nodes, "identify", included) for word in kept(calls, tenant, self._rules)]

    def _windowed(self, parts: list[_Node], at_ms: int, scale: int) -> Fields:
        """In minor units until the last moment, so that differences are exact."""
        minor: dict[str, int] = {}
        amounts = set()
        for feature in self._rules.features:
            for window in feature["windows"]:
                name = f"{feature['name']}_{window}"
                if "difference" in feature:
                    first, second = feature["difference"]
                    minor[name] = minor[f"{first}_{window}"] - minor[f"{second}_{window}"]
                    amounts.add(name)
                    continue
                which = 1 if feature["measure"] == "amount" else 0
                minor[name] = self._sum(parts, feature["series"], which, feature.get("minus", {}).get(window, window), at_ms)
                if window in feature.get("minus", {}):
                    minor[name] -= self._sum(parts, feature["series"], which, window, at_ms)
                if which:
                    amounts.add(name)
        return {name: value / scale if name in amounts else value for name, value in minor.items()}

    def _sum(self, parts: list[_Node], series: str, which: int, window: str, at_ms: int) -> int:
        return sum(part.series[series].measure(window, at_ms)[which] for part in parts)

    def _counts(self, parts: list[_Node]) -> Fields:
        units: Counter[str] = Counter()
        for part in parts:
            units.update(dict(part.top()))
        return {
            "top_products": [[product, number] for product, number in sorted(units.items(), key=_by_units)[:TOP]],
            "sessions": sum(part.sessions(self._rules.session_gap_ms) for part in parts),
            "channels": dict(sum((Counter(event.channel for event in part.events) for part in parts), Counter())),
            "unmatched_refunds": sum(part.ledger.unmatched_refunds for part in parts),
            "over_refunds": sum(part.ledger.over_refunds for part in parts),
            "charge_backs": sum(part.ledger.charge_backs for part in parts),
            "late_events": sum(part.late for part in parts),
        }


def _times(parts: list[_Node]) -> Fields:
    seen = [time_ms for part in parts for time_ms in part.times_ms]
    ordered = [order.time_ms for part in parts for order in part.ledger.orders]

    def pick(which: Callable[[list[int]], int], times: list[int]) -> int | None:
        return which(times) if times else None

    return {
        "first_seen_at": pick(min, seen),
        "last_seen_at": pick(max, seen),
        "first_order_at": pick(min, ordered),
        "last_order_at": pick(max, ordered),
    }


def _rhythm(fields: Fields, at_ms: int, scale: int) -> Fields:
    """Quotients are rounded once, at the end: at the very moment a threshold is reached, the value stands on it."""
    orders, first, last = fields["orders_lifetime"], fields["first_order_at"], fields["last_order_at"]
    mean = Fraction(last - first, (orders - 1) * DAY_MS) if orders >= 2 else None
    recency = Fraction(at_ms - last, DAY_MS) if last is not None else None
    exact = {
        "average_basket": Fraction(round(fields["gross_lifetime"] * scale), scale * orders) if orders else None,
        "mean_interpurchase_days": mean,
        "current_interval_days": recency,
        "recency_days": recency,
        "recency_ratio": recency / mean if mean and recency is not None else None,
    }
    return {name: None if value is None else float(value) for name, value in exact.items()}


def _scores(fields: Fields, cuts: CutPoints) -> Fields:
    version = {"rfm_version": cuts.version}
    if not fields["orders_lifetime"]:
        return {"r_score": 0, "f_score": 0, "m_score": 0} | version
    return {
        "r_score": 5 - sum(cut < fields["recency_days"] for cut in cuts.recency),
        "f_score": 1 + sum(cut < fields["orders_365d"] for cut in cuts.frequency),
        "m_score": 1 + sum(cut < fields["net_365d"] for cut in cuts.monetary),
    } | version
