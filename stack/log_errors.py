"""The error that a log names: of a process that ended, and of a Flink job's program whose submission failed."""

import re
from pathlib import Path
from typing import Final

_MOST_BYTES: Final = 200_000
_MOST_LINES: Final = 12
_TAIL_BYTES: Final = 8_000
_TAIL_LINES: Final = 20
_TOLD: Final = re.compile(r"\bERROR\b|^[\w.]*(Error|Exception|Problems)\b")
_LOGGED: Final = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")
_TRACEBACK: Final = "Traceback (most recent call last):"
_PYTHON_ERROR: Final = re.compile(r"^([\w.]*\.)?\w*(Error|Exception|Exit|Problems|Violation): ?|^([\w.]*\.)?\w*(Error|Exception)$")
_ERROR: Final = re.compile(r"^(Caused by: |: )?[\w.$]+(Error|Exception)\b")
_NOT_PYTHON: Final = ("org.", "java.", "\tat ", "    at ", "Caused by:")
_OF_THE_JVM: Final = ("py4j.", "java.", "org.apache.", "pyflink.")


def said_since(log: Path, begin: int) -> str:
    """What has been written to a log since it had a length; of a long text the end. A log that was emptied meanwhile is read whole."""
    with log.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(begin if begin <= end else 0, end - _MOST_BYTES))
        return file.read().decode(errors="replace")


def last_error(log: Path) -> str:
    """The last line of a log that names an error, if it is among the last lines; empty for none."""
    try:
        lines = said_since(log, max(0, log.stat().st_size - _TAIL_BYTES)).splitlines()
    except OSError:
        return ""
    found = [line for line in lines[-_TAIL_LINES:] if _TOLD.search(line)]
    return found[-1].strip()[:300] if found else ""


def is_of_the_program(said: str) -> bool:
    """Whether the job's own Python program has failed, and not the cluster: trying again would not help."""
    found = _python(said)
    return bool(found) and not found[0].startswith(_OF_THE_JVM)


def of_submission(said: str) -> str:
    """The error that made a submission fail: the program's own with all its lines, else the last one that Java names; empty for none."""
    if is_of_the_program(said):
        return "\n".join(_python(said))[:2000]
    lines = [line for line in said.splitlines() if _ERROR.match(line)]
    return lines[-1][:300] if lines else ""


def _python(said: str) -> list[str]:
    """The last line of the last Python traceback and what follows it.

    Flink's client prints each line as it is and logs it once more, so that the two alternate.
    """
    lines = [line for line in said.splitlines() if not _LOGGED.match(line)]
    starts = [index for index, line in enumerate(lines) if line == _TRACEBACK]
    if not starts:
        return []
    for index in range(starts[-1] + 1, len(lines)):
        if _PYTHON_ERROR.match(lines[index]):
            rest = lines[index + 1 : index + _MOST_LINES]
            foreign = (at for at, line in enumerate(rest) if not line.strip() or line.startswith(_NOT_PYTHON))
            end = next(foreign, len(rest))
            return [lines[index], *rest[:end]]
    return []
