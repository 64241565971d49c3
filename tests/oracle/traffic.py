"""Which events of a node nobody meant: docs/contracts.md, "Traffic"."""

from collections import OrderedDict, defaultdict
from typing import Any

from tests.oracle.envelope import Event
from tests.oracle.strict_json import canonical

TARGETS = 4
STRETCHES = 3


class _Node:
    def __init__(self) -> None:
        self.acts: OrderedDict[str, int] = OrderedDict()
        self.stretches: dict[str, dict[int, int]] = defaultdict(dict)


class Traffic:
    """Judges events in the order in which their nodes see them.

    Args:
        rules: of `traffic.yaml`.
    """

    def __init__(self, rules: list[dict[str, Any]]) -> None:
        self._rules = rules
        self._nodes: dict[str, _Node] = defaultdict(_Node)

    def excludes(self, event: Event) -> bool:
        """Whether a rule catches an event and keeps it out of the features.

        Late ones, those of the ledger and those that name no node are not looked at.
        """
        if event.late or event.fact is not None or not event.node:
            return False
        node, act = self._nodes[event.node], None
        repetitions = [rule for rule in self._rules if "same" in rule and event.name in rule["events"]]
        if repetitions:
            values = [event.same.get(label) for label in repetitions[0]["same"]]
            if any(value is not None for value in values):
                act = canonical([event.name, values])
        if act in node.acts and abs(event.event_ms - node.acts[act]) < repetitions[0]["within_ms"]:
            return bool(repetitions[0].get("exclude"))
        for rule in self._rules:
            watched = [*rule.get("events", ()), *rule.get("types", ())]
            if "more_than" in rule and event.name in watched:
                counts = node.stretches[rule["name"]]
                stretch = event.event_ms // (rule["within_s"] * 1000)
                if stretch not in counts and len(counts) == STRETCHES:
                    if stretch < min(counts):
                        continue
                    del counts[min(counts)]
                counts[stretch] = counts.get(stretch, 0) + 1
                if counts[stretch] > rule["more_than"]:
                    return bool(rule.get("exclude"))
        if act is not None:
            node.acts.pop(act, None)
            node.acts[act] = event.event_ms
            if len(node.acts) > TARGETS:
                node.acts.popitem(last=False)
        return False
