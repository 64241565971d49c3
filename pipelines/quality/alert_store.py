"""The alerts in ClickHouse: every change of each, and what became of its delivery."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pipelines.quality.alerts import Alert
from pipelines.quality.cause import Cause
from pipelines.quality.messages import says
from pipelines.quality.schema import Server
from pipelines.quality.slices import Group
from pipelines.quality.sql import MINUTE_S, moment

_NUMBERS: Final = "toUnixTimestamp(at) AS at_s, toUnixTimestamp(opened_at) AS opened_s, toUnixTimestamp(onset) AS onset_s"


class AlertStore:
    """Reads and writes alerts.

    Args:
        server: ClickHouse.
        channels: who is to get what is written.
    """

    def __init__(self, server: Server, channels: Sequence[str] = ()) -> None:
        self._server = server
        self._channels = list(channels)

    def write(self, alerts: Sequence[Alert]) -> None:
        """Write the changes of a minute by one insert; the same change again changes nothing."""
        if alerts:
            lines = b"\n".join(msgspec.json.encode(_row(alert, self._channels)) for alert in alerts)
            self._server.command("INSERT INTO alerts FORMAT JSONEachRow\n" + lines.decode())

    def known(self, since: int) -> list[Alert]:
        """The newest change of every alert that is open, or was changed after a minute."""
        return self._read(
            f"(id, number) IN (SELECT id, max(number) FROM alerts GROUP BY id) AND (change != 'closed' OR at >= {moment(since)})"
        )

    def newest_minute(self) -> int:
        """The newest minute in which an alert changed, -1 for none."""
        found = self._server.rows("SELECT toUnixTimestamp(max(at)) AS at, count() AS changes FROM alerts")[0]
        return int(found["at"]) // MINUTE_S - 1 if int(found["changes"]) else -1

    def history_of(self, name: str) -> list[Alert]:
        """All changes of an alert, oldest first."""
        return self._read("id = {id:String}", {"id": name})

    def undelivered(self) -> list[tuple[Alert, str]]:
        """Changes, each with a channel that should get it and of which nobody knows what became of it; oldest first."""
        rows = self._server.rows(
            "SELECT id, number, channel FROM (SELECT id, number, arrayJoin(channels) AS channel, 0 AS settled FROM alerts FINAL UNION ALL "
            "SELECT id, number, channel, 1 AS settled FROM alert_deliveries FINAL) GROUP BY id, number, channel HAVING max(settled) = 0"
        )
        changes = {(alert.id, alert.number): alert for name in {row["id"] for row in rows} for alert in self.history_of(name)}
        found = [(changes[row["id"], row["number"]], row["channel"]) for row in rows if (row["id"], row["number"]) in changes]
        return sorted(found, key=lambda one: (one[0].minute, one[0].id, one[0].number, one[1]))

    def failed(self) -> dict[str, list[str]]:
        """Id -> channels that did not take some change of the alert."""
        rows = self._server.rows(
            "SELECT id, groupUniqArray(channel) AS channels FROM alert_deliveries FINAL WHERE status = 'undelivered' GROUP BY id"
        )
        return {row["id"]: sorted(row["channels"]) for row in rows}

    def _read(self, where: str, parameters: dict[str, Any] | None = None) -> list[Alert]:
        query = f"SELECT * FROM (SELECT *, {_NUMBERS} FROM alerts FINAL) WHERE {where} ORDER BY at_s, id, number"
        return [_alert(row) for row in self._server.rows(query, parameters)]


def _row(alert: Alert, channels: list[str]) -> dict[str, Any]:
    causes = msgspec.json.encode(alert.causes).decode()
    return {
        "id": alert.id, "number": alert.number, "change": alert.change, "kind": alert.kind, **alert.group._asdict(), "origin": alert.origin,
        "at": (alert.minute + 1) * MINUTE_S, "opened_at": (alert.opened + 1) * MINUTE_S, "onset": alert.onset * MINUTE_S,
        "before": alert.before, "after": alert.after, "total": alert.total, "causes": causes, "why": alert.why, "says": says(alert),
        "channels": channels,
    }  # fmt: skip


def _alert(row: dict[str, Any]) -> Alert:
    causes = msgspec.json.decode(row["causes"], type=list[Cause])
    group = Group(row["tenant"], row["measure"], row["event"], row["field"])
    minutes = (int(row["at_s"]) // MINUTE_S - 1, int(row["onset_s"]) // MINUTE_S, int(row["opened_s"]) // MINUTE_S - 1)
    return Alert(
        row["id"], row["number"], row["change"], row["kind"], group, row["origin"], *minutes,
        row["before"], row["after"], row["total"], causes, row["why"],
    )  # fmt: skip
