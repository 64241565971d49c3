"""What `cdp job start | stop | savepoint` do, callable from tests and other commands."""

import time

from stack import applied, board, jobs, preflight, requests, run_book
from stack.errors import StackError
from stack.settings import Settings

DEADLINE_S = 360.0
READY_WITHIN_S = 600.0
SETTLE_S = 1.5


def start(settings: Settings, name: str, path: str = "", rewind: bool = False, parallelism: int = 0, accept_loss: bool = False) -> str:
    """Start a job and wait until it runs; returns a sentence for people.

    Args:
        settings: which stack.
        name: of the job.
        path: a checkpoint or savepoint; by default the newest point.
        rewind: allow a point older than the newest.
        parallelism: of a Flink job from now on; 0 for the one it had.
        accept_loss: start although output that its point counts as written is in no topic.

    Raises:
        StackError: a definition is wrong, it runs already, its point is refused, or it does not come up.
    """
    preflight.require(f"{name} was not started")
    job = jobs.get(name)
    _must_be_up(settings)
    applied.apply(settings.run)
    if job.kind == "process":
        if path or rewind or parallelism or accept_loss:
            raise StackError(f"{name} is a plain process: its state is in Kafka and ClickHouse", "start it without options")
        _keep_process(settings, name, "running")
        said = "starting"
    else:
        _want(settings, name)
        said = requests.ask(
            settings, name, requests.new("start", path=path, rewind=rewind, parallelism=parallelism, accept_loss=accept_loss), DEADLINE_S
        ).said
    began = time.monotonic()
    _await(settings, name, "ready")
    return f"{name}: {said}; runs after {time.monotonic() - began:.1f} s"


def stop(settings: Settings, name: str, keep_savepoint: bool = True, unchecked: bool = False) -> str:
    """Stop a job on purpose; returns the savepoint's folder, or a sentence where there is none.

    Args:
        settings: which stack.
        name: of the job.
        keep_savepoint: save its state first, if it is a Flink job.
        unchecked: stop it although definitions are wrong, by which it could not be started again.

    Raises:
        StackError: a definition is wrong, the savepoint could not be made (the job then goes on), or nobody answered.
    """
    if not unchecked:
        preflight.require(f"{name} was not stopped, for it could not be started again (--unchecked stops it all the same)")
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
    book = run_book.read(settings, name)
    book.desired = "running" if desired == "running" else "stopped"
    run_book.write(settings, name, book)
    wanted = board.read_wanted(settings)
    if desired == "running":
        wanted.services[name] = wanted.services.get(name, 0) or 1
    else:
        wanted.services.pop(name, None)
    board.write_wanted(settings, wanted)


def _want(settings: Settings, name: str) -> None:
    """Have the supervisor look after a Flink job, if it does not already (its run book says whether it shall run)."""
    wanted = board.read_wanted(settings)
    if not wanted.services.get(name):
        wanted.services[name] = 1
        board.write_wanted(settings, wanted)


def _await(settings: Settings, name: str, state: str) -> None:
    """Wait for a state. A process that ends meanwhile is told at once, with its own error; the supervisor goes on trying."""
    deadline = time.monotonic() + READY_WITHIN_S
    asked = time.time()
    said, failures = "nothing", -1
    while time.monotonic() < deadline:
        status = board.live_status(settings)
        if status and status.at > asked and (found := status.services.get(name)):
            failures = found.restarts if failures < 0 else failures
            if found.state == "failed":
                raise StackError(f"{name} failed: {found.detail}", f"see `cdp logs {name}`")
            if state == "ready" and found.restarts > failures and found.state == "waiting":
                remedy = f"the supervisor goes on trying; see `cdp logs {name}`, `cdp job stop {name}` stops it"
                raise StackError(f"{name} does not come up: {found.detail}", remedy)
            if found.state == state and (state != "ready" or time.time() - found.since >= _settles_s(name)):
                return
            said = f"{found.state} {found.detail}"
        time.sleep(0.1)
    raise StackError(f"{name} is not {state} after {READY_WITHIN_S:.0f} s: {said}", f"see `cdp logs {name}` and `cdp logs supervisor`")


def _settles_s(name: str) -> float:
    """How long a job must have been ready: a process that nobody can ask counts as ready as soon as it is there."""
    job = jobs.get(name)
    return SETTLE_S if job.kind == "process" and not job.port else 0.0
