"""Passwords of the stores: where they lie, and who makes them.

They are made once, at the first `cdp up`, in files of mode 0600 beside the key of personal identifiers. Programs find them by
`CDP_<STORE>_PASSWORD_FILE`, or at the usual place below `CDP_HOME`; `CDP_<STORE>_PASSWORD` holds one itself (between containers). They
never stand in a command line.
"""

import os
import secrets
from pathlib import Path
from typing import Final

STORES: Final = ("redis", "clickhouse")
_HOME: Final = Path(__file__).resolve().parent.parent / ".cdp"


def file_of(store: str, home: Path | None = None) -> Path:
    """Where the password of a store lies.

    Args:
        store: `redis` or `clickhouse`.
        home: `CDP_HOME`; by default the environment's, else the project's.
    """
    folder = home or Path(os.environ.get("CDP_HOME") or _HOME).expanduser().absolute()
    return folder / "data" / "secrets" / f"{store}.password"


def variable(store: str) -> str:
    """The environment variable that holds a store's password; with `_FILE` behind it, the one that names its file."""
    return f"CDP_{store.upper()}_PASSWORD"


def read(store: str) -> str:
    """The password of a store; empty when it has none (its variable or the name of its file is empty, or there is no file)."""
    name = variable(store)
    if name in os.environ:
        return os.environ[name]
    given = os.environ.get(f"{name}_FILE")
    path = file_of(store) if given is None else Path(given)
    return path.read_text().strip() if given != "" and path.is_file() else ""


def make(store: str, home: Path) -> None:
    """Make a password of 32 random bytes if there is none yet."""
    create_secret(file_of(store, home), secrets.token_urlsafe(32).encode())


def create_secret(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 unless it is there; two processes that do so at once end up with the same one."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # unlike a rename, never replaces one that another process made meanwhile
    except FileExistsError:
        pass
    finally:
        draft.unlink()
