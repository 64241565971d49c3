"""Causes: the planted part is named, by the smallest words that say it, with its share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.quality.cause import Leaves, explain

REGIONS, VERSIONS, ORIGINS = ("r1", "r2", "r3", "r4", "r5"), ("v1", "v2", "v3", "v4"), ("web", "app")


def world(lost: dict[tuple[tuple[str, str], ...], float], size: float = 200, seed: int = 0, good: float = 0.95) -> Leaves:
    """Leaves of a small cube; in each part given so much of what was good is lost."""
    rng = np.random.default_rng(seed)
    leaves = [(region, version, origin) for region in REGIONS for version in VERSIONS for origin in ORIGINS]
    values = {name: np.array([leaf[place] for leaf in leaves]) for place, name in enumerate(("region", "app_version", "origin"))}
    total = rng.poisson(size, len(leaves)).astype(float)
    share = np.full(len(leaves), good)
    for part, loss in lost.items():
        inside = np.all([values[name] == value for name, value in part], axis=0) if part else np.ones(len(leaves), bool)
        share[inside] *= 1 - loss
    base = rng.poisson(size * 60, len(leaves)).astype(float)
    return Leaves(
        values, rng.binomial(total.astype(int), share).astype(float), total, rng.binomial(base.astype(int), good).astype(float), base
    )


parts = st.sampled_from(
    [(), (("region", "r2"),), (("app_version", "v3"),), (("origin", "web"),), (("region", "r4"), ("app_version", "v1")),
     (("origin", "app"), ("region", "r5")), (("origin", "web"), ("app_version", "v2"))]
)  # fmt: skip


@given(parts, st.floats(0.3, 1.0), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_the_planted_part_is_the_first_cause(part: tuple[tuple[str, str], ...], loss: float, seed: int) -> None:
    causes = explain(world({part: loss}, seed=seed))
    assert causes[0].slice == part
    assert causes[0].share > 0.5, "the rest is chance in the other leaves"
    assert causes[0].before == pytest.approx(0.95, abs=0.03)
    assert causes[0].after == pytest.approx(0.95 * (1 - loss), abs=0.09)


def test_two_parts_share_the_drop() -> None:
    first, second = (("region", "r1"),), (("app_version", "v4"),)
    causes = explain(world({first: 0.7, second: 0.4}))
    assert [cause.slice for cause in causes] == [first, second]
    assert sum(cause.share for cause in causes) == pytest.approx(1, abs=0.1)


def test_a_pair_is_named_only_if_the_rest_of_its_values_is_well() -> None:
    mild = world({(("region", "r1"),): 0.3, (("region", "r1"), ("app_version", "v1")): 0.1})
    assert explain(mild)[0].slice == (("region", "r1"),)


def test_of_two_names_for_the_same_part_the_first_dimension_counts() -> None:
    leaves = world({(("origin", "web"),): 0.5})
    leaves.values["channel"] = np.where(leaves.values["origin"] == "web", "web", "mobile_app")
    assert explain(leaves)[0].slice == (("origin", "web"),)


def test_a_part_that_was_always_bad_is_no_cause() -> None:
    leaves = world({(("region", "r2"),): 0.5})
    weak = leaves.values["app_version"] == "v1"
    base = np.where(weak, leaves.base_passed * 0.5, leaves.base_passed)
    causes = explain(Leaves(leaves.values, np.where(weak, leaves.passed // 2, leaves.passed), leaves.total, base, leaves.base_total))
    assert [cause.slice for cause in causes] == [(("region", "r2"),)]


def test_values_that_are_new_are_judged_by_the_company_they_keep() -> None:
    leaves = world({(("region", "r3"),): 0.6})
    new = leaves.values["app_version"] == "v4"
    causes = explain(
        Leaves(leaves.values, leaves.passed, leaves.total, np.where(new, 0, leaves.base_passed), np.where(new, 0, leaves.base_total))
    )
    assert causes[0].slice == (("region", "r3"),)


def test_against_a_goal_the_part_that_keeps_from_it_is_named() -> None:
    leaves = world({(("origin", "app"),): 0.4}, good=0.97)
    cause = explain(leaves, goal=0.95)[0]
    assert (cause.slice, cause.before) == ((("origin", "app"),), pytest.approx(0.95))


def test_without_leaves_there_is_no_cause() -> None:
    empty = np.zeros(0)
    assert explain(Leaves({"region": np.array([], str)}, empty, empty, empty, empty)) == []
