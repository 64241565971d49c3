"""The operator of `count_job`. It lives in a module of its own: functions of a job's main script are pickled with all they touch."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyflink.common import Row, Types
from pyflink.datastream import KeyedProcessFunction
from pyflink.datastream.state import ValueStateDescriptor


class Count(KeyedProcessFunction):  # type: ignore[misc]
    """Emits `Row(key, number of records of this key so far)`; fails while there is a file `$CDP_HOME/fail`."""

    def open(self, runtime_context: Any) -> None:
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen", Types.LONG()))

    def process_element(self, value: str, ctx: Any) -> Iterator[Row]:
        if (Path(os.environ["CDP_HOME"]) / "fail").exists():
            raise RuntimeError("a test wants this job to fail")
        seen = (self.seen.value() or 0) + 1
        self.seen.update(seen)
        yield Row(ctx.get_current_key(), str(seen))
