"""Hashes that stand in state and on the wire."""

import hashlib

import msgspec

_canonical = msgspec.json.Encoder(order="sorted").encode


def hash64(data: bytes) -> int:
    """A signed 64-bit hash (blake2b): stable across processes, fits a state key."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)


def fingerprint(body: object) -> int:
    """Hash of a body however its JSON was spelled: members in order of their names."""
    return hash64(_canonical(body))
