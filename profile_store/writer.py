"""Guarded writes of profiles into Redis: whatever is replayed, overtaken or written by a zombie, the newest version stays."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from redis import Redis
from redis.exceptions import NoScriptError

from profile_store import layout
from profile_store.connection import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S, Patience, checked, fullness
from profile_store.journal import JOURNAL_SCRIPT, Journal
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
        retry_for_s: how long one batch waits for a server that is away, loading, full or read-only.
        journal: kept in the store along with what is written, so that lost writes are noticed; None for none.
        sleep: waits.
    """

    def __init__(
        self, url: str, retry_for_s: float = 300, journal: Journal | None = None, sleep: Callable[[float], Any] = time.sleep
    ) -> None:
        self._redis: Redis = Redis.from_url(url, socket_connect_timeout=CONNECT_TIMEOUT_S, socket_timeout=ANSWER_TIMEOUT_S)
        self._patience = Patience(url, retry_for_s, sleep=sleep)
        self._journal = journal
        self._scripts_loaded = False

    def write(self, patches: Sequence[Patch], repair: bool = False) -> WriteResult:
        """Write a batch; when this returns, every profile in it holds its version or a newer one.

        Args:
            patches: in the order the versions were made; several of one profile become one write.
            repair: write whole profiles, also over the same version.

        Raises:
            StoreUnavailableError: the server was away for longer than `retry_for_s`.
            StoreRefusedError: the server answered with an error that waiting does not cure.
            StoreChangedError: the store is not the one that was written to before; `load` says what it holds.
            msgspec.DecodeError: the features or the personal traits of a patch are not a JSON object.
        """
        newest = coalesce(patches)
        if not newest:
            return WriteResult(0, 0, 0)
        commands = [_profile_command(patch, _REPAIR if repair else patch.base_version) for patch in newest]
        commands += [command for patch in newest if repair or patch.whole for command in _node_commands(patch)]
        replies = self._send(commands)[: len(newest)]
        incomplete = [patch for patch, reply in zip(newest, replies, strict=True) if reply == _NEEDS_WHOLE]
        healed = self._heal(incomplete) if incomplete else 0
        written = replies.count(_WRITTEN) + healed
        return WriteResult(written, len(newest) - written, healed)

    def load(self, partitions: Sequence[int]) -> None:
        """Ask the store what it holds of partitions; from now on the journal is about these. Errors as for `write`."""
        if self._journal is not None and partitions:
            redis: Any = self._redis
            command = self._journal.question(partitions)
            self._journal.answer(partitions, self._patience.run(lambda: redis.execute_command(*command)))

    def note(self) -> None:
        """Write the journal alone. Errors as for `write`."""
        self._send([])

    def warning(self) -> str:
        """See `connection.fullness`. Errors as for `write`."""
        redis: Any = self._redis
        return fullness(self._patience.run(lambda: redis.info("memory")))

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _heal(self, patches: list[Patch]) -> int:
        """Write profiles as a whole because the store lacks what the change builds on; it may lack the identifiers too."""
        commands = [_profile_command(patch, 0) for patch in patches]
        commands += [command for patch in patches for command in _node_commands(patch)]
        return self._send(commands)[: len(patches)].count(_WRITTEN)

    def _send(self, commands: list[Command]) -> list[Any]:
        entry = self._journal.entry() if self._journal is not None else None
        if entry is None:
            return self._patience.run(lambda: self._attempt(commands)) if commands else []
        replies = self._patience.run(lambda: self._attempt([*commands, entry.command]))
        entry.confirm(replies.pop())
        return replies

    def _attempt(self, commands: list[Command]) -> list[Any]:
        if not self._scripts_loaded:
            self._redis.script_load(_PROFILE_SCRIPT)
            self._redis.script_load(_NODE_SCRIPT)
            self._redis.script_load(JOURNAL_SCRIPT)
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
    """The script call for one patch; whole when asked to (`base` <= 0), merged away, or a field was removed.

    It names the key of the personal traits only where they are to be replaced: most changes are partial and do not concern them.
    """
    version = layout.version(patch.incarnation, patch.version)
    fields: list[str | bytes] = [layout.VERSION, version, layout.AT, str(patch.at)]
    if patch.merged_into:
        fields += (layout.MERGED_INTO, layout.encode_value(patch.merged_into))
        base = min(base, 0)
    else:
        values = _FIELDS.decode(patch.features)
        if base > 0 and not all(name in values for name in patch.changed):
            base = 0
        for name in patch.changed if base > 0 else values:
            fields += (name, bytes(values[name]))
    key, guard = layout.profile_key(patch.tenant, patch.profile_id), (patch.incarnation, patch.version, base)
    if not patch.replaces_pii(base):
        return ("EVALSHA", _PROFILE_SHA, 1, key, *guard, *fields)
    # A profile that was merged away keeps nothing: its personal traits are those of the one that took it over.
    personal = {} if patch.merged_into else _FIELDS.decode(patch.pii)
    words: list[str | bytes] = []
    for name, value in personal.items():
        words += (name, bytes(value))
    return ("EVALSHA", _PROFILE_SHA, 2, key, layout.pii_key(patch.tenant, patch.profile_id), *guard, len(words), *words, *fields)


def _node_commands(patch: Patch) -> Iterator[Command]:
    for namespace, value, epoch in patch.nodes:
        yield ("EVALSHA", _NODE_SHA, 1, layout.node_key(patch.tenant, namespace, value), epoch, patch.profile_id)
