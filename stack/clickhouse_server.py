"""Run a ClickHouse server out of the shared library `libchdb.so`.

    python -m stack.clickhouse_server LIBRARY FOLDER TCP_PORT HTTP_PORT [--setting=value ...]

The library starts its listeners on request (`SYSTEM START LISTEN`). It runs as an interactive session on a private pseudo-terminal:
outside interactive mode its error handler ends the process at a client's first wrong password. The process has no tie to the terminal
it was started from; SIGTERM types `exit` into the session, and the server closes its tables and leaves.
"""

import ctypes
import os
import pty
import signal
import sys
import threading
import tty


def main(argv: list[str]) -> None:
    """Serve until SIGTERM or SIGINT."""
    library, folder, tcp_port, http_port, *settings = argv
    # Blocked here, hence in every thread the library starts: only the watcher below takes them.
    signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    keyboard, session = pty.openpty()
    tty.setraw(session)
    os.dup2(session, 0)

    def watch() -> None:
        while signal.sigwait(signals) == signal.SIGHUP:
            pass
        os.write(keyboard, b"exit\r")

    threading.Thread(target=watch, daemon=True).start()
    arguments = [
        "clickhouse",
        f"--path={folder}",
        "--listen_host=127.0.0.1",
        f"--tcp_port={tcp_port}",
        f"--http_port={http_port}",
        "--interactive",
        "--query=SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP",
        *settings,
    ]
    server = ctypes.CDLL(library)
    server.query_stable_v2.restype = ctypes.c_void_p
    server.query_stable_v2(len(arguments), (ctypes.c_char_p * len(arguments))(*[argument.encode() for argument in arguments]))


if __name__ == "__main__":
    main(sys.argv[1:])
