"""The pure core of two versions: instructions an event, bytes of state, and the memory of a cached customer.

    python -m bench.core_pair REF [--events 3000] [--profiles 200] [--cached 50000]

Takes some ten minutes. Valgrind counts the instructions, so a busy machine changes nothing; two runs of different length are subtracted, so
that the start of the interpreter does not count. The last line holds the ratios, this version over the other.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

import msgspec

from bench import checkout
from bench.checkout import CheckoutError, Version

COUNTED_WITHIN_S: Final = 3_600
_COUNTED: Final = re.compile(r"I +refs: +([\d,]+)")


class Cost(msgspec.Struct, frozen=True):
    """What an event costs.

    Attributes:
        instructions_per_event: of the pure core.
        bytes: of state after the longer run, by kind.
        cached: resident bytes of a customer in the caches (`bench.core_memory`).
    """

    instructions_per_event: float
    bytes: dict[str, int]
    cached: int


def counted(said: str) -> int:
    """The number of instructions in valgrind's words.

    Raises:
        CheckoutError: there is none in them.
    """
    found = _COUNTED.search(said)
    if not found:
        raise CheckoutError(f"valgrind counted nothing: {said.strip()[-300:]}")
    return int(found[1].replace(",", ""))


def count(version: Version, events: int, profiles: int, cached: int) -> Cost:
    """Measure one version."""
    few, _ = _run(version, 0, profiles)
    many, state = _run(version, events, profiles)
    said = _python(version, [], ["bench.core_memory", str(cached)]).stdout
    return Cost((many - few) / events, state, msgspec.json.decode(said, type=dict[str, int])["cached"])


def _run(version: Version, events: int, profiles: int) -> tuple[int, dict[str, int]]:
    # Cachegrind without its caches is the tool that only counts.
    valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = _python(version, valgrind, ["bench.core_count", str(events), str(profiles)])
    return counted(done.stderr), msgspec.json.decode(done.stdout, type=dict[str, int])


def _python(version: Version, under: Sequence[str], module: Sequence[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*under, str(version.python), "-m", *module],
        cwd=version.folder,
        env=version.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=COUNTED_WITHIN_S,
    )
    if done.returncode:
        raise CheckoutError(f"{version.name}: {done.stderr.strip()[-500:]}")
    return done


def ratio_line(ours: Cost, theirs: Cost) -> str:
    """`ratio: instructions_per_event 0.91 bytes 1.02 cached 0.36`."""
    sizes = sum(ours.bytes.values()) / sum(theirs.bytes.values())
    instructions = ours.instructions_per_event / theirs.instructions_per_event
    return f"ratio: instructions_per_event {instructions:.3g} bytes {sizes:.3g} cached {ours.cached / theirs.cached:.3g}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point. Exit codes: 0 compared, 2 could not be compared."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.core_pair", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reference", metavar="REF", help="commit to compare with")
    parser.add_argument("--events", type=int, default=3_000, help="events that count (default: 3000)")
    parser.add_argument("--profiles", type=int, default=200, help="profiles they belong to (default: 200)")
    parser.add_argument("--cached", type=int, default=50_000, help="customers whose memory is measured (default: 50000)")
    chosen = parser.parse_args(arguments)
    try:
        if not shutil.which("valgrind"):
            raise CheckoutError("valgrind is needed to count instructions: apt-get install valgrind")
        ours, theirs = checkout.this(), checkout.other_core(chosen.reference)
        found = [count(version, chosen.events, chosen.profiles, chosen.cached) for version in (ours, theirs)]
    except CheckoutError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for version, cost in zip((ours, theirs), found, strict=True):
        print(f"{version.name:<12} {cost.instructions_per_event:,.0f} instructions an event")
        print(f"{'':<12} bytes of state: {cost.bytes}, of a cached customer: {cost.cached:,}")
    for remark in theirs.remarks:
        print(f"note: {remark}")
    print(ratio_line(*found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
