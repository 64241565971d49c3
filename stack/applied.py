"""The definitions in force: copies of the configuration and the event contracts, made when they are applied and never changed.

`cdp up` and `cdp job start` check what people have written (`stack.preflight`) and put a copy below `run/definitions`. Every process of the
stack reads that copy. So a mistake that is made while all runs, or a file saved half way, is nobody's business until it is applied:
whatever has to be started again meanwhile, a loader or a job that the cluster has lost, comes back with the last good definitions.
"""

import hashlib
import shutil
import uuid
from pathlib import Path
from typing import Final

from config import loader
from config.definitions import Features
from pipelines.features import layout, plan
from schemas import contracts

CONFIG: Final = "config"
EVENTS: Final = "events"
KEPT: Final = 20
"""Copies that are kept: a process goes on reading the one it was started with."""
_CURRENT: Final = "current"
_LAYOUTS: Final = "layouts.json"
"""Never forgotten: a customer may have been silent since any of them."""
_LEFT_OUT = shutil.ignore_patterns("*.py", "__pycache__", ".*")


def apply(run: Path) -> Path:
    """Put what is written now in force, for processes that are started from now on.

    Args:
        run: the stack's folder of that name.

    Returns:
        The copy's folder.
    """
    root = _root(run)
    root.mkdir(parents=True, exist_ok=True)
    draft = root / f"draft-{uuid.uuid4().hex}"
    try:
        shutil.copytree(loader.folder(), draft / CONFIG, ignore=_LEFT_OUT)
        shutil.copytree(contracts.folder(), draft / EVENTS, ignore=_LEFT_OUT)
        name = _digest(draft)
        if not (root / name).exists():
            draft.rename(root / name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    (root / name).touch()  # the order in which copies are forgotten
    layout.add_to_file(root / _LAYOUTS, plan.layout(loader.read("features.yaml", Features, root / name / CONFIG)))
    _point_at(root, name)
    _forget(root, name)
    return root / name


def current(run: Path) -> Path | None:
    """The folder of the copy in force; None before the first is made."""
    root = _root(run)
    try:
        found = root / (root / _CURRENT).read_text().strip()
    except OSError:
        return None
    return found if found.is_dir() else None


def environment(run: Path) -> dict[str, str]:
    """The variables that make a process read the copy in force; empty before the first is made."""
    found = current(run)
    if found is None:
        return {}
    layouts = str(found.parent / _LAYOUTS)
    return {"CDP_CONFIG_DIR": str(found / CONFIG), contracts.VARIABLE: str(found / EVENTS), layout.VARIABLE: layouts}


def _root(run: Path) -> Path:
    return run / "definitions"


def _point_at(root: Path, name: str) -> None:
    draft = root / f"{_CURRENT}.{uuid.uuid4().hex}"
    draft.write_text(name)
    draft.replace(root / _CURRENT)


def _digest(folder: Path) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _forget(root: Path, name: str) -> None:
    copies = sorted((path for path in root.iterdir() if path.is_dir() and path.name != name), key=lambda path: path.stat().st_mtime)
    for path in copies[: max(0, len(copies) - KEPT + 1)]:
        shutil.rmtree(path, ignore_errors=True)
