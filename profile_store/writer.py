"""Guarded writes of profiles into Redis: whatever is replayed, overtaken or written by a zombie, the newest version stays."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from redis import Redis
from redis.exceptions import NoScriptError

from profile_store import layout
from profile_store.connection import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S, Patience, checked
from profile_store.patch import Patch, coalesce

_HERE: Final = Path(__file__).parent
_PROFILE_SCRIPT: Final = (_HERE / "writer.lua").read_bytes()
_NODE_SCRIPT: Final = (_HERE / "node.lua").read_bytes()
_PROFILE_SHA: Final = hashlib.sha1(_PROFILE_SCRIPT).hexdigest()
_NODE_SHA: Final = hashlib.sha1(_NODE_SCRIPT).hexdigest()
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_WRITTEN, _NEEDS_WHOLE = 1, -1
_REPAIR: Final = -1

Command = tuple[str | bytes | int, ...]


class WriteResult(NamedTuple):
    """What became of a batch, in profiles: those the store took, those it refused as stale, and those taken that had to be sent whole."""

    written: int
    stale: int
    healed: int


class ProfileWriter:
    """Writes patches in batches, each batch in one round trip (two when the store lacks a base).

    A batch is repeatable: after a connection error it is sent again as it is, and what had arrived is refused as stale.

    Args:
        url: `redis://host:port/db`.
        retry_for_s: how long one batch waits for a server that is away, loading or read-only.
    """

    def __init__(self, url: str, retry_for_s: float = 300) -> None:
        self._redis: Redis = Redis.from_url(url, socket_connect_timeout=CONNECT_TIMEOUT_S, socket_timeout=ANSWER_TIMEOUT_S)
        self._patience = Patience(url, retry_for_s)
        self._scripts_loaded = False

    def write(self, patches: Sequence[Patch], repair: bool = False) -> WriteResult:
        """Write a batch; when this returns, every profile in it holds its version or a newer one.

        Args:
            patches: in the order the versions were made; several of one profile become one write.
            repair: write whole profiles, also over the same version.

        Raises:
            StoreUnavailableError: the server was away for longer than `retry_for_s`.
            StoreRefusedError: the server answered with an error that waiting does not cure.
            msgspec.DecodeError: the features of a patch are not a JSON object.
        """
        newest = coalesce(patches)
        if not newest:
            return WriteResult(0, 0, 0)
        commands = [_profile_command(patch, _REPAIR if repair else patch.base_version) for patch in newest]
        for patch in newest:
            for namespace, value, epoch in patch.nodes:
                key = layout.node_key(patch.tenant, namespace, value)
                commands.append(("EVALSHA", _NODE_SHA, 1, key, epoch, patch.profile_id))
        replies = self._send(commands)[: len(newest)]
        incomplete = [patch for patch, reply in zip(newest, replies, strict=True) if reply == _NEEDS_WHOLE]
        healed = self._send([_profile_command(patch, 0) for patch in incomplete]).count(_WRITTEN) if incomplete else 0
        written = replies.count(_WRITTEN) + healed
        return WriteResult(written, len(newest) - written, healed)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _send(self, commands: list[Command]) -> list[Any]:
        return self._patience.run(lambda: self._attempt(commands))

    def _attempt(self, commands: list[Command]) -> list[Any]:
        if not self._scripts_loaded:
            self._redis.script_load(_PROFILE_SCRIPT)
            self._redis.script_load(_NODE_SCRIPT)
            self._scripts_loaded = True
        pipeline: Any = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            return checked(pipeline.execute(raise_on_error=False))
        except NoScriptError:
            self._scripts_loaded = False
            raise


def _profile_command(patch: Patch, base: int) -> Command:
    """The script call for one patch; whole when asked to (`base` <= 0), merged away, or a field was removed."""
    version = layout.version(patch.incarnation, patch.version)
    if patch.merged_into:
        fields: list[str | bytes] = [layout.MERGED_INTO, layout.encode_value(patch.merged_into)]
        base = min(base, 0)
    else:
        values = _FIELDS.decode(patch.features)
        if base > 0 and not all(name in values for name in patch.changed):
            base = 0
        fields = []
        for name in patch.changed if base > 0 else values:
            fields += (name, bytes(values[name]))
    at = str(patch.at)
    key = layout.profile_key(patch.tenant, patch.profile_id)
    head: Command = ("EVALSHA", _PROFILE_SHA, 1, key, patch.incarnation, patch.version, base)
    return (*head, layout.VERSION, version, layout.AT, at, *fields)


def next_incarnation(url: str, job: str, retry_for_s: float = 300) -> int:
    """Number a new writer of a job: greater than any number handed out before, also when Redis has lost its data since.

    The number is at least the current Unix time in seconds, for that reason; otherwise it counts.

    Args:
        url: `redis://host:port/db`.
        job: name of the job.
        retry_for_s: how long to wait for a server that is away.

    Raises:
        StoreUnavailableError: see `ProfileWriter.write`.
        StoreRefusedError: see `ProfileWriter.write`.
    """
    with Redis.from_url(url, socket_connect_timeout=CONNECT_TIMEOUT_S, socket_timeout=ANSWER_TIMEOUT_S) as redis:
        key, now_s = layout.incarnation_key(job), int(time.time())
        return Patience(url, retry_for_s).run(lambda: int(redis.eval(_INCARNATION_SCRIPT, 1, key, now_s)))


_INCARNATION_SCRIPT: Final = """
local next = math.max((tonumber(redis.call('GET', KEYS[1])) or 0) + 1, tonumber(ARGV[1]))
redis.call('SET', KEYS[1], string.format('%.0f', next))
return next
"""
