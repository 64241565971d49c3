"""What a log says went wrong: the job's own error is found among the lines of Flink's client."""

from pathlib import Path

import pytest

from stack import log_errors
from stack.keeper import counted
from stack.log_errors import last_error

STAMP = "2026-11-28 20:00:54,163 INFO  org.apache.flink.client.python.PythonDriver                 [] - "
PROGRAM = [
    "Traceback (most recent call last):",
    '  File "/project/jobs/profiles.py", line 82, in <module>',
    "    main()",
    '  File "/project/config/loader.py", line 199, in read',
    '    raise ConfigError("\\n".join(map(str, problems)))',
    "config.loader.ConfigError: config/tags.yaml:7:27: [1].when: unknown field `recency_dayz`; did you mean `recency_days`?",
    "config/features.yaml:14:66: features[0].windows[1]: unknown window `14d`",
]
ABORTED = [
    "org.apache.flink.client.program.ProgramAbortException: java.lang.RuntimeException: Python process exits with code: 1",
    "\tat org.apache.flink.client.python.PythonDriver.main(PythonDriver.java:140)",
    "Caused by: java.lang.RuntimeException: Python process exits with code: 1",
]
CLUSTER = [
    "Traceback (most recent call last):",
    '  File "/project/jobs/profiles.py", line 78, in main',
    "py4j.protocol.Py4JJavaError: An error occurred while calling o10.execute.",
    ": java.util.concurrent.ExecutionException: org.apache.flink.util.FlinkException: Failed to execute job 'profiles'.",
    "\tat java.base/java.util.concurrent.CompletableFuture.reportGet(CompletableFuture.java:396)",
    "Caused by: java.net.ConnectException: Connection refused",
]


def as_the_client_says(lines: list[str]) -> str:
    """Each line as it is, and logged once more."""
    return "\n".join(said for line in lines for said in (line, STAMP + line))


def test_an_error_of_the_program_is_told_with_all_its_lines_and_nothing_else() -> None:
    said = "\n".join([STAMP + "Python Process Started", as_the_client_says(PROGRAM), STAMP + "Python Process Exited", *ABORTED])
    assert log_errors.is_of_the_program(said)
    assert log_errors.of_submission(said) == "\n".join(PROGRAM[-2:])


def test_an_error_of_the_cluster_is_not_the_programs_and_told_by_its_last_cause() -> None:
    said = as_the_client_says(CLUSTER)
    assert not log_errors.is_of_the_program(said)
    assert log_errors.of_submission(said) == "Caused by: java.net.ConnectException: Connection refused"


@pytest.mark.parametrize("said", ["", STAMP + "nothing wrong", "Traceback (most recent call last):\n"])
def test_where_nothing_is_said_nothing_is_told(said: str) -> None:
    assert (log_errors.is_of_the_program(said), log_errors.of_submission(said)) == (False, "")


def test_only_what_this_submission_wrote_counts_also_after_the_log_was_emptied(tmp_path: Path) -> None:
    log = tmp_path / "profiles.log"
    log.write_text("ValueError: of yesterday\n")
    begin = log.stat().st_size
    with log.open("a") as file:
        file.write("ValueError: of today\n")
    assert log_errors.said_since(log, begin) == "ValueError: of today\n"
    log.write_text("new\n")
    assert log_errors.said_since(log, begin) == "new\n"


def test_a_process_that_ended_is_told_by_the_last_error_it_logged(tmp_path: Path) -> None:
    log = tmp_path / "history.log"
    assert last_error(log) == ""
    log.write_text(
        "2026-11-28 20:00:00,1 INFO jobs.history: starting\n2026-11-28 20:00:01,1 ERROR jobs.history: Kafka has no topic cdp.event\n"
    )
    assert last_error(log).endswith("ERROR jobs.history: Kafka has no topic cdp.event")
    with log.open("a") as file:
        file.write("Traceback (most recent call last):\n  File x\nconfig.loader.ConfigError: config/topics.yaml:3:1: not YAML\n")
    assert last_error(log) == "config.loader.ConfigError: config/topics.yaml:3:1: not YAML"
    assert [counted(number) for number in (1, 2)] == ["1 failure", "2 failures"]
