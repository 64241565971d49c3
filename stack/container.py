"""The same processes inside containers, where Docker starts and watches them: `python -m stack.container ROLE`.

`jobmanager` and `taskmanager` become that process; `setup` creates topics, database and secrets and ends; `probe` asks the JobManager
whether it is ready and ends; `jobs` looks after the Flink jobs the way the supervisor does on one machine (so `cdp jobs` and `cdp job ...`
work inside that container); `ticker` and `history` are plain modules and need no role here.
"""

import os
import socket
import sys

from operations.process import told_to_stop
from stack import board, catalogue, clickhouse, flink, process, topics
from stack.errors import StackError
from stack.job_keeper import JobKeeper
from stack.service import Service
from stack.settings import Settings, child_environment, load, prepare_home
from stack.supervisor import log

STATUS_EVERY_S = 1.0


def main(argv: list[str]) -> None:
    """Play a role."""
    settings = load()
    match argv:
        case ["setup"]:
            prepare_home(settings)
            for difference in topics.create(settings.kafka):
                print(difference, flush=True)
            clickhouse.create_database(settings)
        case ["jobmanager"]:
            _become(flink.job_manager(settings), settings)
        case ["taskmanager"]:
            _become(flink.task_manager(settings, socket.gethostname()), settings)
        case ["probe"]:
            if not flink.job_manager(settings).probe():
                raise StackError("the JobManager is not ready", "see its log")
        case ["jobs"]:
            _look_after_jobs(settings)
        case _:
            raise StackError(f"there is no role `{' '.join(argv)}`", "say setup, jobmanager, taskmanager, probe or jobs")


def _become(service: Service, settings: Settings) -> None:
    service.prepare()
    os.execve(service.command[0], service.command, child_environment(settings, service.name) | service.env)


def _look_after_jobs(settings: Settings) -> None:
    halt = told_to_stop()
    prepare_home(settings)
    flink.render_configuration(settings)
    identity = process.identify(os.getpid())
    assert identity is not None
    keepers = {name: JobKeeper(name, job, settings, {}, log) for name, job in catalogue.flink_jobs().items()}
    for keeper in keepers.values():
        keeper.want(1)
        keeper.start()
    while not halt.wait(STATUS_EVERY_S):
        board.write_status(settings, identity, {name: keeper.state for name, keeper in keepers.items()})
    for keeper in keepers.values():
        keeper.halt()


if __name__ == "__main__":
    main(sys.argv[1:])
