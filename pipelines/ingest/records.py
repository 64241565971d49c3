"""Records of the clean topics, built from what the pipeline knows: key and value as they go to Kafka."""

from typing import Any, Final

import msgspec

from pipelines.identity.link_log import Rule
from pipelines.objects.object_state import ObjectState
from pipelines.wire import Event, Rejected
from schemas import clean, codes


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


_CONFLICT: Final = Rejected(codes.ID_CONFLICT, "$.messageId", "the same body as the record that first carried this messageId")


def conflict_record(event: Event) -> tuple[bytes, bytes]:
    """Key and value for `cdp.rejected` of an event with the message id of another one."""
    rejected = msgspec.structs.replace(_CONFLICT, tenant=event.tenant, message_id=event.message_id, origin=event.origin)
    return rejected_record(rejected, event.source, event.partition, event.offset, event.log_time, event.original)


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
        "object": event.object,
        "group": event.group.partition("|")[2],
    }
    return event.node.encode(), clean.encode("event", record)


def object_record(event: Event, state: ObjectState) -> tuple[bytes, bytes]:
    """Key and value for `cdp.objects`: an object as it is after an event."""
    kind, issuer, number = event.object.split("|", 2)
    record = {
        "tenant": event.tenant,
        "kind": kind,
        "issuer": issuer,
        "object_id": number,
        "version": state.version,
        "node": state.owner,
        "stages": state.stages,
        "message_id": event.message_id,
        "log_time": event.log_time,
    }
    return f"{event.tenant}|{event.object}".encode(), clean.encode("object", record)


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
