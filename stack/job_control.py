"""What `cdp job start | stop | savepoint` do, callable from tests and other commands."""

import time

from stack import board, jobs, ledger, requests
from stack.errors import StackError
from stack.settings import Settings

DEADLINE_S = 360.0
READY_WITHIN_S = 600.0


def start(settings: Settings, name: str, path: str = "", rewind: bool = False, parallelism: int = 0) -> str:
    """Start a job and wait until it runs; returns a sentence for people.

    Args:
        settings: which stack.
        name: of the job.
        path: a checkpoint or savepoint; by default the newest point.
        rewind: allow a point older than the newest.
        parallelism: of a Flink job from now on; 0 for the one it had.

    Raises:
        StackError: it runs already, its point is refused, or it does not come up.
    """
    job = jobs.get(name)
    _must_be_up(settings)
    if job.kind == "process":
        if path or rewind or parallelism:
            raise StackError(
                f"{name} is a plain process: its state is in Kafka and ClickHouse", "start it without --from, --rewind and --parallelism"
            )
        _keep_process(settings, name, "running")
        said = "starting"
    else:
        _want(settings, name)
        said = requests.ask(settings, name, requests.new("start", path=path, rewind=rewind, parallelism=parallelism), DEADLINE_S).said
    began = time.monotonic()
    _await(settings, name, "ready")
    return f"{name}: {said}; runs after {time.monotonic() - began:.1f} s"


def stop(settings: Settings, name: str, keep_savepoint: bool = True) -> str:
    """Stop a job on purpose; returns the savepoint's folder, or a sentence where there is none.

    Raises:
        StackError: the savepoint could not be made (the job then goes on), or nobody answered.
    """
    job = jobs.get(name)
    _must_be_up(settings)
    if job.kind == "process":
        _keep_process(settings, name, "stopped")
        _await(settings, name, "stopped")
        return f"{name}: stopped"
    _want(settings, name)
    given = requests.ask(settings, name, requests.new("stop", keep_savepoint=keep_savepoint), DEADLINE_S)
    return given.path or f"{name}: {given.said}"


def savepoint(settings: Settings, name: str) -> str:
    """Save the state of a running Flink job; returns the folder.

    Raises:
        StackError: it is no Flink job, does not run, or Flink could not save it.
    """
    if jobs.get(name).kind == "process":
        raise StackError(f"{name} is a plain process: its state is in Kafka and ClickHouse", "there is nothing to save")
    return requests.ask(settings, name, requests.new("savepoint"), DEADLINE_S).path


def _must_be_up(settings: Settings) -> None:
    if board.live_status(settings) is None:
        raise StackError("the stack is not up", "start it with `cdp up`")


def _keep_process(settings: Settings, name: str, desired: str) -> None:
    book = ledger.read(settings, name)
    book.desired = "running" if desired == "running" else "stopped"
    ledger.write(settings, name, book)
    wanted = board.read_wanted(settings)
    if desired == "running":
        wanted.services[name] = wanted.services.get(name, 0) or 1
    else:
        wanted.services.pop(name, None)
    board.write_wanted(settings, wanted)


def _want(settings: Settings, name: str) -> None:
    """Have the supervisor look after a Flink job, if it does not already (its ledger says whether it shall run)."""
    wanted = board.read_wanted(settings)
    if not wanted.services.get(name):
        wanted.services[name] = 1
        board.write_wanted(settings, wanted)


def _await(settings: Settings, name: str, state: str) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    asked = time.time()
    said = "nothing"
    while time.monotonic() < deadline:
        status = board.live_status(settings)
        if status and status.at > asked and (found := status.services.get(name)):
            if found.state == state:
                return
            if found.state == "failed":
                raise StackError(f"{name} failed: {found.detail}", f"see `cdp logs {name}`")
            said = f"{found.state} {found.detail}"
        time.sleep(0.1)
    raise StackError(f"{name} is not {state} after {READY_WITHIN_S:.0f} s: {said}", f"see `cdp logs {name}` and `cdp logs supervisor`")
