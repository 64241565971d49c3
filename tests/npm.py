"""npm packages that tests need, fetched once into the folder of the stack's downloads."""

import shutil
import subprocess
from pathlib import Path

from stack.settings import Settings

FETCH_WITHIN_S = 300


def package(settings: Settings, name: str, version: str) -> Path:
    """The folder `node_modules` that holds this version of a package and all it needs.

    Fails when npm is missing or cannot fetch it.
    """
    folder = settings.parts / "npm" / f"{name.replace('/', '+')}@{version}"
    if not (folder / ".complete").exists():
        npm = shutil.which("npm")
        assert npm, "npm is needed (Debian: apt-get install npm)"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", "--silent", f"{name}@{version}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_WITHIN_S, stdin=subprocess.DEVNULL, check=False)
        assert done.returncode == 0, f"npm could not fetch {name}@{version}: {done.stdout}{done.stderr}"[-500:]
        (folder / ".complete").touch()
    return folder / "node_modules"
