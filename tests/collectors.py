"""A collector of a test's own: `python -m api.collector` against a stack, with sources of the test's."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import urllib3
import yaml
from confluent_kafka import Message
from urllib3 import BaseHTTPResponse

from pipelines.wire import Event, Rejected
from stack.settings import PROJECT
from tests.decoders import configured_decoder
from tests.stacks import config_copy, eventually, free_ports, read_all

TOPIC = "cdp.raw.clickstream"
SOURCES: dict[str, dict[str, Any]] = {
    "page": {"write_key": "page-key", "origins": ["https://shop.example"], "enrich": {"ip": True, "user_agent": True}},
    "server": {"write_key": "server-key"},
    "limited": {"write_key": "limited-key", "rate": {"events_per_s": 5, "burst": 20}},
}


class Running:
    """A collector that serves.

    Attributes:
        url: its address.
        process: it; `pid` is the parent where there are several workers.
        log: what it wrote.
    """

    def __init__(self, url: str, process: "subprocess.Popen[bytes]", log: Path, ca: str = "") -> None:
        self.url, self.process, self.log = url, process, log
        self._pool = urllib3.PoolManager(maxsize=32, retries=False, timeout=30.0, ca_certs=ca or None)

    def post(self, path: str, body: object = None, key: str = "page-key", **headers: str) -> BaseHTTPResponse:
        """POST; bytes as they are, everything else as JSON. Shows the write key by HTTP Basic, unless it is empty."""
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        shown = urllib3.make_headers(basic_auth=f"{key}:") if key else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._pool.request("POST", self.url + path, body=data, headers=shown | named)

    def ask(self, method: str, path: str, **headers: str) -> BaseHTTPResponse:
        """Any other request."""
        return self._pool.request(method, self.url + path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def metric(self, line: str) -> float:
        """Value of a metric, `name{label="value",...}` as it stands in the text; 0 when it is not there."""
        text = self.ask("GET", "/metrics").data.decode()
        return sum(float(found.rpartition(" ")[2]) for found in text.splitlines() if found.startswith(line + " "))

    def end(self, number: signal.Signals = signal.SIGTERM, patience_s: float = 40.0) -> int:
        """Signal it and wait for its end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(patience_s)


@contextlib.contextmanager
def running(
    folder: Path,
    *arguments: str,
    sources: Mapping[str, Mapping[str, Any]] | None = None,
    limits: Mapping[str, float] | None = None,
    ca: str = "",
    command: Sequence[str] = ("-m", "api.collector"),
) -> Iterator[Running]:
    """Start a collector against the stack this process is pointed at, and end it.

    Args:
        folder: for its configuration and log; made.
        arguments: of its command line, beyond the port.
        sources: its sources of kind http; by default `SOURCES`.
        limits: other bounds on strangers than those of platform.yaml.
        ca: certificate to trust; then it is asked by HTTPS.
        command: what Python runs.
    """
    config = config_copy(folder / "config")
    given = sources or SOURCES
    filled = {name: {"kind": "http", "tenant": "demo", "topic": TOPIC} | source for name, source in given.items()}
    (config / "sources.yaml").write_text(yaml.safe_dump(filled))
    if limits:
        platform = yaml.safe_load((config / "platform.yaml").read_text())
        platform["collector"]["limits"] |= limits
        (config / "platform.yaml").write_text(yaml.safe_dump(platform))
    port, log = free_ports(1), folder / "collector.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command, "--port", str(port), *arguments],
            cwd=PROJECT,
            env=os.environ | {"CDP_CONFIG_DIR": str(config)},
            stdout=output,
            stderr=output,
        )
    made = Running(f"{'https' if ca else 'http'}://127.0.0.1:{port}", process, log, ca)
    try:
        eventually(lambda: made.ask("GET", "/health").status == 200, f"the collector serves; it said: {log.read_text()[-500:]}", 30.0)
        yield made
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30.0)
            except subprocess.TimeoutExpired:
                process.kill()


def ends(topic: str = TOPIC) -> dict[int | None, int]:
    """Where each partition of a topic ends by now: the offset of its next committed record, by partition."""
    found: dict[int | None, int] = {}
    for message in read_all(topic):
        found[message.partition()] = max(found.get(message.partition(), 0), (message.offset() or 0) + 1)
    return found


def records(topic: str = TOPIC, beginning: str = "", since: Mapping[int | None, int] | None = None) -> dict[str, Message]:
    """Records of a topic by their message id; those without one are left out. A repeated id fails.

    Args:
        topic: which.
        beginning: of the ids that are of interest; others may be there twice (a bridge that was killed writes again).
        since: where to begin, see `ends`; without it at the topic's beginning.
    """
    found: dict[str, Message] = {}
    for message in read_all(topic):
        if since and (message.offset() or 0) < since.get(message.partition(), 0):
            continue
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            name = msgspec.json.decode(message.value() or b"")["messageId"]
            if name.startswith(beginning):
                assert name not in found, f"{name} is in {topic} twice"
                found[name] = message
    return found


def value(message: Message) -> dict[str, Any]:
    """A record's value."""
    found: dict[str, Any] = msgspec.json.decode(message.value() or b"")
    return found


def decoded(message: Message) -> Event | Rejected | None:
    """What the pipeline makes of a raw record."""
    place = (message.topic() or "", message.partition() or 0, message.offset() or 0)
    return configured_decoder().decode(message.value(), *place, message.timestamp()[1])
