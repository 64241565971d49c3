"""Attack the collector from a second loopback address while honest clients write: `make soak`, `python -m bench.soak --seconds 600`.

From 127.0.0.2, without a key: connections that send their headers or their body a few bytes at a time, connections that say nothing,
headers without end, and bodies of 50 MB, announced and chunked. From 127.0.0.1: four honest clients, 80 requests a second. Passes (exit
code 0) when the collector's memory grew by less than 64 MB and less than one honest request in a thousand failed.
"""

import argparse
import asyncio
import base64
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import psutil

from bench import cpu, home
from bench.collector import collector
from bench.collector_load import HOST, WRITE_KEY
from stack import control

ATTACKER: Final = "127.0.0.2"
HONEST_CLIENTS: Final = 4
HONEST_PER_S: Final = 20.0
HONEST_WITHIN_S: Final = 30.0
SLOW_HEADERS: Final = 300
SLOW_BODIES: Final = 100
SILENT: Final = 100
HUGE: Final = 4
HUGE_BYTES: Final = 50_000_000
PIECE: Final = b"x" * 65_536
MEMORY_MB: Final = 64.0
FAILED_SHARE: Final = 0.001
WARM_UP_S: Final = 3.0
SAMPLE_S: Final = 0.2
_KEYLESS: Final = b"POST /v1/batch HTTP/1.1\r\nHost: collector\r\n"


class Soaked(msgspec.Struct):
    """What an attack cost.

    Attributes:
        honest: requests of honest clients.
        failed: of these, how many were not answered 200.
        attacks: connections that the attacker opened.
        before_mb: memory of the collector before the attack.
        peak_mb: most memory during it.
    """

    honest: int = 0
    failed: int = 0
    attacks: int = 0
    before_mb: float = 0.0
    peak_mb: float = 0.0

    @property
    def grown_mb(self) -> float:
        """How much the collector grew."""
        return self.peak_mb - self.before_mb

    @property
    def is_passed(self) -> bool:
        """Whether both bounds held."""
        return self.honest > 0 and self.grown_mb < MEMORY_MB and self.failed < max(1.0, FAILED_SHARE * self.honest)


async def soak(port: int, pid: int, key: str, seconds: float) -> Soaked:
    """Attack a running collector.

    Args:
        port: of it, on loopback.
        pid: of it; its children count too.
        key: write key of honest clients.
        seconds: how long.
    """
    found = Soaked()
    honest = [asyncio.create_task(_honest(port, key, found)) for _ in range(HONEST_CLIENTS)]
    await asyncio.sleep(WARM_UP_S)
    found.before_mb = found.peak_mb = _memory_mb(pid)
    crowd: list[tuple[int, Callable[[int], Awaitable[None]]]] = [
        (SLOW_HEADERS, _slow_headers),
        (SLOW_BODIES, _slow_body),
        (SILENT, _silent),
        (HUGE, _huge_announced),
        (HUGE, _huge_chunked),
        (1, _huge_headers),
    ]
    attack = [asyncio.create_task(_again(one, port, found)) for count, one in crowd for _ in range(count)]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await asyncio.sleep(SAMPLE_S)
        found.peak_mb = max(found.peak_mb, _memory_mb(pid))
    for task in (*attack, *honest):
        task.cancel()
    await asyncio.gather(*attack, *honest, return_exceptions=True)
    return found


def _memory_mb(pid: int) -> float:
    parent, children = cpu.family(pid)
    total = 0
    for one in (parent, *children):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += psutil.Process(one).memory_info().rss
    return total / 2**20


async def _honest(port: int, key: str, found: Soaked) -> None:
    """Requests at fixed moments over one connection; a broken one is opened again and counts as failed."""
    shown = base64.b64encode(f"{key}:".encode()).decode()
    body = b'{"event": "Signed In", "userId": "soak"}'
    head = f"POST /v1/track HTTP/1.1\r\nHost: collector\r\nAuthorization: Basic {shown}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(HONEST_WITHIN_S):
                if reader is None or writer is None:
                    reader, writer = await asyncio.open_connection(HOST, port)
                writer.write(head + body)
                answer = await reader.readuntil(b"\r\n\r\n")
                length = next(int(line[15:]) for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(length)
            is_taken = answer.startswith(b"HTTP/1.1 200")
        except (OSError, EOFError, TimeoutError, StopIteration):
            is_taken, reader = False, None
        found.honest += 1
        found.failed += not is_taken
        await asyncio.sleep(max(0.0, 1 / HONEST_PER_S - (time.monotonic() - began)))


async def _again(one: Callable[[int], Awaitable[None]], port: int, found: Soaked) -> None:
    """Attack until cancelled; who is thrown out comes back."""
    while True:
        found.attacks += 1
        with contextlib.suppress(OSError, EOFError):
            await one(port)
        await asyncio.sleep(0.5)


@contextlib.asynccontextmanager
async def _connection(port: int):  # type: ignore[no-untyped-def]
    reader, writer = await asyncio.open_connection(HOST, port, local_addr=(ATTACKER, 0))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _drip(writer: asyncio.StreamWriter, piece: bytes) -> None:
    while not writer.transport.is_closing():
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(1.0)


async def _slow_headers(port: int) -> None:
    async with _connection(port) as (_, writer):
        writer.write(_KEYLESS)
        await _drip(writer, b"X-Slow: 1\r\n")


async def _slow_body(port: int) -> None:
    async with _connection(port) as (_, writer):
        writer.write(_KEYLESS + b"Content-Length: 400000\r\n\r\n" + PIECE * 5)
        await _drip(writer, b"x")


async def _silent(port: int) -> None:
    async with _connection(port) as (reader, _):
        await reader.read()


async def _huge_announced(port: int) -> None:
    await _huge(port, f"Content-Length: {HUGE_BYTES}\r\n\r\n".encode(), PIECE)


async def _huge_chunked(port: int) -> None:
    await _huge(port, b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%s\r\n" % (len(PIECE), PIECE))


async def _huge_headers(port: int) -> None:
    await _huge(port, b"X-Huge: ", PIECE)


async def _huge(port: int, head: bytes, piece: bytes) -> None:
    async with _connection(port) as (_, writer):
        writer.write(_KEYLESS + head)
        for _ in range(HUGE_BYTES // len(piece)):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)


def main() -> int:
    """Entry point."""
    words = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--seconds", type=float, default=600.0, help="of the attack")
    words.add_argument("--workers", type=int, default=1, help="processes of the collector")
    said = words.parse_args()
    with home.stack(keep=False) as settings:
        home.start_kafka(settings, control.ignore)
        with collector(settings, said.workers) as (pid, port):
            found = asyncio.run(soak(port, pid, WRITE_KEY, said.seconds))
    print(f"honest requests {found.honest:,}, failed {found.failed:,} ({found.failed / max(1, found.honest):.3%}, less than 0.1 % wanted)")
    print(f"attacking connections {found.attacks:,}")
    grown = f"{found.before_mb:.0f} MB before, {found.peak_mb:.0f} at most: {found.grown_mb:+.1f} MB"
    print(f"memory {grown} (less than {MEMORY_MB:.0f} wanted)")
    print("passed" if found.is_passed else "failed")
    return 0 if found.is_passed else 1


if __name__ == "__main__":
    sys.exit(main())
