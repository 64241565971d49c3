"""ClickHouse: the server inside the npm package's library, see `stack.clickhouse_server`."""

import hashlib
import sys
from pathlib import Path

import urllib3

from config import loader, passwords
from stack import parts
from stack.errors import StackError
from stack.service import Service, render
from stack.settings import CLICKHOUSE_USER, Settings


def service(settings: Settings) -> Service:
    """How to run it."""
    folder = settings.data / "clickhouse"
    ports = settings.ports
    command = [sys.executable, "-m", "stack.clickhouse_server", str(parts.clickhouse_library(settings)), str(folder)]
    command += [str(ports.clickhouse_tcp), str(ports.clickhouse_http)]
    command.append(f"--config-file={_configuration(settings)}")
    command += [f"--{key}={value}" for key, value in settings.stack.clickhouse.options.items()]
    return Service(
        name="clickhouse",
        command=command,
        ports=["clickhouse_tcp", "clickhouse_http"],
        prepare=lambda: _prepare(settings, folder),
        probe=lambda: query(settings, "SELECT 1").strip() == "1",
        when_ready=lambda: create_database(settings),
        stop_within_s=20.0,
    )


# The session that starts the listeners is the user `default`, without a password, and cannot be told otherwise. It comes from the same
# address as everybody, so the user may start listeners, twice in sixty years, and nothing else.
_USERS = """<clickhouse>
 <profiles><default/><start><max_execution_time>10</max_execution_time></start></profiles>
 <quotas><default/><start><interval><duration>2000000000</duration><queries>2</queries></interval></start></quotas>
 <users>
  <default>
   <no_password/><networks><ip>127.0.0.1</ip></networks><profile>start</profile><quota>start</quota>
   <grants><query>GRANT SYSTEM LISTEN ON *.*</query></grants>
  </default>
  <{user}>
   <password_sha256_hex>{hash}</password_sha256_hex><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
  </{user}>
 </users>
</clickhouse>
"""


def _configuration(settings: Settings) -> Path:
    return settings.run / "clickhouse" / "config.xml"


def _prepare(settings: Settings, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    users = _configuration(settings).with_name("users.xml")
    hashed = hashlib.sha256(passwords.read("clickhouse").encode()).hexdigest()
    render(users, _USERS.format(user=CLICKHOUSE_USER, hash=hashed), private=True)
    # No answer to a browser's question whether another origin's page may send requests.
    options = "<http_options_response></http_options_response>"
    render(_configuration(settings), f"<clickhouse><users_config>{users}</users_config>{options}</clickhouse>\n")


def query(settings: Settings, sql: str) -> str:
    """Run one statement over HTTP.

    Raises:
        StackError: ClickHouse refused it; holds its words.
    """
    address = f"http://{settings.hosts.clickhouse}:{settings.ports.clickhouse_http}/"
    who = {"X-ClickHouse-User": CLICKHOUSE_USER, "X-ClickHouse-Key": passwords.read("clickhouse")}
    answer = urllib3.request("POST", address, body=sql.encode(), headers=who, timeout=2.0, retries=False)
    if answer.status != 200:
        raise StackError(f"ClickHouse: {answer.data.decode(errors='replace').strip()}")
    return answer.data.decode()


def create_database(settings: Settings) -> None:
    """Create the platform's database if it is not there."""
    query(settings, f"CREATE DATABASE IF NOT EXISTS `{loader.platform().clickhouse.database}`")
