"""What the supervisor says (`run/status.json`) and what it is told (`run/wanted.json`)."""

import time
from typing import Literal

import msgspec

from stack.process import Identity, is_alive, write_json
from stack.settings import Settings

State = Literal["stopped", "waiting", "starting", "ready", "failed"]


class ServiceState(msgspec.Struct):
    """One line of `cdp status`. Times are wall clock, in seconds."""

    name: str
    state: State = "stopped"
    pid: int = 0
    since: float = 0.0
    started: float = 0.0
    ready_after_s: float = 0.0
    restarts: int = 0
    detail: str = ""


class Status(msgspec.Struct):
    """`run/status.json`; rewritten whenever something changes and at least once a second."""

    supervisor: Identity
    at: float
    services: dict[str, ServiceState]


class Wanted(msgspec.Struct):
    """`run/wanted.json`: the services that shall run, each with a generation.

    A greater generation means: start it anew, and forgive its failures.
    """

    services: dict[str, int] = {}


def read_status(settings: Settings) -> Status | None:
    """The last word of the supervisor, or None when it never spoke."""
    try:
        return msgspec.json.decode((settings.run / "status.json").read_bytes(), type=Status)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def live_status(settings: Settings) -> Status | None:
    """The status, if its supervisor still runs."""
    status = read_status(settings)
    return status if status and is_alive(status.supervisor) else None


def write_status(settings: Settings, supervisor: Identity, services: dict[str, ServiceState]) -> None:
    """Publish the status."""
    write_json(settings.run / "status.json", Status(supervisor, time.time(), services), durable=False)


def read_wanted(settings: Settings) -> Wanted:
    """What shall run; nothing when nobody asked for anything."""
    try:
        return msgspec.json.decode((settings.run / "wanted.json").read_bytes(), type=Wanted)
    except FileNotFoundError:
        return Wanted()


def write_wanted(settings: Settings, wanted: Wanted) -> None:
    """Tell the supervisor."""
    write_json(settings.run / "wanted.json", wanted)
