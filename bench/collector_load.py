"""Load for the collector, in a process of its own: `python -m bench.collector_load WHAT PORT SECONDS [RATE]`; prints a JSON `Load`.

`batches`: eight connections, each sends its next batch of 100 events when the last one is answered. `singles`: `RATE` single `track`
calls a second at fixed moments, whatever became of the ones before; latency counts from the moment a call was due: a stall shows in full.
"""

import asyncio
import base64
import sys
import time

import msgspec

BATCH = 100
BODIES = 64
CONNECTIONS = {"batches": 8, "singles": 64}
HOST = "127.0.0.1"
WRITE_KEY = "bench"


class Load(msgspec.Struct):
    """What came of it: milliseconds of each answered request, and how many were answered otherwise than with 200."""

    requests: int
    events: int
    seconds: float
    failed: int
    body_bytes: int
    latency_ms: list[float]


def event(index: int) -> dict[str, object]:
    """A browser's event of some 900 bytes."""
    page = {
        "path": f"/p/{index}",
        "referrer": "",
        "search": "",
        "title": f"White hanging heart {index}",
        "url": f"http://shop.example/p/{index}",
    }
    product = {
        "product_id": f"p{index % 997}",
        "name": f"WHITE HANGING HEART {index}",
        "price": 2.55,
        "quantity": 1,
        "category": "Home/Lights",
    }
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
    library = {"name": "analytics.js", "version": "npm:next-1.84.3"}
    return {
        "type": "track",
        "event": "Product Viewed",
        "messageId": f"ajs-next-1722860000000-0b5c2d3e-4f5a-4b6c-8d7e-{index:012x}",
        "anonymousId": f"3f0a1c9e-8b7d-4e6f-a5c4-{index % 9973:012x}",
        "userId": f"user-{index % 9973}",
        "timestamp": "2026-11-23T15:00:00.000Z",
        "properties": product | {"currency": "GBP", "url": page["url"]},
        "context": {"page": page, "userAgent": agent, "locale": "en-US", "timezone": "Europe/London", "library": library, "campaign": {}},
        "integrations": {},
        "_metadata": {"bundled": ["Segment.io"], "unbundled": [], "bundledIds": []},
    }


def request(path: str, body: bytes) -> bytes:
    """An HTTP/1.1 request on a connection that stays open."""
    key = base64.b64encode(f"{WRITE_KEY}:".encode()).decode()
    head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Basic {key}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def requests(what: str) -> list[bytes]:
    """Requests to be sent over and over."""
    if what == "singles":
        return [request("/v1/track", msgspec.json.encode(event(index))) for index in range(BODIES * BATCH)]
    bodies = [
        {"batch": [event(first * BATCH + index) for index in range(BATCH)], "sentAt": "2026-11-23T15:00:01.000Z"} for first in range(BODIES)
    ]
    return [request("/v1/batch", msgspec.json.encode(body)) for body in bodies]


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bool:
    """Send a request and read its answer; whether that was 200."""
    writer.write(data)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return head.startswith(b"HTTP/1.1 200")


async def batches(port: int, seconds: float) -> Load:
    """As many batches as the collector takes."""
    ready = requests("batches")
    load = Load(0, 0, 0.0, 0, 0, [])
    began = time.perf_counter()

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        turn = number
        while (now := time.perf_counter()) < began + seconds:
            data = ready[turn % len(ready)]
            _count(load, await exchange(reader, writer, data), BATCH, len(data), now)
            turn += CONNECTIONS["batches"]
        writer.close()

    await asyncio.gather(*(client(number) for number in range(CONNECTIONS["batches"])))
    load.seconds = time.perf_counter() - began
    return load


async def singles(port: int, seconds: float, rate: float) -> Load:
    """So many single events a second."""
    ready = requests("singles")
    load = Load(0, 0, 0.0, 0, 0, [])
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS["singles"]):
        free.put_nowait(await asyncio.open_connection(HOST, port))

    async def call(data: bytes, due: float) -> None:
        connection = await free.get()
        _count(load, await exchange(*connection, data), 1, len(data), due)
        free.put_nowait(connection)

    began = time.perf_counter()
    under_way = []
    for turn in range(int(rate * seconds)):
        due = began + turn / rate
        if (ahead := due - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        under_way.append(asyncio.create_task(call(ready[turn % len(ready)], due)))
    await asyncio.gather(*under_way)
    load.seconds = time.perf_counter() - began
    return load


def _count(load: Load, ok: bool, events: int, size: int, since: float) -> None:
    load.requests += 1
    load.events += events if ok else 0
    load.failed += not ok
    load.body_bytes += size
    load.latency_ms.append((time.perf_counter() - since) * 1000)


def main() -> None:
    """Entry point."""
    import uvloop

    what, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    load = batches(port, seconds) if what == "batches" else singles(port, seconds, float(sys.argv[4]))
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(load)))


if __name__ == "__main__":
    main()
