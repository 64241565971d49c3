"""`cdp schema register` and `cdp schema check --against-registry`: the committed schemas and a schema registry."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from schemas.registration import Finding
    from schemas.registry_client import Client

ANSWER_TIMEOUT_S = 5.0


class NoRegistryError(ValueError):
    """There is no registry to speak to."""


class SwitchError(ValueError):
    """Topics hold records that would be misread once a registry gives the ids."""


def register(schema_app: typer.Typer) -> None:
    """Add the command."""

    @schema_app.command("register")
    def register_schemas(
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would be done.")] = False,
    ) -> None:
        """Put the schemas of clean records and raw events into the schema registry, and have it refuse what breaks their readers.

        Exit code 1 when the registry refuses one. May be run as often as you like: what is there already is left alone.
        """
        from schemas import registration

        client = the_registry()
        found = list(registration.compare(client))
        _refuse_to_misread([finding.wanted.subject for finding in found if finding.state == "new"])
        done = found if dry_run else [registration.register(client, finding) for finding in found]
        _show(found, done, dry_run)
        print(_summary(client, found, done, dry_run))
        if any(finding.state == "breaks" for finding in done):
            raise typer.Exit(1)


def check_against_registry() -> None:
    """Show which of the committed schemas the registry has, would take, and would refuse.

    Raises:
        typer.Exit: with code 1 when it would refuse one.
    """
    from schemas import registration

    client = the_registry()
    found = list(registration.compare(client))
    _show(found, found, dry_run=True)
    print(_summary(client, found, found, dry_run=True))
    open_subjects = [finding.wanted.subject for finding in found if finding.level and not finding.is_guarded]
    if open_subjects:
        print(f"{len(open_subjects)} subjects take whatever comes (compatibility NONE and the like); `cdp schema register` guards them")
    if any(finding.state == "breaks" for finding in found):
        raise typer.Exit(1)


def the_registry() -> "Client":
    """The registry that is configured.

    Raises:
        NoRegistryError: none is.
    """
    from schemas import registry
    from schemas.registry_client import Client

    client = registry.current()
    if not isinstance(client, Client):
        raise NoRegistryError(
            f"no schema registry is configured; set schema_registry.url in config/platform.yaml, or the variable {registry.VARIABLE}"
        )
    return client


def _show(before: "list[Finding]", after: "list[Finding]", dry_run: bool) -> None:
    from cli.terminal import plain_console

    table = table_of(before, after, dry_run)
    if table.row_count:
        plain_console().print(table)


def table_of(before: "list[Finding]", after: "list[Finding]", dry_run: bool) -> "Table":
    """Schemas of which something is to be said, one a line."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("subject", "version", "id", "compatibility", ""):
        table.add_column(column)
    for old, new in zip(before, after, strict=True):
        if old == new and old.state == "held" and (old.is_guarded or not dry_run):
            continue
        done = _said(old, new, dry_run)
        table.add_row(new.wanted.subject, new.wanted.version, str(new.id or ""), new.level, done)
    return table


def _said(old: "Finding", new: "Finding", dry_run: bool) -> str:
    if new.state == "breaks":
        return f"[red]breaks[/]: {new.why}"
    if old.state == "held":
        return "not guarded" if dry_run else f"compatibility was {old.level}"
    first = "new" if old.state == "new" else "a new version that fits"
    return first if dry_run else f"registered: {first}"


def _summary(client: "Client", before: "list[Finding]", after: "list[Finding]", dry_run: bool) -> str:
    held = sum(finding.state == "held" for finding in before)
    broken = sum(finding.state == "breaks" for finding in after)
    rest = len(after) - held - broken
    done = "to be registered" if dry_run else "registered"
    return f"{len(after)} schemas, {client.shown}: {held} were there, {rest} {done}, {broken} refused"


def _refuse_to_misread(subjects: list[str]) -> None:
    """Raises SwitchError if a topic whose subject is new holds records with ids of the files that are not marked as such."""
    from confluent_kafka import KafkaException

    from schemas import clean

    topics = [clean.TOPICS[subject] for subject in clean.SUBJECTS if clean.registered_as(subject) in subjects]
    if not topics:
        return
    try:
        found = list(_oldest_unmarked(topics))
    except KafkaException as error:
        print(f"Kafka does not answer ({error.args[0].name()}): not looked for records of before there were marked ids")
        return
    if found:
        raise SwitchError(
            f"{', '.join(found)}: records of a version of the platform that knew no registry; with one they would be misread. "
            "Wait until they have left the topics, or begin with empty ones (docs/schema-registry.md)"
        )


def _oldest_unmarked(topics: list[str]) -> list[str]:
    """Where the oldest record of a partition has an id of the files without its mark."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

    from config import loader
    from schemas import registry

    settings = {"bootstrap.servers": loader.platform().kafka.bootstrap, "group.id": "cdp-schema", "log_level": 2}
    consumer = Consumer({**settings, "enable.auto.commit": False, "isolation.level": "read_committed", "enable.partition.eof": True})
    try:
        listed = consumer.list_topics(timeout=ANSWER_TIMEOUT_S).topics
        parts = [
            TopicPartition(topic, number, OFFSET_BEGINNING) for topic in topics if topic in listed for number in listed[topic].partitions
        ]
        consumer.assign(parts)
        waiting, found = {(part.topic, part.partition) for part in parts}, []
        while waiting:
            messages = consumer.consume(100, ANSWER_TIMEOUT_S)
            if not messages:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            for message in messages:
                place = (message.topic() or "", message.partition() or 0)
                if place not in waiting:
                    continue
                waiting.discard(place)
                consumer.incremental_unassign([TopicPartition(*place)])
                value = message.value() or b""
                if message.error() is None and value[:1] == b"\0" and not int.from_bytes(value[1:5], "big") & registry.OF_FILES:
                    found.append(f"{place[0]} partition {place[1]} offset {message.offset()}")
        return found
    finally:
        consumer.close()
