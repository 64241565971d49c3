"""What `cdp import` is told, checked: file, mapping, source, tenant and topic; and the platform's own judgement of an event."""

import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from config import loader
from importers.envelope import Message, Origin
from importers.files.opening import sha256_of
from importers.files.preview import value_at
from importers.files.progress import Identity
from importers.files.run import Import, moment
from importers.mapping import Failed, MappingError, load
from importers.mapping.document import hint
from pipelines.identity.nodes import Nodes
from pipelines.ingest.checks import Rules
from pipelines.ingest.decode import Decoder
from pipelines.ingest.personal import Masker
from pipelines.wire import Rejected
from stack import settings

EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
ALWAYS: Final = dt.datetime.min.replace(tzinfo=dt.UTC)
"""Before all events: none is late."""
ASK_S: Final = 15.0


class ImportRefusedError(ValueError):
    """What was asked for cannot be imported; the message says what to do."""


def prepared(file: Path, mapping: str, source: str, tenant: str, topic: str) -> Import:
    """Check what the command was told, and read the file once for its digest.

    Raises:
        ImportRefusedError: there is no such tenant or topic.
        MappingError: the mapping cannot be used.
        importers.files.rows.FileError: the file cannot be read.
    """
    platform, known = loader.platform(), loader.sources().get(source)
    mapping, topic = mapping or (known.mapping if known else ""), topic or (known.topic if known else "cdp.raw.orders")
    if not mapping:
        raise ImportRefusedError("--mapping says how rows become events; `cdp source profile` drafts one")
    tenant = tenant or (known.tenant if known else platform.default_tenant)
    if tenant not in platform.tenants:
        raise ImportRefusedError(f"there is no tenant `{tenant}`{hint(tenant, platform.tenants)} (config/platform.yaml)")
    raw = loader.topics().raw()
    if topic not in raw:
        raise ImportRefusedError(f"`{topic}` is no raw topic{hint(topic, raw)} (config/topics.yaml)")
    path = mapping_path(mapping)
    rules = load(path)
    with bars(Console(stderr=True)) as bar:
        task = bar.add_task("file's digest", total=file.stat().st_size if file.exists() else None, note="")
        digest = sha256_of(file, lambda done: bar.update(task, completed=done))
    return Import(file, digest, rules, Origin(source or source_name(path), tenant), topic)


def source_name(mapping: Path) -> str:
    """What a source is called that nobody has named: as its mapping, a draft's `tickets.mapping.yaml` being called `tickets`."""
    return mapping.stem.removesuffix(".mapping")


def mapping_path(mapping: str) -> Path:
    """The file of a mapping: the path given, or a name below config/mappings.

    Raises:
        MappingError: there is none.
    """
    folder = loader.folder() / "mappings"
    for path in (Path(mapping), folder / mapping, folder / f"{mapping}.yaml"):
        if path.is_file():
            return path
    known = sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml"))
    raise MappingError(f"there is no mapping `{mapping}`, neither as a file nor in {folder}{hint(mapping, known)}")


def bars(console: Console) -> Progress:
    """A progress bar over a file's bytes; tasks have a field `note`."""
    figures = TextColumn("{task.fields[note]}"), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        *figures,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def identity(job: Import, topic: str) -> Identity:
    """What makes this import the same as an earlier one.

    Raises:
        ImportRefusedError: Kafka does not answer.
    """
    bootstrap = loader.platform().kafka.bootstrap
    try:
        cluster = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=ASK_S).cluster_id
    except KafkaException as error:
        raise ImportRefusedError(f"no Kafka at {bootstrap}: start the stack with `cdp up`") from error
    return Identity(job.file_sha256, job.rules.fingerprint, job.origin.source, job.origin.tenant, topic, str(cluster))


def progress_folder() -> Path:
    """Where imports note how far they are: with the stack's data, so that it goes when they go."""
    return settings.load().data / "imports"


def late_before() -> dt.datetime:
    """Events that happened before this moment are late when they are sent now: history only."""
    return dt.datetime.now(dt.UTC) - dt.timedelta(seconds=loader.platform().limits.lateness_s)


def decoder() -> Decoder:
    """The checks of job `profiles` themselves; what it makes of people's identifiers is not theirs, and not for keeping."""
    rules = loader.identity()
    nodes = Nodes(rules, b"a dry run keeps no identifiers")
    return Decoder(loader.platform(), nodes, Masker(rules, nodes), Rules.configured())


def judge(topic: str, *, by_event_time: bool) -> Callable[[Message], Failed | None]:
    """The checks of job `profiles` themselves, so that a dry run says what they will say.

    Args:
        topic: raw topic.
        by_event_time: whether the records' clock is that of the events, else now.
    """
    checks = decoder()
    now_ms = int(time.time() * 1000)

    def judged(message: Message) -> Failed | None:
        at = moment(message.envelope) if by_event_time else None
        log_ms = now_ms if at is None else int((at - EPOCH) / dt.timedelta(milliseconds=1))
        verdict = checks.decode(message.value, topic, 0, 0, log_ms)
        if not isinstance(verdict, Rejected):
            return None
        return Failed(verdict.code, verdict.field, verdict.rule, value_at(message.envelope, verdict.field))

    return judged
