"""What a job has been through (`data/jobs/<job>.json`), and from it the newest point it can go on from.

A *run* is one submission: a Flink job id, decided before the submission and written down first, so that no crash can leave a run that
nobody knows. Runs follow each other; each starts where an earlier one ended (or, on purpose, before that). So the newest point is the
last completed checkpoint or savepoint of the last run; while that has none, the point it started from. Ids of checkpoints and
savepoints rise within a run, and from a run to the one that continues it. Modification times are never compared: clocks step, and
copies restart them.
"""

import time
from pathlib import Path
from typing import Literal

import msgspec

from stack.errors import StackError
from stack.process import write_json
from stack.settings import Settings

EXECUTION_MODE = "thread"
# Flink's metadata files begin with this number (org.apache.flink.runtime.checkpoint.Checkpoints.HEADER_MAGIC_NUMBER).
MAGIC = (0x4960672D).to_bytes(4, "big")
MANIFEST = "cdp.json"
KEEP_RUNS = 50


class Point(msgspec.Struct, frozen=True):
    """A place to go on from: a completed checkpoint or savepoint. `run` is the job id of the run that made it."""

    path: str
    kind: Literal["checkpoint", "savepoint"]
    run: str
    checkpoint_id: int
    taken_at: float


class Run(msgspec.Struct, frozen=True):
    """One submission. `start` is the point it started from, None when it started empty."""

    job_id: str
    submitted_at: float
    start: Point | None = None
    parallelism: int = 1
    rewound: bool = False


class Ledger(msgspec.Struct):
    """The file. `desired` survives `cdp down`: a job that was stopped on purpose stays stopped."""

    desired: Literal["running", "stopped"] = "running"
    runs: list[Run] = []
    savepoints: list[Point] = []


class Manifest(msgspec.Struct, frozen=True):
    """`cdp.json` inside a savepoint: who made it, and in which execution mode of Python (state of one mode reads as empty in the other)."""

    job: str
    platform_version: str
    execution_mode: str
    taken_at: float
    job_id: str
    checkpoint_id: int
    parallelism: int = 1


def path(settings: Settings, job: str) -> Path:
    """The ledger's file."""
    return settings.data / "jobs" / f"{job}.json"


def read(settings: Settings, job: str) -> Ledger:
    """The ledger; an empty one when the job never ran.

    Raises:
        StackError: the file is damaged; starting a job without it could lose its state.
    """
    file = path(settings, job)
    try:
        return msgspec.json.decode(file.read_bytes(), type=Ledger)
    except FileNotFoundError:
        return Ledger()
    except msgspec.DecodeError as error:
        raise StackError(
            f"{file} is damaged: {error}", "mend it by hand; without it the job would start empty beside its own checkpoints"
        ) from error


def write(settings: Settings, job: str, ledger: Ledger) -> None:
    """Replace the ledger."""
    ledger.runs = ledger.runs[-KEEP_RUNS:]
    file = path(settings, job)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, ledger)


def newest(settings: Settings, ledger: Ledger) -> Point | None:
    """The newest point of a job, or None when it has none (it never completed a checkpoint)."""
    if not ledger.runs:
        return None
    run = ledger.runs[-1]
    own = [
        *_checkpoints(settings, run),
        *(point for point in ledger.savepoints if point.run == run.job_id and _is_readable(Path(point.path))),
    ]
    return max(own, key=lambda point: point.checkpoint_id, default=run.start)


def choose(settings: Settings, job: str, ledger: Ledger, wanted: str = "", rewind: bool = False) -> Point | None:
    """The point a job shall start from.

    Args:
        settings: which stack.
        job: its name.
        ledger: its ledger.
        wanted: folder of a checkpoint or savepoint; empty for the newest point.
        rewind: whether an older point (or one whose age is unknown) is allowed.

    Raises:
        StackError: the point is unreadable, was made in another execution mode, or is older than the newest one.
    """
    last = newest(settings, ledger)
    if not wanted:
        if last and not _is_readable(Path(last.path)):
            raise StackError(f"the newest point of {job} is gone: {last.path}", "start from another with --from PATH --rewind")
        return _identify(settings, job, ledger, Path(last.path)) if last else None
    point = _identify(settings, job, ledger, Path(wanted.removeprefix("file://")).expanduser().absolute())
    if last and point.path != last.path and not rewind:
        known = (
            f"has id {point.checkpoint_id}"
            if point.run == last.run
            else "belongs to an earlier run"
            if point.run
            else "is not known to this stack"
        )
        raise StackError(
            f"{job} would go back: {point.path} {known}, the newest point is {last.path} (id {last.checkpoint_id})",
            "what the job wrote since then would be written again, and differently; leave out --from, or add --rewind if you mean it",
        )
    return point


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put the manifest into a savepoint."""
    write_json(folder / MANIFEST, manifest)


def forget_earlier_runs(settings: Settings, ledger: Ledger) -> list[Path]:
    """Folders of checkpoints that nobody needs any more: earlier runs', once the last run has one (its first one is always full)."""
    if not ledger.runs or not _checkpoints(settings, ledger.runs[-1]):
        return []
    return [folder for run in ledger.runs[:-1] if (folder := settings.checkpoints / run.job_id).is_dir()]


def _identify(settings: Settings, job: str, ledger: Ledger, folder: Path) -> Point:
    if not _is_readable(folder):
        raise StackError(f"{folder} is no completed checkpoint or savepoint", "name the folder that holds the file `_metadata`")
    for run in ledger.runs:
        for point in _checkpoints(settings, run):
            if point.path == str(folder):
                return point
    manifest = _manifest(folder)
    if manifest is None:
        raise StackError(
            f"{folder} has no {MANIFEST}, so nobody can say in which execution mode of Python it was made",
            "state of another mode would read as empty, in silence; use a savepoint made by `cdp job stop`",
        )
    if manifest.execution_mode != EXECUTION_MODE:
        raise StackError(
            f"{folder} was made in execution mode `{manifest.execution_mode}`, this platform runs in `{EXECUTION_MODE}`",
            "its state would read as empty, in silence; there is no way to convert it: replay the events",
        )
    if manifest.job != job:
        raise StackError(f"{folder} is a savepoint of job `{manifest.job}`, not of `{job}`", "name one of this job")
    known = any(run.job_id == manifest.job_id for run in ledger.runs)
    return Point(str(folder), "savepoint", manifest.job_id if known else "", manifest.checkpoint_id, manifest.taken_at)


def _manifest(folder: Path) -> Manifest | None:
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _checkpoints(settings: Settings, run: Run) -> list[Point]:
    folders = (settings.checkpoints / run.job_id).glob("chk-*")
    numbered = [(int(number), folder) for folder in folders if (number := folder.name.removeprefix("chk-")).isdigit()]
    return [Point(str(folder), "checkpoint", run.job_id, number, _taken_at(folder)) for number, folder in numbered if _is_readable(folder)]


def _is_readable(folder: Path) -> bool:
    try:
        with (folder / "_metadata").open("rb") as file:
            return file.read(4) == MAGIC
    except OSError:
        return False


def _taken_at(folder: Path) -> float:
    try:
        return (folder / "_metadata").stat().st_mtime
    except OSError:
        return time.time()
