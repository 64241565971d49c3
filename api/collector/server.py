"""Run the collector: the web server, its workers, TLS, and an orderly end."""

import ctypes
import functools
import logging
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uvicorn
import uvloop
from starlette.applications import Starlette
from uvicorn.supervisors import Multiprocess

from api.collector.front import Guard, GuardedProtocol
from config import loader
from config.sources import Source
from operations.process import LOG_FORMAT

LOG = logging.getLogger("collector")
IDLE_S = 75  # longer than the keep-alive of usual load balancers, so that it is they who hang up
END_WITHIN_S = 20
TLS_FAREWELL_S = 1.0
SPARE_FILES = 256
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says.

    Attributes:
        host: address to listen on.
        port: of it.
        workers: processes; each takes its share of the connections.
        tls_cert: certificate chain, PEM; empty for plain HTTP.
        tls_key: its private key, PEM.
        proxies: addresses (separated by commas, or `*`) whose X-Forwarded-For and X-Forwarded-Proto are believed; empty for none.
    """

    host: str
    port: int
    workers: int = 1
    tls_cert: str = ""
    tls_key: str = ""
    proxies: str = ""


class OptionsError(ValueError):
    """The command line asks for what cannot be."""


class Loop(uvloop.Loop):
    """An event loop that does not wait for half a minute until an idle client says goodbye in TLS: an orderly end would take as long."""

    async def create_server(self, *args: Any, **more: Any) -> Any:
        """As uvloop has it."""
        if more.get("ssl"):
            more["ssl_shutdown_timeout"] = TLS_FAREWELL_S
        return await super().create_server(*args, **more)


def default_address() -> tuple[str, int]:
    """Host and port of `platform.yaml`."""
    parts = urlsplit(loader.platform().collector.url)
    return parts.hostname or "127.0.0.1", parts.port or 80


def run(options: Options) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code.

    On a signal no new connection is taken, requests under way are finished, and Kafka gets the time to acknowledge them.

    Raises:
        config.loader.ConfigError: the configuration is wrong.
        OptionsError: the options are wrong.
    """
    sources = loader.sources()
    _check(options, sources)
    with tempfile.TemporaryDirectory(prefix="cdp-collector-") as folder:
        if options.workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # read by prometheus_client in the workers
        config = uvicorn.Config(
            functools.partial(create, sources, folder, options.proxies),
            factory=True,
            host=options.host,
            port=options.port,
            workers=options.workers,
            ssl_certfile=options.tls_cert or None,
            ssl_keyfile=options.tls_key or None,
            loop="api.collector.server:Loop",
            http=GuardedProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(options.proxies),
            forwarded_allow_ips=options.proxies or None,
            timeout_keep_alive=IDLE_S,
            timeout_graceful_shutdown=END_WITHIN_S,
        )
        log_to_stderr()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _ended)  # uvicorn raises the signal once more after an orderly end
        if options.workers > 1:
            Multiprocess(config, [config.bind_socket()]).run()
            return 0
        server = uvicorn.Server(config)
        server.run()
        return 0 if server.started and not failed() else 1


def _check(options: Options, sources: dict[str, Source]) -> None:
    if not any(source.kind == "http" for source in sources.values()):
        raise loader.ConfigError(f"{loader.folder() / 'sources.yaml'}: no source is of kind http, so nobody could write")
    if bool(options.tls_cert) != bool(options.tls_key):
        raise OptionsError("--tls-cert and --tls-key go together")
    for file in filter(None, (options.tls_cert, options.tls_key)):
        if not Path(file).is_file():
            raise OptionsError(f"there is no file {file}")


def create(sources: dict[str, Source], folder: str, proxies: str = "") -> Starlette:
    """The application of one process.

    Args:
        sources: as the parent read them, so that all workers agree.
        folder: shared by the workers.
        proxies: see `Options`.
    """
    # Here, not above: prometheus_client decides how to count when it is imported, and the parent needs none of this.
    from api.collector.access import Door
    from api.collector.app import Collector
    from api.collector.hooks import Hooks
    from api.collector.intake import Intake
    from api.collector.limits import Board
    from api.collector.metrics import Metrics
    from api.collector.notices import Notices
    from api.collector.publisher import Publisher, Settings

    log_to_stderr()
    _end_with_the_parent()
    platform = loader.platform()
    publisher = Publisher(Settings(bootstrap=platform.kafka.bootstrap), _give_up)
    door, metrics = Door(sources), Metrics()
    board = Board(Path(folder) / "limits", ["", *sources])
    intake = Intake(sources, door, board, publisher, platform.limits)
    notices = Notices(board, intake, publisher, metrics)
    hooks = Hooks(sources, loader.folder() / "mappings", publisher)
    bounds = platform.collector.limits

    def ended(reason: str) -> None:
        board.refuse("", reason, 1)
        metrics.connections.labels(reason).inc()

    GuardedProtocol.guard = Guard(bounds, ended, proxies)
    _open_files(bounds.connections)
    return Collector(sources, door, intake, publisher, notices, metrics, platform.limits.request_bytes, bounds, hooks).app()


def _open_files(connections: int) -> None:
    """Each connection is an open file, and systems often allow 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def log_to_stderr() -> None:
    """One line an occurrence, no request, no value of a client's."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LOG_FORMAT)


_failures: list[bool] = []


def failed() -> bool:
    """Whether this process ended because it could not go on."""
    return bool(_failures)


def _end_with_the_parent() -> None:
    """A worker whose parent was killed would hold the port for ever: have the kernel tell it."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent.pid:  # it died before the kernel was asked: nobody will tell
        os.kill(os.getpid(), signal.SIGTERM)


def _give_up() -> None:
    """End this process in good order, with an exit code that has it started again."""
    _failures.append(True)
    os.kill(os.getpid(), signal.SIGTERM)


def _ended(_number: int, _frame: object) -> None:
    """Nothing: the server has ended already."""
