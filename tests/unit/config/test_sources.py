"""`config/sources.yaml`: what is wrong in it is found when it is read, and said so that it can be mended."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from config import loader
from config.loader import ConfigError
from tests.stacks import config_copy

GOOD = {"kind": "http", "tenant": "demo", "topic": "cdp.raw.orders", "write_key": "one-key"}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = config_copy(tmp_path / "config")
    monkeypatch.setenv("CDP_CONFIG_DIR", str(folder))
    loader.sources.cache_clear()
    loader.platform.cache_clear()
    yield folder / "sources.yaml"
    loader.sources.cache_clear()
    loader.platform.cache_clear()


def test_the_sources_that_ship_are_well_formed_and_read_once() -> None:
    found = loader.sources()
    assert loader.sources() is found
    assert {name: source.kind for name, source in found.items()} == {
        "web-shop": "http",
        "server": "http",
        "erp": "cdc",
        "tickets": "webhook",
        "shop-orders": "webhook",
        "files": "file",
    }
    assert found["erp"].freshness_s == 10
    assert found["web-shop"].origins == ["*"]
    assert not found["server"].enrich.ip
    assert found["web-shop"].enrich.ip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tenant": "dmeo"}, "one.tenant: unknown tenant `dmeo`; did you mean `demo`?"),
        ({"topic": "cdp.raw.order"}, "one.topic: `cdp.raw.order` is no raw topic of topics.yaml; did you mean `cdp.raw.orders`?"),
        ({"topic": "cdp.events"}, "one.topic: `cdp.events` is no raw topic"),
        ({"write_key": ""}, "one.write_key: an http source needs a write_key"),
        ({"write_key": "with space"}, "one.write_key: an http source needs a write_key"),
        ({"kind": "cdc"}, "one.kind: write_key, origins and rate belong to http sources, this one is cdc"),
        ({"origins": ["shop.example"]}, "one.origins[0]: `shop.example` is no origin"),
        ({"origins": ["https://shop.example/"]}, "is no origin"),
        ({"rate": {"events_per_s": 0, "burst": 5}}, "one.rate: "),
        ({"freshness_s": -1}, "one.freshness_s: "),
        ({"kind": "htp"}, "the text `htp` is not one of the values there are"),
        ({"write_kee": "x"}, "unknown key `write_kee`; did you mean `write_key`?"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_source(file: Path, change: dict[str, object], said: str) -> None:
    file.write_text(yaml.safe_dump({"one": GOOD | change}))
    with pytest.raises(ConfigError) as caught:
        loader.sources()
    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def test_a_write_key_belongs_to_one_source(file: Path) -> None:
    file.write_text(yaml.safe_dump({"one": GOOD, "two": GOOD}, sort_keys=False))
    with pytest.raises(ConfigError, match=r"two\.write_key: has the write_key of source `one`"):
        loader.sources()


def test_all_mistakes_are_told_at_once(file: Path) -> None:
    file.write_text(yaml.safe_dump({"one": GOOD | {"tenant": "x"}, "Two": GOOD | {"write_key": "other"}}))
    with pytest.raises(ConfigError) as caught:
        loader.sources()
    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_file_says_what_to_do(file: Path) -> None:
    file.unlink()
    with pytest.raises(ConfigError, match="set CDP_CONFIG_DIR"):
        loader.sources()
