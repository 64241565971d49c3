"""Records of the clean topics, built from what the pipeline knows: key and value as they go to Kafka."""

from typing import Any

from pipelines.identity.link_log import Rule
from pipelines.wire import Event, Rejected
from schemas import clean


def position(event: Event) -> dict[str, Any]:
    """Where in the raw topics an event came from: conservation is checked by it."""
    return {"source": event.source, "partition": event.partition, "offset": event.offset, "log_time": event.log_time}


def rejected_record(rejected: Rejected, source: str, partition: int, offset: int, log_time: int, raw: bytes | None) -> tuple[bytes, bytes]:
    """Key and value for `cdp.rejected`."""
    record = {
        "source": source,
        "partition": partition,
        "offset": offset,
        "log_time": log_time,
        "code": rejected.code,
        "field": rejected.field,
        "rule": rejected.rule,
        "tenant": rejected.tenant,
        "message_id": rejected.message_id,
        "original": raw or b"",
        "origin": rejected.origin,
    }
    return f"{source}:{partition}:{offset}".encode(), clean.encode("rejected", record)


def event_record(event: Event, profile_id: str, seq: int) -> tuple[bytes, bytes]:
    """Key and value for `cdp.events`."""
    record = {
        "tenant": event.tenant,
        "node": event.node,
        "profile_id": profile_id,
        "seq": seq,
        "type": event.type,
        "name": event.name,
        "message_id": event.message_id,
        "event_time": event.event_time,
        **position(event),
        "channel": event.channel,
        "late": event.late,
        "identifiers": event.identifiers,
        "properties": event.properties,
        "traits": event.traits,
        "context": event.context,
        "origin": event.origin,
        "flags": event.flags,
        "origin_log": event.origin_log,
        "origin_order": event.origin_order,
    }
    return event.node.encode(), clean.encode("event", record)


def duplicate_record(event: Event, reason: str) -> tuple[bytes, bytes]:
    """Key and value for `cdp.duplicates`."""
    record = {
        "tenant": event.tenant,
        "node": event.node,
        "message_id": event.message_id,
        **position(event),
        "origin": event.origin,
        "reason": reason,
    }
    return event.node.encode(), clean.encode("duplicate", record)


def link_record(event: Event, stronger: str, weaker: str, rule: Rule) -> tuple[bytes, bytes]:
    """Key and value for `cdp.links`."""
    record = {"tenant": event.tenant, "a": stronger, "b": weaker, "message_id": event.message_id, **position(event), "rule": rule}
    return event.tenant.encode(), clean.encode("link", record)
