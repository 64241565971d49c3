"""Limits of the identity graph: which ones the link log has in force, and seeing to it that a log begins with them."""

import time
import uuid
from collections.abc import Collection, Iterable
from typing import Final

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from config.identity import Identity
from operations.controls import LINKS, Publisher
from operations.identity import Placed
from operations.topics import TopicsAwayError
from pipelines.identity.limits import TenantLimits, changes, configured, read_limits
from pipelines.identity.link_log import Rules

WITHIN_S: Final = 10.0
FIRST: Final = "the log begins: limits of config/identity.yaml"
GROUP: Final = "cdp-link-limits"
"""Remembers as remarks beside its offsets whose records were found in a partition, and so does not read it from the beginning each time."""
_REMARK_CHARACTERS: Final = 3_000


class InForce(msgspec.Struct, frozen=True):
    """The limits of a tenant.

    Attributes:
        limits: the limits.
        epoch: place of the record that brought them; 0: the log says none, and those of `identity.yaml` hold that job `profiles` has read.
        at: when that was, ms.
        reason: who has asked for them, and why.
    """

    limits: TenantLimits
    epoch: int = 0
    at: int = 0
    reason: str = ""


def in_force(identity: Identity, tenant: str, log: Iterable[Placed]) -> InForce:
    """The limits that a log has come to.

    Args:
        identity: the limits where the log says none.
        tenant: whose.
        log: in its order; records of other tenants are passed over.
    """
    found = InForce(configured(identity, tenant))
    for epoch, record in log:
        if isinstance(record, Rules) and record.tenant == tenant:
            limits = read_limits(record.body)
            if not found.epoch or changes(found.limits, limits):
                found = InForce(limits, epoch, record.at, record.reason)
    return found


def rules_record(tenant: str, limits: TenantLimits, at: int, cause: str, reason: str) -> Rules:
    """The record that puts limits in force; times in ms."""
    return Rules(tenant, at, cause, reason, msgspec.json.encode(limits).decode())


def begin(bootstrap: str, identity: Identity, tenants: Collection[str], within_s: float = WITHIN_S) -> list[str]:
    """Write the limits of `identity.yaml` to the link log of each tenant that has no record yet.

    A log that has records stays as it is. Two processes that do this at once write the same limits twice, which changes nothing.

    Args:
        bootstrap: Kafka's address.
        identity: the limits.
        tenants: whose logs.
        within_s: how long to look for records; what was found by then is remembered, so that the next time goes on there.

    Returns:
        The tenants whose log begins by this.

    Raises:
        operations.topics.TopicsAwayError: Kafka does not answer, the topic is not there, or looking took too long.
        operations.controls.ControlError: Kafka has not taken the records.
    """
    missing = sorted(_without_records(bootstrap, set(tenants), time.monotonic() + within_s))
    if missing:
        publisher, at = Publisher(bootstrap), int(time.time() * 1000)
        for tenant in missing:
            publisher.state(rules_record(tenant, configured(identity, tenant), at, str(uuid.uuid4()), FIRST))
    return missing


def _without_records(bootstrap: str, tenants: set[str], deadline: float) -> set[str]:
    """Those of the tenants that no record of the link log is of."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": GROUP,
            "enable.auto.commit": False,
            "isolation.level": "read_uncommitted",  # as the resolver reads it
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "log_level": 2,
        }
    )
    try:
        return _looked_for(consumer, bootstrap, tenants, deadline)
    except KafkaException as error:
        raise _away(bootstrap, error.args[0]) from error
    finally:
        consumer.close()


def _looked_for(consumer: Consumer, bootstrap: str, tenants: set[str], deadline: float) -> set[str]:
    partitions = consumer.list_topics(LINKS, timeout=_left_s(deadline)).topics[LINKS].partitions
    if not partitions:
        raise TopicsAwayError(f"Kafka at {bootstrap} has no topic {LINKS}; `cdp up` makes it")
    remembered = consumer.committed([TopicPartition(LINKS, number) for number in partitions], timeout=_left_s(deadline))
    reached = {part.partition: part.offset if part.offset >= 0 else OFFSET_BEGINNING for part in remembered}
    found = {part.partition: _tenants_of(part.metadata) for part in remembered}
    missing = tenants.difference(*found.values())
    if not missing:
        return set()
    consumer.assign([TopicPartition(LINKS, number, offset) for number, offset in reached.items()])
    unread, before = set(partitions), reached.copy()
    while missing and unread and time.monotonic() < deadline:
        for message in consumer.consume(20_000, min(0.2, _left_s(deadline))):
            number, offset = message.partition(), message.offset()
            assert number is not None
            assert offset is not None
            error = message.error()
            if error is None:
                reached[number] = offset + 1
                found[number] |= {_tenant_of(message)} & tenants
            elif error.code() == KafkaError._PARTITION_EOF:
                unread.discard(number)
            else:
                raise KafkaException(error)
        missing = tenants.difference(*found.values())
    read_on = [number for number in partitions if reached[number] != before[number]]
    if read_on:
        places = [TopicPartition(LINKS, number, reached[number], _remark(found[number])) for number in read_on]
        consumer.commit(offsets=places, asynchronous=False)
    if missing and unread:
        raise TopicsAwayError(
            f"whether the link log has records of {', '.join(sorted(missing))} was not found out in time; is Kafka at {bootstrap} running "
            "(`cdp status`)? The next time goes on where this one ended"
        )
    return missing


def _tenant_of(message: Message) -> str:
    key = message.key()
    return key.decode(errors="replace") if isinstance(key, bytes) else key or ""


def _tenants_of(remark: str | None) -> set[str]:
    return set(filter(None, (remark or "").split("|")))


def _remark(tenants: set[str]) -> str:
    """Kafka keeps a remark of some thousand bytes; whoever does not fit is looked for again."""
    text = "|".join(sorted(tenants))
    return text if len(text.encode()) <= _REMARK_CHARACTERS else ""


def _left_s(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())


def _away(bootstrap: str, error: KafkaError) -> TopicsAwayError:
    return TopicsAwayError(f"Kafka at {bootstrap} does not answer ({error.name()}); is it running (`cdp status`)?")
