"""`cdp quality`, `cdp quality alerts`, `cdp quality why`."""

from typing import Annotated

import typer

from cli.options import AsJson

quality_app = typer.Typer(help="How good the data is, what is wrong with it, and where to look.", invoke_without_command=True)


class OptionError(ValueError):
    """An option cannot be understood; the message says what was meant."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(quality_app, name="quality")


@quality_app.callback()
def quality(
    context: typer.Context,
    source: Annotated[str, typer.Option(help="Only this source of config/sources.yaml.")] = "",
    topic: Annotated[str, typer.Option(help="Only this raw topic, e.g. orders.")] = "",
    event: Annotated[str, typer.Option(help="Only this event, e.g. `Order Completed`.")] = "",
    measure: Annotated[str, typer.Option(help="Only this measure: completeness, validity, accuracy ...")] = "",
    tenant: Annotated[str, typer.Option(help="Only this tenant.")] = "",
    since: Annotated[str, typer.Option(help="How far back from the newest minute: 15m, 1h, 2d of log time.")] = "1h",
    everything: Annotated[bool, typer.Option("--all", help="Show every question, not the worst alone.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is worst: share against goal, trend, and for what misses its goal the likely cause and where to look further."""
    if context.invoked_subcommand:
        return
    import msgspec

    from cli import stores
    from cli.quality import report, views
    from cli.terminal import plain_console
    from config import loader
    from config import quality as settings
    from pipelines.quality.alert_store import AlertStore
    from pipelines.quality.slices import MEASURES

    if measure and measure not in MEASURES:
        raise OptionError(f"--measure: no measure `{measure}`; there are {', '.join(MEASURES)}")
    configured, server = settings.quality(), stores.history()
    minutes, end = _minutes(since), report.newest_minute(server)
    wanted = {"event": event, "measure": measure, "tenant": stores.tenant_or_default(tenant) if tenant else ""}
    topics = {name.removeprefix("cdp.raw."): name for name in loader.topics().raw()} | {name: name for name in loader.topics().raw()}
    if topic and topic not in topics:
        raise OptionError(f"--topic: no raw topic `{topic}`; there are {', '.join(loader.topics().raw())}")
    wanted |= {"source": topics.get(topic, ""), "origin": source}
    found = report.lines(server, configured, end, minutes, {name: value for name, value in wanted.items() if value})
    open_alerts = [alert for alert in AlertStore(server).known(end) if alert.change != "closed"]
    report.explained(server, configured, found, open_alerts, end, minutes)
    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    views.show_lines(plain_console(), found, end, minutes, everything)


@quality_app.command()
def alerts(
    everything: Annotated[bool, typer.Option("--all", help="Closed ones as well.")] = False,
    only_open: Annotated[bool, typer.Option("--open", help="Open ones alone (the default).")] = False,
    as_json: AsJson = False,
) -> None:
    """Show alerts: what opened them, what is the cause, what became of them."""
    import json

    from cli import stores
    from cli.quality import views
    from cli.quality.report import newest_minute
    from cli.terminal import plain_console
    from pipelines.quality.alert_store import AlertStore
    from pipelines.quality.messages import payload

    if everything and only_open:
        raise OptionError("choose one of --all and --open")
    server = stores.history()
    newest_minute(server)
    alert_store = AlertStore(server)
    found = [alert for alert in alert_store.known(0) if everything or alert.change != "closed"]
    failed = alert_store.failed()
    if as_json:
        print(json.dumps([payload(alert) | {"undelivered": failed.get(alert.id, [])} for alert in found]))
        return
    views.show_alerts(plain_console(), found, failed, everything)


@quality_app.command()
def why(
    alert_id: Annotated[str, typer.Argument(help="Id of an alert, or the beginning of one.")],
    as_json: AsJson = False,
) -> None:
    """Show all about one alert: its changes, its causes, the minutes around it, and where to look further."""
    import msgspec

    from cli import stores
    from cli.quality import story, views
    from cli.terminal import plain_console
    from config import quality as settings

    server = stores.history()
    told = story.of(server, settings.quality(), alert_id)
    if as_json:
        print(msgspec.json.encode(told).decode())
        return
    views.show_story(plain_console(), told)


def _minutes(since: str) -> int:
    from pipelines.rules.moments import duration_ms

    found = duration_ms(since)
    if not found or found < 60_000:
        raise OptionError(f"--since: `{since}` is no stretch of minutes; write 15m, 6h or 2d")
    return found // 60_000
