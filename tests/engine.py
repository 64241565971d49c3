"""What an operator asks the engine for, on one key, so that it runs without a cluster."""

from typing import Any


class State:
    """A value or a mapping of the engine."""

    def __init__(self) -> None:
        self.held: Any = None
        self.mapping: dict[Any, Any] = {}
        self.get, self.items = self.mapping.get, self.mapping.items

    def value(self) -> Any:
        return self.held

    def update(self, value: Any) -> None:
        self.held = value

    def put(self, key: Any, value: Any) -> None:
        self.mapping[key] = value

    def remove(self, key: Any) -> None:
        del self.mapping[key]


class Engine:
    """What an operator asks the engine for: runtime context, metrics, timers and the key, all in one."""

    def __init__(self, key: str) -> None:
        self.key, self.counts, self.broadcast = key, dict[str, int](), State()
        self._runtime_context = self

    def get_state(self, _: object) -> State:
        return State()

    get_map_state = get_state

    def get_metrics_group(self) -> "Engine":
        return self

    def counter(self, name: str) -> Any:
        counts = self.counts

        class Counter:
            def inc(self) -> None:
                counts[name] = counts.get(name, 0) + 1

        return Counter()

    def getTaskInfo(self) -> "Engine":
        return self

    def getIndexOfThisSubtask(self) -> int:
        return 0

    def get_current_key(self) -> str:
        return self.key

    def timer_service(self) -> "Engine":
        return self

    def current_watermark(self) -> int:
        return 1_700_000_000_000

    def register_event_time_timer(self, _: int) -> None:
        """Nothing fires here."""

    def get_broadcast_state(self, _: object) -> State:
        return self.broadcast
