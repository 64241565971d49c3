"""Consumer groups between tests: a killed static member keeps its partitions until its session ends, unless somebody tells it off."""

import socket
import struct

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

LEAVE_GROUP, VERSION = 13, 3
PATIENCE_S = 15.0


def forget(bootstrap: str, admin: AdminClient) -> None:
    """Forget all groups: static members leave, and committed offsets are deleted. A group with other members that live stays."""
    names = [group.group_id for group in admin.list_consumer_groups(request_timeout=PATIENCE_S).result(PATIENCE_S).valid]
    if not names:
        return
    for name, future in admin.describe_consumer_groups(names, request_timeout=PATIENCE_S).items():
        static = [member.group_instance_id for member in future.result(PATIENCE_S).members if member.group_instance_id]
        if static:
            _leave(bootstrap, name, static)
    for future in admin.delete_consumer_groups(names, request_timeout=PATIENCE_S).values():
        try:
            future.result(PATIENCE_S)
        except KafkaException as error:
            if error.args[0].code() not in (KafkaError.NON_EMPTY_GROUP, KafkaError.GROUP_ID_NOT_FOUND):
                raise


def _leave(bootstrap: str, group: str, instances: list[str]) -> None:
    """LeaveGroup in the name of static members; librdkafka's admin client does not have it (Java's `removeMembersFromConsumerGroup`)."""
    members = b"".join(_text("") + _text(name) for name in instances)
    body = struct.pack(">hhi", LEAVE_GROUP, VERSION, 1) + _text("tests") + _text(group) + struct.pack(">i", len(instances)) + members
    host, port = bootstrap.split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        (size,) = struct.unpack(">i", _exactly(connection, 4))
        _correlation, _throttled_ms, error = struct.unpack(">iih", _exactly(connection, size)[:10])
    assert error == 0, f"{group}: LeaveGroup was refused with error {error}"


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def _exactly(connection: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = connection.recv(count - len(found))
        assert more, "Kafka closed the connection"
        found += more
    return found
