"""The order of the files: those that take longest come first, so that two workers end at about the same time."""

from pathlib import Path

import pytest

from tests.longest_first import reorder

LONGEST = (
    "test_stack_jobs",
    "test_quality_job",
    "test_history_exactly_once",
    "test_import",
    "test_collector_outages",
    "test_quality_commands",
    "test_quality_measures",
    "test_stack_containers",
    "test_stack_servers",
    "test_verify",
    "test_rejected",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put those files first, and leave all other tests in their places."""
    rank = {name: number for number, name in enumerate(LONGEST)}
    reorder(items, Path(__file__).parent, lambda mine: sorted(mine, key=lambda item: rank.get(item.path.stem, len(LONGEST))))
