"""Measure the whole platform on this machine: sustained events a second, latency, CPU time by stage, bytes of state.

An own stack is started in `.cdp/bench` on ports of its own, confined to two cores, and stopped at the end. The
workload is fixed in `bench/workload.yaml`. *Sustained* is a rate at which, after a warm-up of 20 s, no consumer's lag
grows by more than one second of input in 40 s; it is searched from below, so that a slow day ends with a lower figure and
not without one. *Latency* runs from the producer's send call until an independent
reader sees the value in Redis, at half of that rate. The result goes to `bench/results/<date>-<commit>.json`.
`python -m bench.stages` measures the pure core alone, without servers; `python -m bench.pair` compares two versions.
"""

import argparse
import sys
from pathlib import Path

from bench import run, table, workload
from bench.result import write
from stack.errors import StackError


def main() -> int:
    """Entry point. Exit codes: 0 a valid result, 1 a result that is not valid, 2 no result."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, formatter_class=raw)
    size = parser.add_mutually_exclusive_group()
    quick, large = "a smoke run of about 90 s; no figures to quote", "a million profiles; takes longer than ten minutes"
    size.add_argument("--quick", dest="variant", action="store_const", const="quick", default="", help=quick)
    size.add_argument("--large", dest="variant", action="store_const", const="large", help=large)
    rate = "hold this rate instead of searching for one, to compare the CPU time of two versions"
    parser.add_argument("--rate", type=float, default=0.0, metavar="EVENTS_PER_S", help=rate)
    parser.add_argument("--keep", action="store_true", help="leave the stack's data in .cdp/bench (its logs stay in any case)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result there")
    arguments = parser.parse_args()
    try:
        result = run.run(workload.read(arguments.variant), arguments.variant, arguments.keep, arguments.rate)
    except (workload.WorkloadError, StackError, AssertionError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    path = write(result, arguments.out)
    table.show(result)
    print(path)
    return 0 if result.valid else 1


if __name__ == "__main__":
    sys.exit(main())
