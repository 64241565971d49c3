"""Fixtures for all tests: which kind a test is (by folder), and the real servers that component tests share.

A component test that needs servers asks for one of these; they stand on one stack per worker, which starts once (tests/README.md says
which to choose):

- `stack`: Kafka with all topics of `config/topics.yaml`, Redis, and ClickHouse with the database; `config.loader.platform()` points at
  them. Everybody's records stay in it, so use ids, groups and tables of your own, and kill nothing. The ticker does not run, so a raw
  topic holds only what tests write.
- `emptied` (for a module): the same, with empty topics, database and Redis when the module begins, and again after it.
- `breakable`: the same; the test may kill and stop what it likes, afterwards everything is started again that has to run.
- `stack_with_flink` (for a module): with a JobManager and the TaskManagers.

    def test_something(stack):
        client = redis.Redis.from_url(loader.platform().redis.url)

A test is never skipped: what cannot run fails, with the reason of the skip.
"""

from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from stack import board
from tests.stacks import Stack

KINDS = ("unit", "component", "system")
SERVERS = ("kafka", "redis", "clickhouse")
# How long an example takes says something about the machine; speed is measured in bench/.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="session")
def _same_everywhere() -> Iterator[None]:
    """What commands print does not depend on the terminal that the tests were started in; servers that live for minutes start cheaply."""
    with pytest.MonkeyPatch.context() as patch:
        # The second compiler costs more than it gives here: a broker is ready after 6 s of CPU instead of 12.
        patch.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
        for name in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            patch.delenv(name, raising=False)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its kind, the folder it lies in."""
    for item in items:
        for kind in KINDS:
            if kind in Path(item.path).parts:
                item.add_marker(kind)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that was skipped has shown nothing: it counts as failed."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped, and that is not allowed: {_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module."""
    report = yield
    if report.skipped:
        report.outcome, report.longrepr = "failed", f"skipped, and that is not allowed: {_reason(report.longrepr)}"
    return report


def _reason(said: object) -> str:
    return str(said[-1]) if isinstance(said, tuple) else str(said)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka, Redis and ClickHouse for the whole session; see the module's docstring."""
    made = Stack(tmp_path_factory.mktemp("stack") / "home")
    with made.pointed_at():
        try:
            made.up(*SERVERS)
            yield made
        finally:
            made.down()


@pytest.fixture(scope="module")
def emptied(stack: Stack) -> Iterator[Stack]:
    """The shared servers with nothing in them; see the module's docstring."""
    stack.empty()
    yield stack
    stack.empty()


@pytest.fixture
def breakable(stack: Stack) -> Iterator[Stack]:
    """The shared servers, mended after the test; see the module's docstring."""
    wanted = tuple(board.read_wanted(stack.settings).services)
    yield stack
    stack.mend(*wanted)


@pytest.fixture(scope="module")
def stack_with_flink(stack: Stack) -> Stack:
    """The shared servers and a Flink cluster; see the module's docstring."""
    stack.up("flink")
    return stack
