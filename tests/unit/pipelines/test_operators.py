"""Operators refuse to run where their state would be empty."""

import pytest

from config import loader
from pipelines.features.layout import History
from pipelines.features.operators import NodeFunction
from pipelines.operators import ExecutionModeError


def test_an_operator_does_not_open_outside_the_jvm() -> None:
    with pytest.raises(ExecutionModeError, match=r"python\.execution-mode: thread"):
        NodeFunction(loader.definitions(), loader.platform(), loader.traffic(), History()).open(None)
