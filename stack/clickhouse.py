"""ClickHouse: the server inside the npm package's library, see `stack.clickhouse_server`."""

import sys

import urllib3

from config import loader
from stack import parts
from stack.errors import StackError
from stack.service import Service
from stack.settings import Settings


def service(settings: Settings) -> Service:
    """How to run it."""
    folder = settings.data / "clickhouse"
    ports = settings.ports
    command = [sys.executable, "-m", "stack.clickhouse_server", str(parts.clickhouse_library(settings)), str(folder)]
    command += [str(ports.clickhouse_tcp), str(ports.clickhouse_http)]
    command += [f"--{key}={value}" for key, value in settings.stack.clickhouse.options.items()]
    return Service(
        name="clickhouse",
        command=command,
        ports=["clickhouse_tcp", "clickhouse_http"],
        prepare=lambda: folder.mkdir(parents=True, exist_ok=True),
        probe=lambda: query(settings, "SELECT 1").strip() == "1",
        when_ready=lambda: create_database(settings),
        stop_within_s=20.0,
    )


def query(settings: Settings, sql: str) -> str:
    """Run one statement over HTTP.

    Raises:
        StackError: ClickHouse refused it; holds its words.
    """
    address = f"http://{settings.hosts.clickhouse}:{settings.ports.clickhouse_http}/"
    answer = urllib3.request("POST", address, body=sql.encode(), timeout=2.0, retries=False)
    if answer.status != 200:
        raise StackError(f"ClickHouse: {answer.data.decode(errors='replace').strip()}")
    return answer.data.decode()


def create_database(settings: Settings) -> None:
    """Create the platform's database if it is not there."""
    query(settings, f"CREATE DATABASE IF NOT EXISTS `{loader.platform().clickhouse.database}`")
