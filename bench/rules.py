"""What a rule costs: instructions of its generated function against the same condition written by hand, counted by valgrind.

    python -m bench.rules [--times 20000]

Takes some six minutes. Each is run on a profile for which it has to read everything; a run without any is subtracted, so that the start of
the interpreter does not count.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rich.table import Table

from bench.core_pair import counted
from bench.table import CONSOLE
from config import loader
from pipelines.audiences.symbols import profile_symbols
from pipelines.rules.rule import Rule

Values = Mapping[str, Any]
PROFILE: Final[dict[str, Any]] = {
    "f_score": 4,
    "r_score": 3,
    "m_score": 4,
    "recency_days": 91.5,
    "recency_ratio": 1.2,
    "orders_90d": 3,
    "orders_lifetime": 2,
    "average_basket": 149.9,
    "interactions_30d": 4,
    "interactions_prev_30d": 5,
    "channels": {"store": 1, "web": 3},
    "rfm_segment": "champions",
}
BOUND: Final = 1.5
"""So many times the instructions of what is written by hand may a rule cost."""


def _scores(values: Values) -> bool:
    frequency, recency = values.get("f_score"), values.get("r_score")
    return frequency is not None and frequency >= 4 and recency is not None and recency >= 3


def _baskets(values: Values) -> bool:
    orders, basket = values.get("orders_90d"), values.get("average_basket")
    return orders is not None and orders >= 3 and basket is not None and basket < 150


def _churn(values: Values) -> bool:
    before, now = values.get("interactions_prev_30d"), values.get("interactions_30d")
    if before is not None and before >= 5 and now is not None and now <= 0.7 * float(before):
        return True
    orders, ratio = values.get("orders_lifetime"), values.get("recency_ratio")
    return orders is not None and orders >= 3 and ratio is not None and ratio >= 1.5


def _share(values: Values) -> bool:
    now, before = values.get("interactions_30d"), values.get("interactions_prev_30d")
    return now is not None and before is not None and before != 0 and float(now) / before < 0.9


def _channel(values: Values) -> bool:
    return "store" in (values.get("channels") or ())


def _segment(values: Values) -> bool:
    segment = values.get("rfm_segment")
    return segment is not None and segment in ("champions", "loyal")


CASES: Final[dict[str, Callable[[Values], bool]]] = {
    "f_score >= 4 and r_score >= 3": _scores,
    "orders_90d >= 3 and average_basket < 150": _baskets,
    "(interactions_prev_30d >= 5 and interactions_30d <= 0.7 * interactions_prev_30d) or (orders_lifetime >= 3 and recency_ratio >= 1.5)": (
        _churn
    ),
    "interactions_30d / interactions_prev_30d < 0.9": _share,
    "'store' in channels": _channel,
    "rfm_segment in ('champions', 'loyal')": _segment,
}


def generated(text: str) -> Callable[[Values], bool]:
    """A rule's function."""
    definitions = loader.definitions()
    symbols = profile_symbols(definitions.features, [rule.name for rule in definitions.segments])
    return Rule(text, symbols, "bench").holds


def _run(case: int, which: str, times: int) -> None:
    ours = [generated(text) for text in CASES]  # all of them in each run: they are part of the start
    holds = (ours if which == "generated" else list(CASES.values()))[case]
    for _ in range(times):
        holds(PROFILE)


def _count(case: int, which: str, times: int) -> int:
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", sys.executable, "-m", "bench.rules"]
    command += ["--run", str(case), which, "--times", str(times)]
    env = {**os.environ, "PYTHONHASHSEED": "0"}
    return counted(subprocess.run(command, capture_output=True, text=True, check=True, env=env).stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point. Exit codes: 0 every rule is within the bound, 1 one is not."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.rules", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=20_000, help="judgements that are counted (default: 20000)")
    parser.add_argument("--run", nargs=2, metavar=("CASE", "WHICH"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.run:
        _run(int(chosen.run[0]), chosen.run[1], chosen.times)
        return 0
    table = Table(title="instructions a judgement")
    for name in ("rule", "generated", "by hand", "ratio"):
        table.add_column(name, justify="left" if name == "rule" else "right")
    worst, start = 0.0, _count(0, "generated", 0)
    for case, text in enumerate(CASES):
        ours, theirs = ((_count(case, which, chosen.times) - start) / chosen.times for which in ("generated", "by hand"))
        worst = max(worst, ours / theirs)
        table.add_row(text, f"{ours:,.0f}", f"{theirs:,.0f}", f"{ours / theirs:.2f}")
    CONSOLE.print(table)
    print(f"worst ratio: {worst:.2f}, bound {BOUND}")
    return int(worst > BOUND)


if __name__ == "__main__":
    sys.exit(main())
