"""Avro object container files made of records that are encoded already.

A record of a clean topic is `prefix + Avro body`. The body is what a container file holds too, so a batch of records becomes a file
that ClickHouse reads (`FORMAT Avro`) by joining bytes: nothing is decoded on the way. Layout: Avro specification 1.11, "Object
Container Files".
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cache

from schemas import clean


def varint(number: int) -> bytes:
    """Avro's `long`: zigzag, then seven bits a byte, lowest first."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest & ~0x7F:
        out.append((rest & 0x7F) | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _text(value: bytes) -> bytes:
    return varint(len(value)) + value


@cache
def _header(written: clean.Format) -> tuple[bytes, bytes]:
    """Magic, schema and sync marker; and the marker by itself."""
    schema = json.dumps(written.avro).encode()
    sync = hashlib.blake2b(schema, digest_size=16).digest()
    meta = {b"avro.schema": schema, b"avro.codec": b"null"}
    entries = b"".join(_text(name) + _text(value) for name, value in meta.items())
    return b"Obj\x01" + varint(len(meta)) + entries + varint(0) + sync, sync


def file_of(written: clean.Format, bodies: Sequence[bytes]) -> bytes:
    """A container file with one block.

    Args:
        written: schema all bodies were written with.
        bodies: Avro bodies, without the wire prefix.
    """
    header, sync = _header(written)
    block = b"".join(bodies)
    return b"".join((header, varint(len(bodies)), varint(len(block)), block, sync))


def files_of(messages: Iterable[bytes]) -> dict[clean.Format, bytes]:
    """Sort messages of the wire format by schema and make one file of each.

    The result depends on the messages alone, so the same range of the log always makes the same files. One schema may come under several
    ids (of the files, of a registry): its records make one file all the same.

    Raises:
        clean.UnknownSchemaError: a message was written with a schema that this version of the platform does not have.
        registry.RegistryError: nobody could say what an id stands for.
    """
    by_id: dict[bytes, list[bytes]] = {}
    bodies: dict[clean.Format, list[bytes]] = {}
    for message in messages:
        prefix = message[: clean.PREFIX_BYTES]
        of_schema = by_id.get(prefix)
        if of_schema is None:
            of_schema = by_id[prefix] = bodies.setdefault(clean.format_of(prefix), [])
        of_schema.append(message[clean.PREFIX_BYTES :])
    return {written: file_of(written, found) for written, found in sorted(bodies.items(), key=lambda entry: entry[0].name)}
