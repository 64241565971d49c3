"""Acceptance: drops are found within two minutes of log time with the right cause, and a week in which nothing happens is quiet."""

import numpy as np
import pytest

from pipelines.quality.alerts import Alert
from pipelines.quality.slices import slice_of
from tests.simulated_traffic import QUESTIONS, START, WEEK, Drop, Traffic
from tests.unit.quality.detector_over_traffic import DeskOverTraffic, clean_week, watch_drop

NOON = START + WEEK + 720


def test_of_twenty_seeded_drops_at_least_eighteen_are_found_in_two_minutes_with_the_right_first_cause() -> None:
    outcomes = [watch_drop(seed, least=30) for seed in range(20)]
    right = [found.after_two_minutes == slice_of(found.drop.where.items()) for found in outcomes]
    assert sum(right) >= 18, [found for found, good in zip(outcomes, right, strict=True) if not good]
    assert len({tuple(found.drop.where) for found in outcomes}) >= 5, "regions, versions, sources and pairs of them"
    assert sum(found.others for found in outcomes) == 0, "nothing else is said to have dropped"


@pytest.mark.timeout(600)
def test_a_clean_week_raises_at_most_one_alert() -> None:
    alerts = list(clean_week(seed=1))
    assert len(alerts) <= 1, alerts


def run(traffic: Traffic, first: int, count: int) -> list[Alert]:
    watched = DeskOverTraffic(traffic)
    return [alert for minute in traffic.minutes(first, count) for alert in watched.judge(minute)]


def test_a_drop_opens_once_is_renewed_no_more_often_than_allowed_and_closes_once() -> None:
    drop = Drop(1, {"region": "east"}, 0.6, NOON * 60, (NOON + 45) * 60)
    changes = run(Traffic(5, drops=(drop,)), NOON - 300, 480)
    assert changes[0].change == "opened"
    assert [alert.change for alert in changes].count("opened") == 1
    assert changes[-1].change == "closed"
    assert changes[-1].why == "recovered"
    assert {alert.id for alert in changes} == {changes[0].id}
    assert [alert.number for alert in changes] == list(range(1, len(changes) + 1))
    assert 45 <= changes[-1].minute - NOON <= 60
    gaps = np.diff([alert.minute for alert in changes[:-1]])
    assert all(gap >= 10 for gap in gaps), gaps
    opened = changes[0]
    assert opened.causes[0].slice == (("region", "east"),)
    assert opened.causes[0].share > 0.8
    assert opened.before == pytest.approx(QUESTIONS[1].good, abs=0.04)
    assert opened.after == pytest.approx(QUESTIONS[1].good * 0.4, abs=0.1)


def test_a_source_that_falls_silent_is_an_alert_of_volume() -> None:
    outage = Drop(-1, {"origin": "app-ios"}, 0.97, NOON * 60, (NOON + 30) * 60)
    changes = run(Traffic(6, outages=(outage,)), NOON - 300, 400)
    assert [(alert.change, alert.group.measure) for alert in changes if alert.change != "updated"] == [
        ("opened", "volume"),
        ("closed", "volume"),
    ]
    assert changes[0].minute - NOON <= 1
    assert changes[0].causes[0].slice == (("origin", "app-ios"),)


def test_a_small_part_that_was_bad_for_long_and_gets_no_worse_raises_nothing() -> None:
    drop = Drop(0, {"app_version": "5.0"}, 0.6, 0)
    assert run(Traffic(7, drops=(drop,)), NOON - 400, 800) == []


def test_a_goal_that_one_source_misses_for_long_is_an_alert_of_its_own_with_its_numbers() -> None:
    drop = Drop(5, {"origin": "web-shop"}, 0.25, 0)
    opened = [alert for alert in run(Traffic(8, drops=(drop,)), NOON - 400, 500) if alert.change == "opened"]
    assert [(alert.kind, alert.origin, alert.group.measure) for alert in opened] == [("goal", "web-shop", "validity")]
    assert opened[0].before == pytest.approx(0.95)
    assert opened[0].after == pytest.approx(0.74, abs=0.03)


def test_two_parts_that_drop_at_once_are_both_named() -> None:
    drops = (Drop(1, {"region": "east"}, 0.8, NOON * 60), Drop(1, {"app_version": "5.2"}, 0.6, NOON * 60))
    opened = run(Traffic(9, drops=drops), NOON - 300, 303)
    assert {cause.slice for cause in opened[-1].causes[:2]} == {(("region", "east"),), (("app_version", "5.2"),)}


def test_a_restart_at_any_minute_of_a_drop_neither_repeats_nor_forgets() -> None:
    drop = Drop(1, {"region": "south"}, 0.6, NOON * 60 + 20, (NOON + 25) * 60)
    first, count = NOON - 360, 480
    minutes = list(Traffic(10, drops=(drop,)).minutes(first, count))
    whole = DeskOverTraffic(Traffic(10))
    uninterrupted = [alert for minute in minutes for alert in whole.judge(minute)]
    assert [alert.change for alert in uninterrupted].count("opened") == 1
    for stop in (NOON, NOON + 1, NOON + 3, NOON + 24, NOON + 28, NOON + 33, NOON + 60):
        before = [alert for alert in uninterrupted if alert.minute <= stop]
        newest = {alert.id: alert for alert in before}
        again = DeskOverTraffic(Traffic(10), tuple(newest.values()))
        after: list[Alert] = []
        for minute in minutes:
            if minute.number <= stop:
                again.take(minute)
            else:
                after += again.judge(minute)
        assert [(one.id, one.number, one.change, one.minute) for one in before + after] == [
            (one.id, one.number, one.change, one.minute) for one in uninterrupted
        ], f"stopped after minute {stop - NOON}"
