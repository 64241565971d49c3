"""`cdp tail`: what passes through the platform, as it passes."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.text import Text

EVENTS, REJECTED, CHANGES = "cdp.events", "cdp.rejected", "cdp.profile.changes"
ANSWER_TIMEOUT_S = 10.0


class TailError(RuntimeError):
    """There is nothing to show: Kafka is away or the topic is not there."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def tail(
        event: Annotated[str, typer.Option(help="Only events of this name, e.g. 'Order Completed'.")] = "",
        source: Annotated[str, typer.Option(help="Only what came through this source of config/sources.yaml, e.g. web-shop.")] = "",
        from_topic: Annotated[
            str, typer.Option("--topic", help="Only what came from raw topics whose name contains this, e.g. orders.")
        ] = "",
        user: Annotated[str, typer.Option(help="Only what concerns this identifier, e.g. user_id:14646.")] = "",
        rejected: Annotated[bool, typer.Option("--rejected", help="Rejected records instead of events.")] = False,
        changes: Annotated[bool, typer.Option("--changes", help="New versions of profiles instead of events.")] = False,
        from_start: Annotated[bool, typer.Option("--from-start", help="Begin with the oldest record, not with the next one.")] = False,
        limit: Annotated[int, typer.Option(help="Stop after this many lines; 0: go on until Ctrl-C.")] = 0,
        tenant: Annotated[str, typer.Option(help="Only this tenant; default: the platform's default tenant.")] = "",
    ) -> None:
        """Show events, rejections or profile changes live, one line each."""
        from cli import stores
        from cli.terminal import safe_console

        if rejected and changes:
            raise typer.BadParameter("choose one of --rejected and --changes")
        if event and (rejected or changes):
            raise typer.BadParameter("--event goes with events only")
        if (source or from_topic) and changes:
            raise typer.BadParameter("a profile change has no --source and no --topic")
        if user and rejected:
            raise typer.BadParameter("a rejected record belongs to nobody yet: --user does not go with --rejected")
        owner = stores.tenant_or_default(tenant)
        node = stores.node_of(owner, user) if user else ""
        if node is None:
            raise typer.BadParameter(f"`{user}` identifies nobody (config/identity.yaml)")
        topic = REJECTED if rejected else CHANGES if changes else EVENTS
        console = safe_console(soft_wrap=True)
        waiting = "" if from_start else "; --from-start shows what is there already"
        safe_console(stderr=True, soft_wrap=True).print(f"waiting for records of {topic}{waiting}; Ctrl-C ends", style="dim")
        shown = 0
        try:
            for record in follow(topic, from_start):
                if not concerns(record, owner, event, source, from_topic, node):
                    continue
                console.print(_line(topic)(record), highlight=False)
                shown += 1
                if limit and shown >= limit:
                    return
        except KeyboardInterrupt:
            return


def concerns(record: dict[str, Any], tenant: str, event: str, source: str, from_topic: str, node: str) -> bool:
    """Is this a record the options ask for?

    Args:
        record: decoded.
        tenant: only this one; a rejected record whose tenant is unknown passes.
        event: name, empty for any.
        source: name of the source, empty for any.
        from_topic: part of the raw topic's name, empty for any.
        node: node key, empty for any.
    """
    if record["tenant"] not in (tenant, ""):
        return False
    if event and record["name"].lower() != event.lower():
        return False
    if source and source != record["origin"]:
        return False
    if from_topic and from_topic not in record["source"]:
        return False
    named = record.get("identifiers") or record.get("nodes") or ()
    return not node or node in named or node == record.get("node")


def _line(topic: str) -> "Callable[[dict[str, Any]], Text]":
    from cli import tail_lines

    return {EVENTS: tail_lines.event_line, REJECTED: tail_lines.rejected_line, CHANGES: tail_lines.change_line}[topic]


def follow(topic: str, from_start: bool) -> Iterator[dict[str, Any]]:
    """Committed records of a clean topic, decoded, as they come; ends never.

    Raises:
        TailError: Kafka is away, or the topic is not there.
    """
    from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition

    from config import loader
    from schemas import clean

    bootstrap = loader.platform().kafka.bootstrap
    settings = {"bootstrap.servers": bootstrap, "group.id": "cdp-tail", "enable.auto.commit": False, "log_level": 2}
    consumer = Consumer({**settings, "isolation.level": "read_committed", "fetch.wait.max.ms": 50})
    try:
        try:
            partitions = consumer.list_topics(topic, timeout=ANSWER_TIMEOUT_S).topics[topic].partitions
        except KafkaException as error:
            raise TailError(f"Kafka at {bootstrap} does not answer ({error.args[0].name()}); is it running (`cdp status`)?") from error
        if not partitions:
            raise TailError(f"Kafka at {bootstrap} has no topic {topic}; `cdp up` makes it")
        start = OFFSET_BEGINNING if from_start else OFFSET_END
        consumer.assign([TopicPartition(topic, number, start) for number in partitions])
        while True:
            for message in consumer.consume(500, 0.1):
                value = message.value()
                if message.error() is None and value is not None:
                    yield clean.decode(value)
    finally:
        consumer.close()
