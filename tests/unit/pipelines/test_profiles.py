"""What profiles promise: order does not matter, merges equal the union and can be undone, time alone turns tags at the very millisecond."""

import itertools
import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import loader
from config.definitions import CutPoints, Rule
from pipelines.audiences.rules import RuleBook
from pipelines.identity.nodes import profile_of
from pipelines.wire import Alias, Roster
from tests.in_process import InProcess

DAY = 86_400_000
# Rules that read how long ago the last order was: at the very edge they may differ by the moment they were last looked at.
RECENT = {"r_score", "rfm_segment", "tag:loyal", "tag:high_value_dormant", "tag:churn_warning"}
BASE = 1_700_000_000_000
SOURCE = "cdp.raw.clickstream"


def iso(ms: int) -> str:
    import datetime as dt

    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).isoformat()


def event(message_id: str, user: str, at: int, name: str = "Product Viewed", **properties: Any) -> bytes:
    body = {
        "type": "track",
        "event": name,
        "messageId": message_id,
        "userId": user,
        "timestamp": iso(at),
        "properties": properties or {"product_id": "p"},
    }
    return json.dumps(body).encode()


def order(order_id: str, user: str, at: int, total: float, product: str = "p", units: int = 1, message_id: str = "") -> bytes:
    lines = [{"product_id": product, "quantity": units, "price": total / units}]
    return event(message_id or order_id, user, at, "Order Completed", order_id=order_id, products=lines, total=total)


def refund(refund_id: str, user: str, at: int, total: float, product: str = "p", units: int = 1) -> bytes:
    lines = [{"product_id": product, "quantity": units, "price": total / units}]
    return event(refund_id, user, at, "Order Refunded", refund_id=refund_id, products=lines, total=total)


def cancel(order_id: str, user: str, at: int) -> bytes:
    return event("cancel-" + order_id, user, at, "Order Cancelled", order_id=order_id)


def feed(core: InProcess, values: list[tuple[bytes, int]], end: int) -> None:
    for offset, (value, log_ms) in enumerate(values):
        core.record(value, SOURCE, 0, offset, log_ms)
    core.record(b'{"type":"tick"}', SOURCE, 0, len(values), end)
    core.pass_time(end)


def fields(core: InProcess, node: str) -> dict[str, Any]:
    return dict(core.fields())[profile_of(node)]


actions = st.tuples(
    st.sampled_from(["view", "order", "update", "refund", "cancel", "ticket"]),
    st.integers(0, 5),
    st.integers(0, 6 * DAY),
    st.integers(1, 9),
)


def value_of(index: int, action: tuple[str, int, int, int], user: str) -> tuple[bytes, int]:
    kind, number, offset, units = action
    at = BASE + offset
    made = {
        "view": lambda: event(f"v{index}", user, at),
        "ticket": lambda: event(f"t{index}", user, at, "Ticket Opened", ticket_id=f"t{index}"),
        "order": lambda: order(f"o{number}", user, at, 10.0 * units, f"p{units % 3}", units, f"m{index}"),
        "update": lambda: event(
            f"u{index}",
            user,
            at,
            "Order Updated",
            order_id=f"o{number}",
            products=[{"product_id": f"p{units % 2}", "quantity": units, "price": 3}],
        ),
        "refund": lambda: event(
            f"r{index}",
            user,
            at,
            "Order Refunded",
            refund_id=f"r{number}",
            products=[{"product_id": f"p{units % 3}", "quantity": units, "price": 2}],
        ),
        "cancel": lambda: event(f"c{index}", user, at, "Order Cancelled", order_id=f"o{number}"),
    }[kind]()
    return made, at


@settings(max_examples=150, deadline=None)
@given(st.lists(actions, min_size=1, max_size=40, unique_by=lambda action: action[2]), st.randoms(use_true_random=False))
def test_any_permutation_with_repetitions_gives_the_same_profile(chosen: list[tuple[str, int, int, int]], dice: random.Random) -> None:
    # No two at one moment: of versions of a document told then, the one that stands later in the log counts (docs/features.md).
    values = [value_of(index, action, "u1") for index, action in enumerate(chosen)]
    end = BASE + 7 * DAY - 1  # the week-long windows still hold everything
    straight = InProcess()
    feed(straight, sorted(values, key=lambda pair: pair[1]), end)
    shuffled = values + [dice.choice(values) for _ in range(5)]
    dice.shuffle(shuffled)
    other = InProcess(forget_every=3)
    feed(other, [(value, BASE + 6 * DAY + index) for index, (value, _) in enumerate(shuffled)], end)
    one, two = fields(straight, "demo|user_id|u1"), fields(other, "demo|user_id|u1")
    moving = {"recency_days", "current_interval_days", "recency_ratio", *RECENT}  # true for `_at`, which differs
    assert {k: v for k, v in one.items() if k not in moving | decaying(one)} == {
        k: v for k, v in two.items() if k not in moving | decaying(two)
    }


def decaying(found: dict[str, Any]) -> set[str]:
    """Windows of an hour and a day may be published up to an hour after they fell; all others are longer than the stream."""
    return {name for name in found if name.endswith(("_1h", "_1d"))}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(actions, st.booleans()), min_size=2, max_size=30))
def test_merge_is_the_union_and_unmerge_gives_back_the_parts(chosen: list[tuple[tuple[str, int, int, int], bool]]) -> None:
    """Orders of the two nodes carry different ids: a ledger belongs to a node."""
    values = []
    for index, (action, first) in enumerate(chosen):
        kind, number, offset, units = action
        values.append((*value_of(index, (kind, number + (0 if first else 100), offset, units), "a" if first else "b"), first))
    values.sort(key=lambda triple: triple[1])
    end = BASE + 7 * DAY - 1  # the week-long windows still hold everything
    core = InProcess()
    feed(core, [(value, at) for value, at, _ in values], end)
    a, b = "demo|user_id|a", "demo|user_id|b"
    apart = dict(core.fields())
    present = {node for node in (a, b) if profile_of(node) in apart}

    into = profile_of(a)
    core.alias(Alias(a, "demo", into, 1))
    core.alias(Alias(b, "demo", into, 1))
    core.roster(Roster("demo", into, 1, [a, b]))
    merged = fields(core, a)
    expected = [apart[profile_of(node)] for node in present]
    for name in ("views_lifetime", "orders_lifetime", "gross_lifetime", "tickets_7d", "unmatched_refunds", "late_events", "sessions"):
        assert merged[name] == sum(part[name] for part in expected), name
    assert merged["last_seen_at"] == max(part["last_seen_at"] for part in expected)
    counted = [part["first_order_at"] for part in expected if part["first_order_at"] is not None]
    assert merged["first_order_at"] == min(counted, default=None)
    if profile_of(b) in apart:
        assert json.loads(core.newest[profile_of(b)].patch.features) == {"_merged_into": into}

    core.roster(Roster("demo", into, 2, [a]))
    core.roster(Roster("demo", profile_of(b, 2), 2, [b]))
    core.alias(Alias(b, "demo", profile_of(b, 2), 2))
    back = dict(core.fields())
    moving = {"recency_days", "current_interval_days", "recency_ratio"}
    if a in present:
        assert {k: v for k, v in back[into].items() if k not in moving | decaying(back[into])} == {
            k: v for k, v in apart[into].items() if k not in moving | decaying(apart[into])
        }
    if b in present:
        kept = {k: v for k, v in apart[profile_of(b)].items() if k not in moving | decaying(apart[profile_of(b)])}
        now = back[profile_of(b, 2)]
        assert {k: v for k, v in now.items() if k not in moving | decaying(now)} == kept


def test_a_merged_profile_is_silent_until_every_node_of_its_roster_is_there() -> None:
    core = InProcess()
    feed(core, [(event("1", "a", BASE), BASE), (event("2", "b", BASE + 1), BASE + 1)], BASE + 10)
    a, b = "demo|user_id|a", "demo|user_id|b"
    core.roster(Roster("demo", profile_of(a), 1, [a, b]))
    before = len(core.changes)
    core.record(event("3", "a", BASE + 20), SOURCE, 0, 9, BASE + 20)
    assert len(core.changes) == before
    core.alias(Alias(b, "demo", profile_of(a), 1))
    assert fields(core, a)["views_lifetime"] == 3


def test_a_merge_of_many_nodes_is_computed_once_and_not_once_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    core, nodes = InProcess(), [f"demo|user_id|n{number:02}" for number in range(40)]
    feed(core, [(event(node, node.rpartition("|")[2], BASE + at), BASE + at) for at, node in enumerate(nodes)], BASE + 100)
    into = profile_of(nodes[0])
    judge, judged = RuleBook.judge, []

    def counting(book: RuleBook, fields: dict[str, Any], *rest: Any) -> Any:
        judged.append(fields["interactions_30d"])
        return judge(book, fields, *rest)

    monkeypatch.setattr(RuleBook, "judge", counting)
    core.roster(Roster("demo", into, 1, nodes))
    for node in nodes:
        core.alias(Alias(node, "demo", into, 1))
    assert judged == [40]
    core.roster(Roster("demo", into, 2, nodes[:1]))
    for node in nodes[1:]:
        core.alias(Alias(node, "demo", profile_of(node, 2), 2))
        core.roster(Roster("demo", profile_of(node, 2), 2, [node]))
    assert judged[1:].count(1) == 40, "each of the parts, and none of the halves"
    assert len(judged) == 41


def test_half_a_merge_keeps_no_timer_and_what_time_turned_meanwhile_is_seen_when_it_is_whole() -> None:
    """`high_value_dormant`: m_score >= 4 and recency_days > 90."""
    core = InProcess()
    feed(core, [(order("o1", "a", BASE, 900.0), BASE), (event("2", "b", BASE + 1), BASE + 1)], BASE + 10)
    a, b = "demo|user_id|a", "demo|user_id|b"
    core.roster(Roster("demo", profile_of(a), 1, [a, b]))
    before = len(core.changes)
    core.pass_time(BASE + 100 * DAY)
    assert [change for change in core.changes[before:] if change.record["profile_id"] == profile_of(a)] == []
    core.alias(Alias(b, "demo", profile_of(a), 1))
    assert core.newest[profile_of(a)].record["tags_entered"] == ["high_value_dormant"]


def test_nodes_that_join_before_the_first_roster_are_not_shown_without_the_others() -> None:
    core = InProcess()
    feed(core, [(event(name, name, BASE + at), BASE + at) for at, name in enumerate("abc")], BASE + 10)
    a, b, c = (f"demo|user_id|{name}" for name in "abc")
    into = profile_of(a)
    before = len(core.changes)
    core.alias(Alias(a, "demo", into, 1))
    core.alias(Alias(b, "demo", into, 1))
    assert [change.record["profile_id"] for change in core.changes[before:]] == [profile_of(b)]  # which has ended
    core.roster(Roster("demo", into, 1, [a, b, c]))
    core.alias(Alias(c, "demo", into, 1))
    assert fields(core, a)["views_lifetime"] == 3
    assert len([change for change in core.changes[before:] if change.record["profile_id"] == into]) == 1


def test_a_refund_that_moves_to_another_product_leaves_no_unmatched_line_behind() -> None:
    core = InProcess()
    first = event("m1", "u1", BASE, "Order Refunded", refund_id="r", products=[{"product_id": "p1", "quantity": 1, "price": 2}])
    second = event("m2", "u1", BASE + 1, "Order Refunded", refund_id="r", products=[{"product_id": "p2", "quantity": 1, "price": 2}])
    feed(core, [(first, BASE), (second, BASE + 1)], BASE + 2)
    assert fields(core, "demo|user_id|u1")["unmatched_refunds"] == 1


def test_a_tag_turns_at_the_very_millisecond_though_nobody_writes() -> None:
    """`high_value_dormant`: m_score >= 4 and recency_days > 90."""
    core = InProcess()
    feed(core, [(order("o1", "u1", BASE, 900.0), BASE)], BASE + 1)
    core.pass_time(BASE + 90 * DAY)
    assert fields(core, "demo|user_id|u1")["tag:high_value_dormant"] == 0
    core.pass_time(BASE + 90 * DAY + 1)
    change = core.newest[profile_of("demo|user_id|u1")]
    assert change.record["tags_entered"] == ["high_value_dormant"]
    assert (change.record["at"], change.record["cause"]) == (BASE + 90 * DAY + 1, "time")
    core.record(order("o2", "u1", BASE + 91 * DAY, 10.0), SOURCE, 0, 9, BASE + 91 * DAY)
    assert core.newest[profile_of("demo|user_id|u1")].record["tags_exited"] == ["high_value_dormant"]


def test_a_turn_by_time_moves_with_the_order_that_it_counts_from() -> None:
    """An update moves the time of the last order back: who reads `recency_days` depends on it, whatever the rule says of orders."""
    definitions = loader.definitions()
    asked = msgspec.structs.replace(definitions, tags=[Rule("asked", "recency_days > 10")])
    core = InProcess(asked)
    update = event("u", "u1", BASE, "Order Updated", order_id="o1", products=[{"product_id": "p", "quantity": 1, "price": 9}], total=9)
    feed(core, [(order("o1", "u1", BASE + 3 * DAY, 9.0), BASE + 3 * DAY), (update, BASE + 4 * DAY)], BASE + 4 * DAY + 1)
    core.pass_time(BASE + 10 * DAY)
    assert fields(core, "demo|user_id|u1")["tag:asked"] == 0
    core.pass_time(BASE + 10 * DAY + 1)
    assert fields(core, "demo|user_id|u1")["tag:asked"] == 1


def test_a_window_that_a_rule_reads_turns_the_rule_when_its_oldest_entry_leaves() -> None:
    """`frequent_small_basket`: orders_90d >= 3 and average_basket < 150."""
    core = InProcess()
    orders = [(order(f"o{n}", "u1", BASE + n * DAY, 10.0), BASE + n * DAY) for n in range(3)]
    feed(core, orders, BASE + 3 * DAY)
    assert fields(core, "demo|user_id|u1")["tag:frequent_small_basket"] == 1
    core.pass_time(BASE + 90 * DAY - 1)
    assert fields(core, "demo|user_id|u1")["tag:frequent_small_basket"] == 1
    core.pass_time(BASE + 90 * DAY)
    change = core.newest[profile_of("demo|user_id|u1")]
    assert change.record["at"] == BASE + 90 * DAY
    assert "frequent_small_basket" in change.record["tags_exited"]


def test_values_that_merely_decay_are_published_within_the_hour() -> None:
    core = InProcess()
    feed(core, [(event("1", "u1", BASE), BASE)], BASE + 1)
    assert fields(core, "demo|user_id|u1")["views_1h"] == 1
    core.pass_time(BASE + 2 * 3_600_000)
    published = fields(core, "demo|user_id|u1")
    assert published["views_1h"] == 0
    assert core.newest[profile_of("demo|user_id|u1")].record["at"] <= BASE + 2 * 3_600_000


def test_changed_fields_on_top_of_the_last_version_make_the_whole_profile() -> None:
    """What Redis builds from partial writes is what Kafka says in full."""
    core = InProcess(forget_every=5)
    dice = random.Random(4)
    values = [value_of(i, (dice.choice(["view", "order", "refund", "ticket"]), i, i * 3_600_000, 1 + i % 7), "u1") for i in range(60)]
    feed(core, values, BASE + 40 * DAY)
    held: dict[str, Any] = {}
    version = 0
    for change in core.changes:
        whole = json.loads(change.patch.features)
        if change.patch.base_version == 0:
            held = whole
        else:
            assert change.patch.base_version == version
            held |= {name: whole[name] for name in change.patch.changed}
        version = change.patch.version
        assert held == whole


def test_a_poke_after_new_cut_points_shows_their_version_once_even_if_no_score_moves() -> None:
    core = InProcess()
    feed(core, [(order("o1", "u1", BASE, 10.0), BASE)], BASE + 1)
    cuts = CutPoints(7, [14, 30, 60, 120], [1, 2, 4, 8], [100, 300, 700, 1500])
    assert core.profile_logic.set_cut_points("demo", cuts)
    assert not core.profile_logic.set_cut_points("demo", cuts)
    live = core.profile_logic.load(profile_of("demo|user_id|u1"), "demo", None)
    change = core.poke(profile_of("demo|user_id|u1"), BASE + 2)
    assert change is not None
    assert change.record["cause"] == "definitions"
    assert json.loads(change.patch.features)["rfm_version"] == 7
    assert core.poke(profile_of("demo|user_id|u1"), BASE + 3) is None
    assert core.profile_logic.poke(live, BASE) is None, "nobody is there to look at"


def test_what_happens_once_counts_once_under_whatever_message_id_and_however_late() -> None:
    core = InProcess(forget_every=2)
    order = {"order_id": "o", "total": 5.0, "products": [{"product_id": "p", "quantity": 1, "price": 5.0}]}
    body = {"type": "track", "event": "Order Completed", "userId": "u1", "timestamp": iso(BASE), "properties": order}

    def tell(message_id: str, offset: int, log_ms: int, **changes: Any) -> str:
        core.record(json.dumps(body | {"messageId": message_id} | changes).encode(), SOURCE, 0, offset, log_ms)
        return core.outcomes[SOURCE, 0, offset]

    assert tell("m1", 0, BASE + 10) == "applied"
    assert tell("m1", 1, BASE + 20) == "duplicate"
    assert tell("m2", 2, BASE + 30) == "duplicate"
    assert tell("m3", 3, BASE + 400 * DAY, properties=order | {"coupon": "told by another system"}) == "duplicate"
    assert tell("m4", 4, BASE + 400 * DAY, properties=order | {"total": 6.0}) == "applied"
    assert tell("m5", 5, BASE + 400 * DAY, timestamp=iso(BASE + 1)) == "applied"
    assert fields(core, "demo|user_id|u1")["orders_lifetime"] == 1


def test_of_versions_of_one_moment_the_one_written_later_counts_not_the_greatest() -> None:
    totals = [90.0, 10.0, 90.0, 90.0]
    for told in itertools.permutations(enumerate(totals)):
        core = InProcess()
        said = [(order("o", "u1", BASE, total, "p", 1, f"m{index}"), BASE + number) for number, (index, total) in enumerate(told)]
        feed(core, said, BASE + 100)
        different = list(dict.fromkeys(total for _, total in told))  # the same content again at the same moment is a duplicate
        assert fields(core, "demo|user_id|u1")["gross_lifetime"] == different[-1], told
