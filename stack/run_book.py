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

from stack.checkpoint_files import METADATA, damage, read_seals
from stack.errors import RefusedError, StackError
from stack.process import write_json
from stack.settings import Settings

EXECUTION_MODE = "thread"
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
    """One submission.

    `start` is the point it started from, None when it started empty; `accepts_loss`: somebody knows of a hole there; `number` grows from
    one to the next.
    """

    job_id: str
    submitted_at: float
    start: Point | None = None
    parallelism: int = 1
    rewound: bool = False
    accepts_loss: bool = False
    number: int = 0


class RunBook(msgspec.Struct):
    """The file. `desired` survives `cdp down`: a job that was stopped on purpose stays stopped.

    `ended_by_us` is a run that the platform itself ended and means to follow with another (`cdp down`, a job without checkpoints);
    `topic_ids` are the ids of the topics that the job's offsets belong to.
    """

    desired: Literal["running", "stopped"] = "running"
    runs: list[Run] = []
    savepoints: list[Point] = []
    ended_by_us: str = ""
    topic_ids: dict[str, str] = {}


class Manifest(msgspec.Struct, frozen=True):
    """`cdp.json` inside a savepoint: who made it, and in which execution mode of Python (state of one mode reads as empty in the other)."""

    job: str
    platform_version: str
    execution_mode: str
    taken_at: float
    job_id: str
    checkpoint_id: int
    parallelism: int = 1


def in_words(point: Point | None) -> str:
    """A point as people read it."""
    return f"{point.kind} {point.path}" if point else "the beginning"


def path(settings: Settings, job: str) -> Path:
    """The book's file."""
    return settings.data / "jobs" / f"{job}.json"


def read(settings: Settings, job: str) -> RunBook:
    """The book; an empty one when the job never ran.

    Raises:
        StackError: the file is damaged; starting a job without it could lose its state.
    """
    file = path(settings, job)
    try:
        return msgspec.json.decode(file.read_bytes(), type=RunBook)
    except FileNotFoundError:
        return RunBook()
    except msgspec.DecodeError as error:
        raise StackError(
            f"{file} is damaged: {error}", "mend it by hand; without it the job would start empty beside its own checkpoints"
        ) from error


def next_number(book: RunBook, now_s: float) -> int:
    """A number for the next submission: greater than every one before, and no less than the time, should the book itself be lost.

    What a job publishes carries it, so that what it takes back after a failure is older than what it publishes instead.

    Args:
        book: of the job.
        now_s: Unix time.
    """
    return max([int(now_s), *(run.number + 1 for run in book.runs)])


def write(settings: Settings, job: str, book: RunBook) -> None:
    """Replace the book."""
    book.runs = book.runs[-KEEP_RUNS:]
    file = path(settings, job)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, book)


def newest(settings: Settings, book: RunBook) -> Point | None:
    """The newest point of a job, or None when it has none (it never completed a checkpoint)."""
    if not book.runs:
        return None
    run = book.runs[-1]
    own = [
        *_checkpoints(settings, run),
        *(point for point in book.savepoints if point.run == run.job_id and (Path(point.path) / METADATA).exists()),
    ]
    return max(own, key=lambda point: point.checkpoint_id, default=run.start)


def choose(settings: Settings, job: str, book: RunBook, wanted: str = "", rewind: bool = False) -> Point | None:
    """The point a job shall start from.

    Args:
        settings: which stack.
        job: its name.
        book: its book.
        wanted: folder of a checkpoint or savepoint; empty for the newest point.
        rewind: whether an older point (or one whose age is unknown) is allowed.

    Raises:
        RefusedError: the point is damaged, was made in another execution mode, or is older than the newest one.
    """
    last = newest(settings, book)
    if not wanted:
        if last and (wrong := damage(Path(last.path), read_seals(settings, job))):
            raise RefusedError(f"the newest point of {job} is damaged: {last.path}: {wrong}", _older(settings, job, book, last))
        return _identify(settings, job, book, Path(last.path)) if last else None
    point = _identify(settings, job, book, Path(wanted.removeprefix("file://")).expanduser().absolute())
    if last and point.path != last.path and not rewind:
        known = (
            f"has id {point.checkpoint_id}"
            if point.run == last.run
            else "belongs to an earlier run"
            if point.run
            else "is not known to this stack"
        )
        raise RefusedError(
            f"{job} would go back: {point.path} {known}, the newest point is {last.path} (id {last.checkpoint_id})",
            "what the job wrote since then would be written again, and differently; leave out --from, or add --rewind if you mean it",
        )
    return point


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put the manifest into a savepoint."""
    write_json(folder / MANIFEST, manifest)


def forget_earlier_runs(settings: Settings, book: RunBook) -> list[Path]:
    """Folders of checkpoints that nobody needs any more: earlier runs', once the last run has one (its first one is always full)."""
    if not book.runs or not any(not damage(Path(point.path)) for point in _checkpoints(settings, book.runs[-1])):
        return []
    return [folder for run in book.runs[:-1] if (folder := settings.checkpoints / run.job_id).is_dir()]


def _older(settings: Settings, job: str, book: RunBook, damaged: Point) -> str:
    """What to do about a damaged newest point: which one is the newest that is whole."""
    seals = read_seals(settings, job)
    runs = [run for run in book.runs if run.job_id == damaged.run]
    points = [*(point for run in runs for point in _checkpoints(settings, run)), *book.savepoints]
    points += [run.start for run in book.runs if run.start]
    whole = [point for point in points if point.path != damaged.path and not damage(Path(point.path), seals)]
    if not whole:
        return "bring its files back from a backup; no other point of this job is whole, so the only other way is a new stack"
    last = max(whole, key=lambda point: (point.run == damaged.run, point.taken_at if point.run != damaged.run else point.checkpoint_id))
    return (
        f"bring its files back from a backup, or go back: `cdp job start {job} --from {last.path} --rewind`; "
        "what the job wrote since then is written again"
    )


def _identify(settings: Settings, job: str, book: RunBook, folder: Path) -> Point:
    if wrong := damage(folder, read_seals(settings, job)):
        raise RefusedError(f"{folder} is no whole checkpoint or savepoint: {wrong}", f"name a folder that holds the file `{METADATA}`")
    for run in book.runs:
        for point in _checkpoints(settings, run):
            if point.path == str(folder):
                return point
    manifest = _manifest(folder)
    if manifest is None:
        raise RefusedError(
            f"{folder} has no {MANIFEST}, so nobody can say in which execution mode of Python it was made",
            "state of another mode would read as empty, in silence; use a savepoint made by `cdp job stop`",
        )
    if manifest.execution_mode != EXECUTION_MODE:
        raise RefusedError(
            f"{folder} was made in execution mode `{manifest.execution_mode}`, this platform runs in `{EXECUTION_MODE}`",
            "its state would read as empty, in silence; there is no way to convert it: replay the events",
        )
    if manifest.job != job:
        raise RefusedError(f"{folder} is a savepoint of job `{manifest.job}`, not of `{job}`", "name one of this job")
    known = any(run.job_id == manifest.job_id for run in book.runs)
    return Point(str(folder), "savepoint", manifest.job_id if known else "", manifest.checkpoint_id, manifest.taken_at)


def _manifest(folder: Path) -> Manifest | None:
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _checkpoints(settings: Settings, run: Run) -> list[Point]:
    folders = (settings.checkpoints / run.job_id).glob("chk-*")
    numbered = [(int(number), folder) for folder in folders if (number := folder.name.removeprefix("chk-")).isdigit()]
    # Flink gives `_metadata` its name once it is written: a folder without it is a checkpoint under way, or one that is being removed.
    complete = [(number, folder) for number, folder in numbered if (folder / METADATA).exists()]
    return [Point(str(folder), "checkpoint", run.job_id, number, _taken_at(folder)) for number, folder in complete]


def newest_checkpoint(settings: Settings, run: Run) -> Point | None:
    """The newest completed checkpoint that a run itself made."""
    return max(_checkpoints(settings, run), key=lambda point: point.checkpoint_id, default=None)


def _taken_at(folder: Path) -> float:
    try:
        return (folder / METADATA).stat().st_mtime
    except OSError:
        return time.time()
