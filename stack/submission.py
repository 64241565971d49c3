"""Submit a run of a job with Flink's own client."""

import subprocess
import threading
import time
from pathlib import Path

from stack import flink
from stack.run_book import Run
from stack.settings import PROJECT, Settings, child_environment

SUBMIT_WITHIN_S = 300.0


def submit(settings: Settings, name: str, program: Path, run: Run, halt: threading.Event) -> int:
    """Call Flink's client; what it says goes to the job's log.

    Args:
        settings: which stack.
        name: of the job.
        program: the file that wires it.
        run: what to submit; its id is the job's on the cluster.
        halt: when it is set, or after `SUBMIT_WITHIN_S`, the client is killed.

    Returns:
        The client's exit code, 0 when the cluster has taken the job.
    """
    arguments = ["run", "-d", "-t", "remote", f"-D$internal.pipeline.job-id={run.job_id}", "-p", str(run.parallelism)]
    arguments += ["-s", run.start.path, "-D", "execution.state-recovery.claim-mode=NO_CLAIM"] if run.start else []
    arguments += ["-py", str(program)]
    env = child_environment(settings, f"submit-{name}") | flink.environment(settings)
    env |= {"CDP_JOB": name, "CDP_JOB_PARALLELISM": str(run.parallelism), "CDP_JOB_REWOUND": "1" if run.rewound else ""}
    env |= {"CDP_JOB_RUN": str(run.number)}
    with (settings.logs / f"{name}.log").open("ab") as output:
        command = flink.client_command(settings, arguments)
        child = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd=PROJECT
        )
        deadline = time.monotonic() + SUBMIT_WITHIN_S
        while child.poll() is None:
            if halt.wait(0.05) or time.monotonic() > deadline:
                child.kill()
                child.wait()
        return child.returncode
