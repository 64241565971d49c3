"""`quality.yaml` as it is shipped is right, and mistakes in it are named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import loader
from config import quality as settings
from config.loader import ConfigError
from pipelines.quality import plan
from pipelines.quality.statements import measure
from schemas import contracts
from tests.stacks import config_copy

SHIPPED = yaml.safe_load((loader.folder() / "quality.yaml").read_text())


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], settings.Quality]:
    def loaded(changes: dict[str, Any]) -> settings.Quality:
        folder = config_copy(tmp_path / "config")
        (folder / "quality.yaml").write_text(yaml.safe_dump(SHIPPED | changes))
        monkeypatch.setenv("CDP_CONFIG_DIR", str(folder))
        return settings.quality()

    return loaded


def test_the_shipped_file_makes_a_plan_and_names_a_topic_that_there_is() -> None:
    quality = settings.quality()
    made = plan.make(quality, contracts.load(), loader.sources())
    assert set(contracts.load()) <= set(made.events)
    assert quality.delivery.kafka in loader.topics().topics
    assert measure(made, 0, 1, contracts.load(), 1, "demo").count("countIf") > 20


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"goals": {"completness": 90}}, "completness"),
        ({"goals": {"completeness": 900}}, "goals.completeness: 900 is out of range; it must be at most 100"),
        ({"expected": {"Product Viewd": ["price"]}}, "there is no event `Product Viewd`; did you mean `Product Viewed`?"),
        ({"expected": {"Product Viewed": ["prize"]}}, "there is no field `prize`; did you mean `price`?"),
        ({"expected": {"Product Viewed": ["contxt.app"]}}, "`contxt.app` is no field"),
        ({"overrides": [{"measure": "validity", "event": "X", "goal": 1}]}, "overrides[0].event: there is no event `X`"),
        ({"pairs": [["region", "appversion"]]}, "there is no dimension `appversion`; did you mean `app_version`?"),
        ({"dimensions": {"regin": ["context.a"]}}, "regin"),
        ({"dimensions": {"region": ["context.a", "context.a.b"]}}, "`context.a` is a value, `context.a.b` lies inside of it"),
        ({"dimensions": {"region": ["context.a'b"]}}, "is not of the form expected"),
        ({"consistency": {"within": [{"name": "a", "event": "Order Completed", "holds": "x"}] * 2}}, "another rule of this name"),
        ({"accuracy": [{"event": "Order Completed", "field": "total", "of": {}, "reference": {"origin": "erp"}, "key": "order_id"}]},
         "each side needs an `origin`"),
        ({"accuracy": [{"event": "Order Completed", "field": "total", "of": {"origin": "erp"}, "reference": {"origin": "erp"},
                        "key": "order_id"}]}, "compared with itself"),
        ({"overrides": [{"measure": "validity", "origin": "web-shp", "goal": 1}]}, "no source `web-shp`; did you mean `web-shop`?"),
        ({"freshness": [{"seconds": 1, "origin": "epr"}]}, "freshness[0].origin: there is no source `epr`; did you mean `erp`?"),
        ({"surprise": 1}, "surprise"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(load: Callable[[dict[str, Any]], settings.Quality], changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(changes)
    assert said in str(caught.value)
    assert "quality.yaml" in str(caught.value)


def test_the_last_override_that_fits_is_the_goal(load: Callable[[dict[str, Any]], settings.Quality]) -> None:
    overrides = [
        {"measure": "completeness", "event": "Product Viewed", "goal": 80},
        {"measure": "completeness", "origin": "erp", "goal": 99},
        {"measure": "completeness", "origin": "erp", "event": "Product Viewed", "field": "brand"},
    ]
    quality = load({"goals": {"completeness": 90}, "overrides": overrides})
    assert quality.goal("completeness", "web", "Order Completed", "total") == 90
    assert quality.goal("completeness", "web", "Product Viewed", "price") == 80
    assert quality.goal("completeness", "erp", "Product Viewed", "price") == 99
    assert quality.goal("completeness", "erp", "Product Viewed", "brand") is None
    assert quality.goal("validity", "erp", "Product Viewed", "brand") is None
