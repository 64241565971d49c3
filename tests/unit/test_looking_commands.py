"""What the looking commands say: the card, the reasons, the lines of `cdp tail`."""

import io
from typing import Any

import orjson
import pytest
from rich.console import Console

from cli import tail_lines
from cli.explain_commands import tree
from cli.profile_card import card
from cli.tail_commands import concerns
from config import loader
from operations.explain import UnknownRuleError, explain, sentence
from pipelines.audiences.rules import fingerprint
from profile_store.profile import Profile

DEFINITIONS = loader.definitions()
FIELDS = {
    "orders_lifetime": 3,
    "net_lifetime": 1234.5,
    "views_lifetime": 12345,
    "average_basket": 411.5,
    "recency_days": 3.25,
    "rfm_segment": "champions",
    "r_score": 5,
    "f_score": 4,
    "m_score": 5,
    "rfm_version": 2,
    "last_seen_at": 1_700_000_000_000,
    "top_products": [["p1", 7]],
    "channels": {"web": 3, "store": 1},
    "tag:loyal": 1,
    "tag:churn_warning": 0,
}


def text_of(renderable: Any) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_card_says_what_marketing_wants_to_know() -> None:
    profile = Profile("demo", "ab", (7, 3), 1_700_000_000_000, FIELDS)
    shown = text_of(card(profile, ["user_id:1", "user_id:[/red]"], DEFINITIONS, "GBP", 1_700_000_002.0, None))
    for wanted in (
        "user_id:1",
        "R 5  F 4  M 5",
        "champions",
        "loyal",
        "orders often and lately",
        "1,234.50",
        "12,345",
        "p1 (7)",
        "web 75%",
    ):
        assert wanted in shown
    assert "2.0 s ago" in shown
    assert "version 7-3" in shown


def test_the_card_tells_a_rule_that_does_not_hold_from_one_that_nobody_has_asked_yet() -> None:
    shown = text_of(
        card(Profile("demo", "ab", (7, 3), 1_700_000_000_000, FIELDS), ["user_id:1"], DEFINITIONS, "GBP", 1_700_000_002.0, None)
    )
    assert "not  churn_warning" in shown
    assert "not judged yet  high_value_dormant, frequent_small_basket: `cdp judge` judges everybody now" in shown
    judged = FIELDS | {f"tag:{rule.name}": 0 for rule in DEFINITIONS.tags}
    for rules, is_old in ((fingerprint(DEFINITIONS), False), ("00000000", True)):
        profile = Profile("demo", "ab", (7, 3), 1_700_000_000_000, judged | {"rules_version": rules})
        shown = text_of(card(profile, ["user_id:1"], DEFINITIONS, "GBP", 1_700_000_002.0, None))
        assert "not judged yet" not in shown
        assert ("judged by other rules than those in force" in shown) is is_old


def test_the_card_of_a_profile_that_has_nothing_yet_is_a_card_too() -> None:
    assert "profile ab" in text_of(card(Profile("demo", "ab", (7, 1), 0, {}), [], DEFINITIONS, "GBP", 1e9, 5_000))


@pytest.mark.parametrize(
    ("tag", "changes", "holds", "because"),
    [
        ("loyal", {}, True, "f_score >= 4 holds (f_score = 4) and r_score >= 3 holds (r_score = 5)"),
        ("loyal", {"r_score": 1}, False, "because r_score >= 3 does not hold (r_score = 1)"),
        ("churn_warning", {"recency_ratio": 2.0}, True, "orders_lifetime >= 3 holds (orders_lifetime = 3) and recency_ratio >= 1.5 holds"),
        ("churn_warning", {"recency_ratio": None}, False, "recency_ratio >= 1.5 does not hold (recency_ratio = nothing)"),
    ],
)
def test_an_explanation_names_the_comparisons_that_decide(tag: str, changes: dict[str, Any], holds: bool, because: str) -> None:
    found, *_ = explain({**FIELDS, **changes}, 0, DEFINITIONS, tag)
    said = sentence("user_id:1", found)
    assert (found.kind, found.holds, found.shown) == ("tag", holds, bool(FIELDS[f"tag:{tag}"]))
    assert said.startswith(f"user_id:1 {'has' if holds else 'does not have'} the tag {tag} (")
    assert because in said
    assert all(reason.text in text_of(tree(found.part)) for reason in found.reasons)


def test_without_a_name_all_tags_and_the_segment_are_explained() -> None:
    found = explain({**FIELDS, "rfm_segment": DEFINITIONS.segments[0].name, "tag:loyal": 1}, 0, DEFINITIONS)
    assert [one.name for one in found] == [*(rule.name for rule in DEFINITIONS.tags), DEFINITIONS.segments[0].name]
    assert [one.shown for one in found if one.name == "loyal" or one.kind == "segment"] == [True, True]
    assert all(set(one.words) == {"english", "chinese"} for one in found)
    with pytest.raises(UnknownRuleError, match=r"no tag and no segment `loyl`.*tags: loyal"):
        explain(FIELDS, 0, DEFINITIONS, "loyl")


EVENT = {
    "tenant": "demo",
    "node": "demo|user_id|1",
    "identifiers": ["demo|user_id|1", "demo|anonymous_id|x"],
    "name": "Order Completed",
    "source": "cdp.raw.orders",
    "origin": "erp",
    "partition": 1,
    "offset": 7,
    "log_time": 1_700_000_000_123,
    "channel": "web",
    "late": False,
    "properties": '{"order_id":"o1","total":12.5,"products":[{},{}]}',
}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("demo", "", "", "", ""), True),
        (("other", "", "", "", ""), False),
        (("demo", "order completed", "", "", ""), True),
        (("demo", "Order", "", "", ""), False),
        (("demo", "", "erp", "", ""), True),
        (("demo", "", "orders", "", ""), False),
        (("demo", "", "", "orders", ""), True),
        (("demo", "", "", "service", ""), False),
        (("demo", "", "", "", "demo|anonymous_id|x"), True),
        (("demo", "", "", "", "demo|user_id|2"), False),
    ],
)
def test_tail_shows_what_was_asked_for(options: tuple[str, str, str, str, str], wanted: bool) -> None:
    assert concerns(EVENT, *options) == wanted


def test_a_line_for_an_event_a_rejection_and_a_change() -> None:
    assert tail_lines.event_line(EVENT).plain.split() == (
        [
            "2023-11-14",
            "22:13:20.123",
            "Order",
            "Completed",
            "user_id:1",
            "order_id=o1",
            "total=12.50",
            "2",
            "products",
            "web",
            "orders/1@7",
        ]
    )
    rejected = {**EVENT, "code": "quality_rule", "field": "$.x", "rule": "x > 0", "original": b"Jane Doe"}
    line = tail_lines.rejected_line(rejected).plain
    assert "quality_rule" in line
    assert "Jane" not in line
    change = {"at": 5, "cause": "time", "nodes": {"demo|email|0123456789abcdef": 1}, "profile_id": "ab", "incarnation": 1, "version": 2}
    change |= {"features": orjson.dumps(FIELDS).decode(), "tags_entered": ["loyal"], "tags_exited": ["new"]}
    line = tail_lines.change_line(change).plain
    assert "email:01234567… (hashed)" in line
    assert line.endswith("+loyal -new  v1-2")
    assert "merged into cd" in tail_lines.change_line({**change, "features": '{"_merged_into":"cd"}'}).plain
