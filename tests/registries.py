"""Which registry this process uses, for as long as a test wants it so."""

import contextlib
import os
from collections.abc import Iterator

from config import loader
from schemas import registry


@contextlib.contextmanager
def using(url: str) -> Iterator[registry.Registry]:
    """While it lasts, ids come from the registry at a URL; empty: from the files."""
    before = os.environ.get(registry.VARIABLE)
    os.environ[registry.VARIABLE] = url
    _forget()
    try:
        yield registry.current()
    finally:
        del os.environ[registry.VARIABLE]
        if before is not None:
            os.environ[registry.VARIABLE] = before
        _forget()


def _forget() -> None:
    registry.current.cache_clear()
    loader.platform.cache_clear()
