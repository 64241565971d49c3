"""The platform that all system tests share: every server and every job, on a home, ports and a configuration of its own.

It runs on the replay's clock (`CDP_RAW_CLOCK=replay`): log time passes only where a test writes records or ticks, except in tests that ask
for `live`. Each scenario begins after the log's clock as it finds it, with people of its own, so that any of them also runs alone.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from stack import process
from tests.stacks import Stack, config_copy
from tests.system.running import Running, say

# `test_http_edge`, `test_one_person` and `test_sdks` move the log's clock to the present; `test_mutants` makes the log twice as long, which
# everything after it has to read; `test_savepoints` changes the configuration; after `test_future_record` the log's clock, as tests read
# it, is in 2099.
ORDER = (
    "test_schema_registry",
    "test_survives_kill_nine",
    "test_hostile_records",
    "test_outages",
    "test_downtime_and_timers",
    "test_reordered_copy",
    "test_http_edge",
    "test_one_person",
    "test_sdks",
    "test_mutants",
    "test_savepoints",
    "test_future_record",
)
MIRROR = "mirror"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the scenarios in the order above; other tests stay where they are."""
    here = Path(__file__).parent
    places = [index for index, item in enumerate(items) if item.path.parent == here]
    mine = sorted((items[index] for index in places), key=lambda item: ORDER.index(item.path.stem))
    for index, item in zip(places, mine, strict=True):
        items[index] = item


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The running platform; see the module's docstring."""
    folder = tmp_path_factory.mktemp("system")
    # A server that is away for a minute must not be taken for hung: the tests of outages want it away.
    config = config_copy(folder / "config", supervision={"hung_after_s": 300.0, "start_deadline_s": 300.0, "restarts": 30})
    second_tenant(config)
    made = Stack(folder / "home", config)
    with made.pointed_at():
        os.environ["CDP_RAW_CLOCK"] = "replay"
        running = Running(made)
        try:
            running.cdp("up", "--deadline", "900")
            yield running
        finally:
            running.cdp("down", "--no-savepoint")
        left = process.belonging_to(made.settings.home)
        say("nothing is left running" if not left else f"left running: {left}")
        assert not left


@pytest.fixture
def live(platform: Running) -> Iterator[Running]:
    """The platform while its log's clock is the present, as it is when clients send: sources that lag by years would hold the others up."""
    platform.cdp("topics", "clock", "live")
    try:
        yield platform
    finally:
        platform.hold_clock()


def second_tenant(config: Path) -> None:
    """Give the platform another tenant, who may have customers of the same names."""
    file = config / "platform.yaml"
    written = yaml.safe_load(file.read_text())
    written["tenants"][MIRROR] = {"currency": "GBP", "minor_units": 2}
    written["limits"]["clock_ahead_s"] = 10 * 365 * 86_400  # after the live tests scenarios write days of log time ahead of the present
    file.write_text(yaml.safe_dump(written))
