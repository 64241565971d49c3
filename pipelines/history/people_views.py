"""Whose an identifier is now, and whose it was: what analysts count people by."""

from collections.abc import Iterator
from typing import Final

from pipelines.history.tables import columns

_AT: Final = "{at:DateTime64(3, 'UTC')}"


def people_views() -> Iterator[tuple[str, str]]:
    """Name and query of each view, in an order in which they can be made."""
    yield "identity_moves", _moves("")
    yield "identity_moves_at", _moves(f" AND log_time <= {_AT}")
    yield "events_of_people", _events("identity_moves", "moved.profile_id", "")
    yield (
        "events_of_people_at",
        _events(f"({_first_and_then()})", "if(moved.then != '', moved.then, moved.first)", f"WHERE log_time <= {_AT}"),
    )


def _moves(condition: str) -> str:
    """The profile of each identifier that the identity graph has moved, by the newest word; all others are those of their first profile."""
    return (
        "SELECT tenant, a AS node, argMax(profile_id, epoch) AS profile_id, argMax(log_time, epoch) AS since "
        f"FROM identity_updates WHERE what = 'moved'{condition} GROUP BY tenant, a"
    )


def _first_and_then() -> str:
    """The profile at a moment of each identifier that was ever moved: empty before its first move, when it was in its first profile."""
    return (
        f"SELECT tenant, a AS node, argMaxIf(profile_id, epoch, log_time <= {_AT}) AS then, argMin(other_profile, epoch) AS first "
        "FROM identity_updates WHERE what = 'moved' GROUP BY tenant, a"
    )


def _events(moves: str, person: str, condition: str) -> str:
    """Events with the person whose they are; of an identifier that was never moved, every event bears its first profile."""
    held = ", ".join(f"event.{name} AS {name}" for name in columns("event"))
    return (
        f"SELECT {held}, if({person} != '', {person}, event.profile_id) AS person "
        f"FROM (SELECT * FROM events {condition}) AS event "
        f"LEFT ANY JOIN {moves} AS moved ON event.tenant = moved.tenant AND event.node = moved.node"
    )
