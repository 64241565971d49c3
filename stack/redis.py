"""Redis (or Valkey) with an append-only file and a password; `stack.redis_binary` says which program that is."""

import contextlib
import socket
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from config import passwords
from profile_store.connection import fullness
from stack import redis_binary
from stack.service import Service, render
from stack.settings import HOST, Settings


def service(settings: Settings) -> Service:
    """How to run it."""
    folder = settings.data / "redis"
    options = {
        "bind": HOST,
        "port": str(settings.ports.redis),
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": settings.stack.redis.appendfsync,
        # Full, it refuses writes and loses nothing: job `serve` waits.
        "maxmemory": f"{settings.stack.redis.maxmemory_mb}mb",
        "maxmemory-policy": "noeviction",
        "save": "",
        "daemonize": "no",
        "protected-mode": "yes",
        "set-proc-title": "no",  # the title would overwrite the environment, which says whose process this is
    }
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    return Service(
        name="redis",
        command=[str(redis_binary.find(settings).path), str(_secrets(settings)), *words],
        ports=["redis"],
        prepare=lambda: _prepare(settings, folder),
        probe=lambda: _serves(settings),
    )


def warnings(settings: Settings) -> str:
    """What is wrong with the server that runs, or soon will be; empty for nothing."""
    address = f"redis://{HOST}:{settings.ports.redis}"
    return "; ".join(filter(None, [redis_binary.find(settings).warning, pressure(address)]))


def pressure(address: str) -> str:
    """Whether a server is almost full, in words; empty when it has room, or does not answer."""
    with contextlib.suppress(RedisError), Redis.from_url(address, socket_timeout=2.0, password=passwords.read("redis")) as client:
        memory: Any = client.info("memory")
        return fullness(memory)
    return ""


def _secrets(settings: Settings) -> Path:
    return settings.run / "redis" / "redis.conf"


def _prepare(settings: Settings, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    render(_secrets(settings), f"requirepass {passwords.read('redis')}\n", private=True)


def _serves(settings: Settings) -> bool:
    with socket.create_connection((HOST, settings.ports.redis), timeout=2.0) as connection:
        connection.sendall(f"AUTH {passwords.read('redis')}\r\nPING\r\n".encode())
        said = b""
        while said.count(b"\r\n") < 2 and (more := connection.recv(256)):
            said += more
        return said.startswith(b"+OK\r\n+PONG")  # `-LOADING ...` while it reads its file
