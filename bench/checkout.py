"""Another version of this repository beside this one, with an environment of its own, ready to be measured."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec
import yaml

from stack.settings import PROJECT

FOLDER: Final = PROJECT / ".cdp" / "pair"
INSTALLED_WITHIN_S: Final = 1_800
# Benchmarks up to 65031e6 end after so many seconds, with or without figures; they were meant for machines that are fast every day.
BUDGET: Final = "budget_s"
LEAST_BUDGET_S: Final = 2_400
# Imports the benchmark and reads the workload, and starts nothing.
CHECK: Final = "import bench.run; from bench import workload; [workload.read(name) for name in ('', 'quick')]"
# A few events through the pure core.
CORE_CHECK: Final = "import sys; sys.argv[1:] = ['10', '5']; from bench import core_count; core_count.main()"


class CheckoutError(RuntimeError):
    """The other version cannot be had or cannot be run; the message says why."""


class Version(msgspec.Struct, frozen=True):
    """A version that can be measured.

    Attributes:
        name: short commit.
        folder: its files.
        instrument: whose benchmark measures it: `this version's`, or `its own`.
        remarks: what is not the same as for the other version.
    """

    name: str
    folder: Path
    instrument: str = "this version's"
    remarks: tuple[str, ...] = ()

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / ".venv" / "bin" / "python"

    def environment(self) -> dict[str, str]:
        """Variables for its processes: none that point at another stack; the downloads of this version, where they are the same."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("CDP_") and key not in ("VIRTUAL_ENV", "PYTHONPATH")}
        return env | {"CDP_PARTS": str(_parts(self.folder)), "PYTHONHASHSEED": "0"}


def this() -> Version:
    """The version that is running, uncommitted changes included."""
    short = _git("rev-parse", "--short", "HEAD")
    return Version(short + ("+" if _git("status", "--porcelain", "--untracked-files=no") else ""), PROJECT)


def other_core(reference: str) -> Version:
    """A commit whose pure core can be measured: by this version's benchmark, else by its own with this version's counters.

    Raises:
        CheckoutError: as `other`, or neither way works.
    """
    version = other(reference, CORE_CHECK)
    if version.instrument == "its own":
        for counter in ("core_count.py", "core_memory.py"):
            shutil.copy(PROJECT / "bench" / counter, version.folder / "bench")
        if why := _failure(version, CORE_CHECK):
            raise CheckoutError(f"{version.name}: its core cannot be measured ({why})")
    return version


def other(reference: str, check: str = CHECK) -> Version:
    """Check a commit out into `.cdp/pair`, install it by its own lock file, and lend it this version's benchmark if it can run it.

    Args:
        reference: a commit.
        check: what it has to be able to run: `CHECK` for the whole benchmark, `CORE_CHECK` for the core alone.

    Raises:
        CheckoutError: there is no such commit, or it cannot be installed.
    """
    commit = _git("rev-parse", "--verify", f"{reference}^{{commit}}")
    short = _git("rev-parse", "--short", commit)
    folder = FOLDER / short
    if not folder.exists():
        _git("worktree", "prune")
        _git("worktree", "add", "--quiet", "--force", "--detach", str(folder), commit)
    _restore(folder)
    _install(folder)
    return _equip(Version(short, folder), check)


def _equip(version: Version, check: str) -> Version:
    """This version's benchmark measures both, if it fits; else this version's workload in its own benchmark; else all is its own."""
    shutil.rmtree(version.folder / "bench")
    shutil.copytree(PROJECT / "bench", version.folder / "bench", ignore=shutil.ignore_patterns("results", "__pycache__"))
    if not (why := _failure(version, check)):
        return version
    return own_instrument(version, f"it cannot run this version's benchmark ({why})")


def own_instrument(version: Version, why: str) -> Version:
    """The same version, measured by its own benchmark.

    Args:
        version: which.
        why: the other one does not do.
    """
    _restore(version.folder)
    remarks = [f"{version.name} is measured by its own benchmark: {why}"]
    file = version.folder / "bench" / "workload.yaml"
    before = file.read_text()
    theirs, ours = yaml.safe_load(before), yaml.safe_load((PROJECT / "bench" / "workload.yaml").read_text())
    # What is sent comes from this version; how a run goes is for each benchmark to know, but it shall have the time to find a rate.
    own = ours | {"plan": theirs["plan"], "variants": theirs.get("variants", {})}
    for plan in (own["plan"], *(variant.get("plan", {}) for variant in own["variants"].values())):
        if BUDGET in plan:
            plan[BUDGET] = max(plan[BUDGET], LEAST_BUDGET_S)
    file.write_text(yaml.safe_dump(own, sort_keys=False))
    if _failure(version, "from bench import workload; workload.read('')"):
        file.write_text(before)
        remarks.append(f"{version.name} sends its own workload: it cannot read this version's")
    return Version(version.name, version.folder, "its own", tuple(remarks))


def _restore(folder: Path) -> None:
    _git("checkout", "--quiet", "--", "bench", folder=folder)
    _git("clean", "-qfd", "--", "bench", folder=folder)


def _install(folder: Path) -> None:
    """Its own `make setup`. It finds the installer of this version, so that it need not fetch one."""
    tools = [str(PROJECT / ".tools" / "uv" / "bin"), str(Path(sys.executable).parent)]
    env = {key: value for key, value in os.environ.items() if not key.startswith("CDP_") and key not in ("VIRTUAL_ENV", "PYTHONPATH")}
    env["PATH"] = os.pathsep.join([tools[0], env["PATH"]])
    done = subprocess.run(["make", "setup"], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=INSTALLED_WITHIN_S)
    if done.returncode:
        raise CheckoutError(f"`make setup` failed in {folder}: {(done.stdout + done.stderr).strip()[-400:]}")


def _failure(version: Version, program: str) -> str:
    """Run a small program as the version would; the last line of its error, empty when there was none."""
    done = subprocess.run(
        [version.python, "-c", program], cwd=version.folder, env=version.environment(), capture_output=True, text=True, check=False
    )
    return (done.stderr.strip().splitlines() or ["it failed without a word"])[-1] if done.returncode else ""


def _parts(folder: Path) -> Path:
    """This version's downloads, unless the other one needs others."""
    ours, theirs = (yaml.safe_load((place / "config" / "stack.yaml").read_text())["parts"] for place in (PROJECT, folder))
    shared = Path(os.environ.get("CDP_PARTS") or PROJECT / ".cdp" / "parts")
    return shared if ours == theirs else folder / ".cdp" / "parts"


def _git(*arguments: str, folder: Path = PROJECT) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CheckoutError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()
