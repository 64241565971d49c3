"""Fixtures for all tests: which kind a test is (by folder), and the real servers that component tests share.

A component test that needs servers asks for the fixture `stack`; it then finds Kafka (with all topics of `config/topics.yaml`), Redis
and ClickHouse (with the database) running, and `config.loader.platform()` pointing at them:

    def test_something(stack):
        client = redis.Redis.from_url(loader.platform().redis.url)

`stack_with_flink` adds a JobManager and the TaskManagers. Both live as long as the test session and are shared: use your own keys,
groups and tables, and kill nothing in them. The ticker does not run, so a raw topic holds only what tests write. A test that breaks
things makes its own `tests.stacks.Stack`.
"""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.stacks import Stack

KINDS = ("unit", "component", "system")
# How long an example takes says something about the machine; speed is measured in bench/.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its kind, the folder it lies in."""
    for item in items:
        for kind in KINDS:
            if kind in Path(item.path).parts:
                item.add_marker(kind)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka, Redis and ClickHouse for the whole session; see the module's docstring."""
    made = Stack(tmp_path_factory.mktemp("stack") / "home")
    with made.pointed_at():
        try:
            made.up("kafka", "redis", "clickhouse")
            yield made
        finally:
            made.down()


@pytest.fixture(scope="session")
def stack_with_flink(stack: Stack) -> Stack:
    """The shared servers and a Flink cluster; see the module's docstring."""
    stack.up("flink")
    return stack
