"""Words of the identity graph on their way: a queue for each node and each profile, taken in any order between queues."""

from collections import deque

from pipelines.identity.graph import Outcome
from pipelines.wire import Alias, Roster
from tests.in_process import InProcess


class Words:
    """What has not reached the core yet."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Alias | Roster]] = {}

    def say(self, outcome: Outcome) -> None:
        """Put an outcome's words behind those that wait."""
        for alias in outcome.aliases:
            self._waiting.setdefault("n" + alias.node, deque()).append(alias)
        for roster in outcome.rosters:
            self._waiting.setdefault("p" + roster.profile_id, deque()).append(roster)

    def deliver(self, core: InProcess, which: int) -> None:
        """Hand over the first word of one of the queues."""
        queues = sorted(name for name, queue in self._waiting.items() if queue)
        if queues:
            word = self._waiting[queues[which % len(queues)]].popleft()
            if isinstance(word, Alias):
                core.alias(word)
            else:
                core.roster(word)

    def settle(self, core: InProcess) -> None:
        """Hand over all of them."""
        while any(self._waiting.values()):
            self.deliver(core, 0)
