"""Strangers without a key take neither the collector's memory nor its time from honest clients (`make soak` is the long version)."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bench.soak import Soaked, soak
from tests.collectors import Running, running
from tests.stacks import Stack, config_copy, eventually

LIMITS = {"header_s": 2, "body_s": 2, "connections_per_address": 40, "header_bytes": 8192, "rest_bytes": 200_000}


@pytest.fixture(scope="module")
def collector(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("collector") / "attacked") as found:
        yield found


@pytest.fixture(scope="module")
def strict(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("collector") / "strict", limits=LIMITS) as found:
        yield found


def port_of(collector: Running) -> int:
    return int(collector.url.rpartition(":")[2])


def connected(collector: Running, sent: bytes = b"") -> socket.socket:
    """A connection from the second address."""
    made = socket.create_connection(("127.0.0.1", port_of(collector)), timeout=20, source_address=("127.0.0.2", 0))
    made.sendall(sent)
    return made


def until_end(connection: socket.socket) -> bytes:
    """What is answered until the collector ends the connection."""
    found = b""
    with contextlib.suppress(ConnectionError), connection:
        while part := connection.recv(65_536):
            found += part
    return found


def ended(collector: Running, reason: str) -> float:
    return collector.metric(f'cdp_collector_refused_connections_total{{reason="{reason}"}}')


def test_an_attack_from_a_second_address_costs_little_memory_and_no_honest_request(collector: Running) -> None:
    found: Soaked = asyncio.run(soak(port_of(collector), collector.process.pid, "server-key", 15.0))
    assert found.attacks > 500
    assert found.failed == 0
    assert found.honest > 0
    assert found.grown_mb < 64, f"{found.before_mb:.0f} -> {found.peak_mb:.0f} MB"
    assert ended(collector, "connections") > 0


@pytest.mark.parametrize(
    "sent", [b"", b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"POST /v1/batch HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"]
)
def test_who_does_not_finish_is_ended_and_counted(sent: bytes, strict: Running) -> None:
    before = ended(strict, "slow") + strict.metric('cdp_collector_requests_total{source="",call="batch",code="408"}')
    until_end(connected(strict, sent))
    after = ended(strict, "slow") + strict.metric('cdp_collector_requests_total{source="",call="batch",code="408"}')
    assert after > before


@pytest.mark.parametrize("size", [9000, 9_000_000])
def test_headers_have_a_bound(size: int, strict: Running) -> None:
    before = ended(strict, "headers")
    connection = connected(strict)
    with contextlib.suppress(ConnectionError):
        connection.sendall(b"POST /v1/batch HTTP/1.1\r\nX-Huge: " + b"x" * size)
    assert until_end(connection)[:12] in (b"", b"HTTP/1.1 431")
    assert ended(strict, "headers") == before + 1


def test_a_body_that_goes_on_behind_its_answer_is_cut(strict: Running) -> None:
    before = ended(strict, "rest")
    connection = connected(strict, b"POST /v1/batch HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n")
    assert connection.recv(65_536).startswith(b"HTTP/1.1 413")
    with contextlib.suppress(ConnectionError):
        for _ in range(100):
            connection.sendall(b"x" * 65_536)
    until_end(connection)
    eventually(lambda: ended(strict, "rest") == before + 1, "the connection was cut")


def test_one_address_has_its_share_of_connections_and_others_have_theirs(strict: Running) -> None:
    before = ended(strict, "connections")
    held = [connected(strict) for _ in range(60)]
    eventually(lambda: ended(strict, "connections") >= before + 20, "what is too many was ended")
    assert strict.post("/v1/track", {"event": "Signed In", "userId": "u", "messageId": "honest"}, key="server-key").status == 200
    for one in held:
        one.close()
    eventually(lambda: "limit connections: source (unknown)" in strict.log.read_text(), "the limit is told, at most a second later")
    assert "127.0.0.2" not in strict.log.read_text()


def test_by_default_the_collector_listens_on_loopback_alone(tmp_path: Path) -> None:
    written = yaml.safe_load((config_copy(tmp_path / "config") / "platform.yaml").read_text())
    assert "//127.0.0.1:" in written["collector"]["url"]
