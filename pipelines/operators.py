"""What the stages' operators share: row types that flow between them, names of side outputs, the mode they run in."""

import importlib
from typing import Any, Final

import msgspec
from pyflink.common import RowKind, Types

TEXT: Final = Types.STRING()
BYTES: Final = Types.PRIMITIVE_ARRAY(Types.BYTE())
# From a raw topic: source, partition, offset, log time (ms), value.
RAW: Final = Types.ROW_NAMED(["source", "partition", "offset", "log_time", "value"], [TEXT, Types.INT(), Types.LONG(), Types.LONG(), BYTES])
# Keyed in the JVM by its first field.
KEYED: Final = Types.ROW_NAMED(["key", "value"], [TEXT, BYTES])
# For a Kafka sink: key and value as they go on the wire.
RECORD: Final = Types.ROW_NAMED(["key", "value"], [BYTES, BYTES])

REJECTED: Final = "rejected"
DUPLICATES: Final = "duplicates"
EVENTS: Final = "events"
LINKS: Final = "links"
OBJECTS: Final = "objects"
ROSTERS: Final = "rosters"
UPDATES: Final = "updates"


class Out:
    """A row on its way out: all that the engine reads of a `Row`, which takes four times as long to make.

    Args:
        values: in the order of the row's type.
    """

    __slots__ = ("_values",)

    def __init__(self, *values: Any) -> None:
        self._values = values

    @staticmethod
    def get_row_kind() -> RowKind:
        """Every row is an insertion."""
        return RowKind.INSERT


class MapRecords:
    """Records of bytes by name on Flink MapState."""

    def __init__(self, state: Any) -> None:
        self.get = state.get
        self.put = state.put
        self.remove = state.remove


class MapIds:
    """Spilled message ids on Flink MapState (`dedupe.IdStore`): one point read an event, deleted a batch at a time."""

    def __init__(self, ids: Any, batches: Any) -> None:
        self.get = ids.get
        self.put = ids.put
        self._ids = ids
        self._batches = batches

    def put_batch(self, number: int, ids: list[int]) -> None:
        """See `IdStore`."""
        self._batches.put(number, msgspec.msgpack.encode(ids))

    def drop_batch(self, number: int) -> None:
        """See `IdStore`."""
        for known in msgspec.msgpack.decode(self._batches.get(number)):
            self._ids.remove(known)
        self._batches.remove(number)


def is_first_subtask(runtime_context: Any) -> bool:
    """Whether this is the first of an operator's subtasks: of what all of them hear, it is the one that speaks.

    PyFlink 2.3 itself asks Java for a method that moved to `TaskInfo`. Where that is not there either, each of them speaks.
    """
    task = getattr(runtime_context._runtime_context, "getTaskInfo", None)
    index = getattr(task(), "getIndexOfThisSubtask", None) if task is not None else None
    return index is None or index() == 0


class ExecutionModeError(RuntimeError):
    """An operator runs outside the TaskManager's own process, where its state would not be the one that was written."""


def attempt_number(context: Any) -> int:
    """Which attempt of this submission an operator belongs to, from 0.

    Flink 2 has moved the number; PyFlink 2.3 still looks for it in its old place.

    Args:
        context: the operator's `RuntimeContext`, in thread mode.
    """
    return int(context._runtime_context.getTaskInfo().getAttemptNumber())


def require_thread_mode() -> None:
    """Refuse to open an operator in `process` mode: state written in `thread` mode is silently empty there.

    The engine falls back to it by itself when it cannot embed an interpreter, so what was asked for at submission proves nothing.

    Raises:
        ExecutionModeError: this is not an interpreter inside the JVM.
    """
    try:
        importlib.import_module("_pemja")  # there only where the JVM is
    except ImportError:
        raise ExecutionModeError(
            "this operator's state is written in Python execution mode `thread` and would be empty in any other; "
            "set `python.execution-mode: thread` in config/stack.yaml and check that the TaskManagers run the interpreter of this "
            "installation"
        ) from None
