"""ClickHouse over HTTP: statements, reads, and inserts that may be repeated."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import numpy as np
import orjson
import urllib3

from config.platform import ClickHouse as Address
from pipelines.history import marks as history_marks
from pipelines.history.mend import mend
from pipelines.history.plan import Mark, Partition

CONNECT_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 300.0
_PASSING_CODES: Final = {
    "159": "TIMEOUT_EXCEEDED",
    "202": "TOO_MANY_SIMULTANEOUS_QUERIES",
    "209": "SOCKET_TIMEOUT",
    "210": "NETWORK_ERROR",
    "236": "ABORTED",
    "241": "MEMORY_LIMIT_EXCEEDED",
    "242": "TABLE_IS_READ_ONLY",
    "243": "NOT_ENOUGH_SPACE",
    "252": "TOO_MANY_PARTS",
    "319": "UNKNOWN_STATUS_OF_INSERT",
    "394": "QUERY_WAS_CANCELLED",
}
# An asynchronous insert would be acknowledged with rows of others and without our token; the next three settings make the base table *and*
# the roll-ups of its materialised views take a token once, and the answer wait for all of them.
_INSERT_SETTINGS: Final = {
    "async_insert": "0",
    "insert_deduplicate": "1",
    "deduplicate_blocks_in_dependent_materialized_views": "1",
    "wait_end_of_query": "1",
    "max_partitions_per_insert_block": "1000",
    "input_format_avro_allow_missing_fields": "1",
}
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "'": "\\'", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})
_log = logging.getLogger(__name__)


class ClickHouseError(Exception):
    """Root of the errors of this module."""


class ClickHouseAwayError(ClickHouseError):
    """The server does not answer, or answers that it cannot just now; trying again later makes sense."""


class ClickHouseRefusedError(ClickHouseError):
    """The server refuses the statement; trying again does not help."""


class ClickHouse:
    """A ClickHouse server's HTTP interface.

    Args:
        address: host, port and database.
        database: another database than the address names; empty for none.
        answer_timeout_s: how long one request may take.
    """

    def __init__(self, address: Address, database: str | None = None, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self.server = f"{address.host}:{address.http_port}"
        self.database = address.database if database is None else database
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=answer_timeout_s)
        who = {"X-ClickHouse-User": address.user, "X-ClickHouse-Key": address.password}
        self._pool = urllib3.HTTPConnectionPool(address.host, address.http_port, timeout=timeout, retries=False, maxsize=2, headers=who)

    def command(self, statement: str, settings: Mapping[str, str] | None = None) -> None:
        """Run a statement that returns nothing."""
        self._post({**(settings or {})}, statement.encode())

    def rows(
        self, query: str, parameters: Mapping[str, Any] | None = None, settings: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """Run a query.

        Args:
            query: without `FORMAT`; parameters stand in it as `{name:Type}`.
            parameters: their values: texts, numbers, lists of them.
            settings: of the server, for this query.

        Returns:
            One dict per row. Integers of 64 bits are ints, times are text.
        """
        answer = self._post(
            _parameters(parameters),
            f"{query} FORMAT JSONEachRow".encode(),
            {"output_format_json_quote_64bit_integers": "0", **(settings or {})},
        )
        return [orjson.loads(line) for line in answer.splitlines()]

    def fixed(self, query: str, dtype: np.dtype[Any], parameters: Mapping[str, Any] | None = None) -> np.ndarray[Any, Any]:
        """Run a query whose answer is large and has columns of fixed width only.

        Args:
            query: see `rows`.
            dtype: packed little-endian fields in the order of the columns, e.g. `[("partition", "<i4"), ("offset", "<i8")]`.
            parameters: see `rows`.
        """
        return np.frombuffer(self._post(_parameters(parameters), f"{query} FORMAT RowBinary".encode()), dtype)

    def insert_avro(self, table: str, data: bytes, token: str) -> None:
        """Insert an Avro container file; the same token is taken once.

        Raises:
            ClickHouseAwayError: unknown whether the rows are in: insert the same rows with the same token again.
            ClickHouseRefusedError: see there.
        """
        query = {"query": f"INSERT INTO {table} FORMAT Avro", "insert_deduplication_token": token}
        self._post({**query, **_INSERT_SETTINGS}, data)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _post(self, query: Mapping[str, str], body: bytes, settings: Mapping[str, str] | None = None) -> bytes:
        target = "/?" + urlencode(
            {"database": self.database, **query, **(settings or {})} if self.database else {**query, **(settings or {})}
        )
        try:
            answer = self._pool.request("POST", target, body=body)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClickHouseAwayError(f"ClickHouse at {self.server} does not answer ({type(error).__name__}); is it running?") from error
        if answer.status == 200:
            return answer.data
        code = answer.headers.get("X-ClickHouse-Exception-Code", "")
        said = answer.data[:500].decode(errors="replace").strip()
        if code in _PASSING_CODES or answer.status in (502, 503, 504):
            raise ClickHouseAwayError(f"ClickHouse at {self.server} cannot just now: {_PASSING_CODES.get(code, answer.status)}: {said}")
        raise ClickHouseRefusedError(f"ClickHouse at {self.server} refused (code {code or answer.status}): {said}")


def _parameters(values: Mapping[str, Any] | None) -> dict[str, str]:
    return {f"param_{name}": _literal(value) for name, value in (values or {}).items()}


def _literal(value: Any) -> str:
    """A parameter as the server reads it, text unharmed: a bare value in the escapes of TSV, entries of a list in those of SQL."""
    if isinstance(value, list | tuple):
        return "[" + ",".join(f"'{_escaped(entry)}'" if isinstance(entry, str) else str(entry) for entry in value) + "]"
    return _escaped(value) if isinstance(value, str) else str(value)


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)


class PatientInserts:
    """Inserts that wait for a server that is away, up to a bound.

    Args:
        server: where to.
        retry_for_s: how long one insert may fail before the error is raised.
        sleep: called between two attempts with seconds; returning true means: give up.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        server: ClickHouse,
        retry_for_s: float = 300,
        sleep: Callable[[float], bool | None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._retry_for_s = retry_for_s
        self._sleep = sleep
        self._clock = clock

    def insert(self, table: str, data: bytes, token: str, fence: Callable[[], None]) -> bool:
        """Insert a container file, once however often it is attempted.

        Args:
            table: where to.
            data: Avro container file.
            token: the insert's name.
            fence: called before each attempt; raises when the rows are no longer ours to insert.

        Returns:
            Whether the first attempt was answered. If not, the server may have been killed between noting the token and taking the rows
            in: `mend`.

        Raises:
            ClickHouseAwayError: still away after `retry_for_s`, or told to give up.
            ClickHouseRefusedError: trying again does not help.
        """
        return self._patiently(table, fence, lambda: self._server.insert_avro(table, data, token))

    def mend(self, table: str, messages: list[bytes], fence: Callable[[], None]) -> int:
        """Make sure that the rows of an insert in doubt are there, see `pipelines.history.mend`.

        Raises:
            ClickHouseAwayError: see `insert`.
            ClickHouseRefusedError: see `insert`.
        """
        found = 0

        def attempt() -> None:
            nonlocal found
            found += mend(self._server, table, messages, fence)

        self._patiently(table, fence, attempt)
        return found

    def keep(self, marks: Mapping[Partition, Mark], topic_ids: Mapping[str, str], fence: Callable[[], None]) -> None:
        """Write plans down beside the rows, see `pipelines.history.marks`.

        Raises:
            ClickHouseAwayError: see `insert`.
            ClickHouseRefusedError: see `insert`.
        """
        self._patiently(history_marks.TABLE, fence, lambda: history_marks.write(self._server, marks, topic_ids))

    def kept(self, topic_ids: Mapping[str, str]) -> dict[Partition, Mark]:
        """The plans that were written down last.

        Raises:
            ClickHouseAwayError: see `insert`.
            ClickHouseRefusedError: see `insert`.
        """
        found: dict[Partition, Mark] = {}
        self._patiently(history_marks.TABLE, lambda: None, lambda: found.update(history_marks.read(self._server, topic_ids)))
        return found

    def _patiently(self, table: str, fence: Callable[[], None], attempt: Callable[[], None]) -> bool:
        """Attempt until the server answers; whether it did at once."""
        since: float | None = None
        pause_s = 0.1
        while True:
            fence()
            try:
                attempt()
            except ClickHouseAwayError as error:
                now = self._clock()
                since = now if since is None else since
                if now - since + pause_s > self._retry_for_s:
                    raise
                _log.warning("insert into %s: %s; trying again", table, error)
                if self._sleep(pause_s):
                    raise
                pause_s = min(5.0, pause_s * 2)
            else:
                return since is None


def wait_until_up(server: ClickHouse, wait_s: float, sleep: Callable[[float], bool | None] = time.sleep) -> None:
    """Wait for a server to answer.

    Raises:
        ClickHouseAwayError: it did not within `wait_s`, or told to give up.
    """
    until = time.monotonic() + wait_s
    while True:
        try:
            server.command("SELECT 1")
            return
        except ClickHouseAwayError:
            if time.monotonic() > until or sleep(0.5):
                raise
