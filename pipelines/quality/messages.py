"""Alerts in words, and as JSON for whoever receives them."""

import datetime as dt
from typing import Any, Final

from pipelines.quality.alerts import Alert
from pipelines.quality.slices import Group, words
from pipelines.quality.sql import MINUTE_S

_ENDED: Final = {
    "recovered": "has recovered",
    "new_level": "has stayed there; this counts as the new level",
    "no_data": "has no events any more",
}


def subject(group: Group) -> str:
    """What an alert is about: `completeness of order_id in Order Completed`."""
    field = f" of {group.field}" if group.field else ""
    return f"{group.measure}{field}" + (f" in {group.event}" if group.event else "")


def says(alert: Alert) -> str:
    """One sentence."""
    about = subject(alert.group) + (f" at {alert.origin}" if alert.origin else "")
    cause = alert.causes[0]
    if alert.change == "closed":
        return f"{about} {_ENDED.get(alert.why, 'is over')}, {alert.minute - alert.onset + 1} min after it began ({words(cause.slice)})"
    numbers = f"{percent(alert.after)}, n={alert.total:,}"
    share = f"{cause.share:.0%} of what is missing"
    if alert.kind == "goal":
        where = f"; {words(cause.slice)} is {share}" if cause.slice else ""
        return f"{about} is below its goal of {percent(alert.before)}: {numbers}{where}"
    where = f"for {words(cause.slice)}" if cause.slice else "everywhere"
    return f"{about} fell {where} from {percent(alert.before)} to {numbers}; that is {share}"


def percent(share: float) -> str:
    """A share as people read it, with more digits the closer it is to everything."""
    return f"{share * 100:.2f} %" if 0.99 < share < 1 else f"{share * 100:.1f} %"


def moment_of(minute: int) -> str:
    """The beginning of a minute since the epoch, ISO 8601."""
    return dt.datetime.fromtimestamp(minute * MINUTE_S, dt.UTC).strftime("%Y-%m-%dT%H:%MZ")


def payload(alert: Alert) -> dict[str, Any]:
    """What webhook and topic get. `id` and `number` together name the change: whoever gets it twice can tell."""
    causes = [
        {"where": dict(cause.slice), "share": round(cause.share, 3), "before": round(cause.before, 5), "after": round(cause.after, 5),
         "events": cause.total}
        for cause in alert.causes
    ]  # fmt: skip
    return {
        "id": alert.id, "number": alert.number, "change": alert.change, "kind": alert.kind, **alert.group._asdict(), "origin": alert.origin,
        "at": moment_of(alert.minute + 1), "opened_at": moment_of(alert.opened + 1), "onset": moment_of(alert.onset),
        "before": round(alert.before, 5), "after": round(alert.after, 5), "events": alert.total, "causes": causes, "why": alert.why,
        "says": says(alert), "look": f"cdp quality why {alert.id}",
    }  # fmt: skip
