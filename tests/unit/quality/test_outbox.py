"""The outbox: in order, at least once, with an end."""

import re
from typing import Any

from pipelines.quality.alerts import Alert
from pipelines.quality.cause import Cause
from pipelines.quality.messages import payload, says
from pipelines.quality.slices import Group
from sinks.alerts import Outbox, RefusedError

GROUP = Group("demo", "completeness", "Order Completed", "order_id")
CAUSE = Cause((("region", "north"),), 0.96, 0.971, 0.412, 1212, 80.0)


def alert(number: int, name: str = "a", change: str = "updated", why: str = "") -> Alert:
    return Alert(name, number, change, "drop", GROUP, "", 100 + number, 100, 101, 0.971, 0.412, 1212, [CAUSE], why)  # type: ignore[arg-type]


class Shelf:
    """Remembers what became of each parcel."""

    database = "x"

    def __init__(self) -> None:
        self.settled: list[tuple[str, int, str, str, int]] = []

    def command(self, statement: str, settings: Any = None) -> None:
        found = re.search(r"VALUES \('(\w+)', (\d+), '([^']+)', '(\w+)', (\d+)", statement)
        assert found
        self.settled.append((found[1], int(found[2]), found[3], found[4], int(found[5])))

    def rows(self, query: str, parameters: Any = None) -> list[dict[str, Any]]:
        return []


class Moody:
    """Refuses the first so many."""

    def __init__(self, refusals: int, attempts: int = 3, pause_s: float = 10.0) -> None:
        self.refusals, self.attempts, self.pause_s = refusals, attempts, pause_s
        self.got: list[int] = []

    def send(self, alert: Alert) -> None:
        if self.refusals:
            self.refusals -= 1
            raise RefusedError("in a mood")
        self.got.append(alert.number)


def outbox(channel: Moody) -> tuple[Outbox, Shelf, list[float]]:
    shelf, now = Shelf(), [0.0]
    made = Outbox(shelf, {"duty": channel}, clock=lambda: now[0])
    for number in (1, 2, 3):
        made.add(alert(number), "duty")
    return made, shelf, now


def test_changes_of_an_alert_arrive_in_order_though_the_first_was_refused() -> None:
    channel = Moody(2)
    made, shelf, now = outbox(channel)
    made.turn()
    assert (channel.got, len(made)) == ([], 3), "later changes wait for the first"
    now[0] = 9.9
    made.turn()
    assert channel.refusals == 1, "not before the pause is over"
    for now[0] in (10.0, 29.0, 30.1):
        made.turn()
    assert channel.got == [1, 2, 3]
    assert [(number, status, attempts) for _, number, _, status, attempts in shelf.settled] == [
        (1, "delivered", 3), (2, "delivered", 1), (3, "delivered", 1),
    ]  # fmt: skip


def test_after_its_attempts_a_change_is_kept_as_undelivered_and_the_next_gets_its_own() -> None:
    channel = Moody(4)
    made, shelf, now = outbox(channel)
    for now[0] in (0.0, 10.0, 30.0, 60.0, 70.0, 100.0):
        made.turn()
    assert [(number, status) for _, number, _, status, _ in shelf.settled] == [(1, "undelivered"), (2, "delivered"), (3, "delivered")]


def test_a_channel_that_is_gone_leaves_its_changes_undelivered() -> None:
    shelf = Shelf()
    made = Outbox(shelf, {})
    made.add(alert(1), "webhook:old")
    made.turn()
    assert shelf.settled == [("a", 1, "webhook:old", "undelivered", 1)]
    assert len(made) == 0


def test_an_alert_says_what_fell_where_how_far_and_how_much_of_it_that_explains() -> None:
    assert says(alert(1)) == (
        "completeness of order_id in Order Completed fell for region=north from 97.1 % to 41.2 %, n=1,212; that is 96% of what is missing"
    )
    closed = alert(4, change="closed", why="recovered")
    assert says(closed) == "completeness of order_id in Order Completed has recovered, 5 min after it began (region=north)"
    sent = payload(alert(1))
    assert (sent["id"], sent["number"], sent["causes"][0]["where"]) == ("a", 1, {"region": "north"})
    assert sent["at"] == "1970-01-01T01:42Z"
