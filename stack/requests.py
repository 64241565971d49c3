"""How commands reach a Flink job's keeper: a request file, and an answer file beside it. Only the keeper touches the job."""

import time
import uuid
from pathlib import Path
from typing import Literal

import msgspec

from stack import board
from stack.errors import StackError
from stack.process import write_json
from stack.settings import Settings


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants from a job. `path`, `rewind` and `accept_loss` belong to `start`, `keep_savepoint` to `stop`.

    `suspend` is a stop with a savepoint, within `within_s` seconds, after which the job still counts as wanted: the stack goes down.
    """

    id: str
    action: Literal["start", "stop", "savepoint", "suspend"]
    path: str = ""
    rewind: bool = False
    keep_savepoint: bool = True
    parallelism: int = 0
    accept_loss: bool = False
    within_s: float = 0.0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it: a sentence and perhaps a path, or a problem and its remedy."""

    id: str
    said: str = ""
    path: str = ""
    problem: str = ""
    remedy: str = ""


def ask(settings: Settings, job: str, request: Request, deadline_s: float) -> Answer:
    """Hand a request to the supervisor and wait for the answer.

    Raises:
        StackError: no supervisor runs, none answered in time, or the request was refused.
    """
    if board.live_status(settings) is None:
        raise StackError("the stack is not up", "start it with `cdp up`")
    folder = _folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    answer_file = folder / f"{job}.{request.id}.answer"
    write_json(folder / f"{job}.request", request, durable=False)
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline:
        if answer_file.exists():
            answer = msgspec.json.decode(answer_file.read_bytes(), type=Answer)
            answer_file.unlink()
            if answer.problem:
                raise StackError(answer.problem, answer.remedy)
            return answer
        time.sleep(0.05)
    raise StackError(f"job {job} did not answer for {deadline_s:.0f} s", "see `cdp logs supervisor`")


def new(action: Literal["start", "stop", "savepoint", "suspend"], **fields: object) -> Request:
    """A request with an id of its own."""
    return msgspec.convert({"id": uuid.uuid4().hex, "action": action} | fields, Request)


def take(settings: Settings, job: str) -> Request | None:
    """The keeper's side: the waiting request, if there is one; it is gone afterwards."""
    file = _folder(settings) / f"{job}.request"
    try:
        request = msgspec.json.decode(file.read_bytes(), type=Request)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    file.unlink()
    return request


def answer(settings: Settings, job: str, given: Answer) -> None:
    """The keeper's side: say what became of a request."""
    write_json(_folder(settings) / f"{job}.{given.id}.answer", given, durable=False)


def _folder(settings: Settings) -> Path:
    return settings.run / "requests"
