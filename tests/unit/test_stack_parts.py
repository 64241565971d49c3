"""Parts are fetched once, however many processes want them at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stack import parts, settings

VERSION = "g:a:1"


def test_who_waited_for_another_fetch_does_not_replace_what_runs_by_now(tmp_path: Path) -> None:
    """Replacing it took the files away from a program that had just been started: its classes could not be found."""
    made = settings.load({"CDP_HOME": str(tmp_path / "home"), "CDP_PARTS": str(tmp_path / "parts")})
    wanted, fetched = threading.Barrier(2), []

    def fetch(folder: Path) -> None:
        fetched.append(folder)
        (folder / "file").write_text(str(len(fetched)))

    def ensure() -> Path:
        part = parts.Part("some", VERSION, fetch)
        assert not parts._is_complete(made, part)
        wanted.wait(10)
        parts._install(made, part, lambda *_: None)
        return made.parts / "some" / "file"

    with ThreadPoolExecutor(2) as pool:
        found = [one.result(30) for one in [pool.submit(ensure) for _ in range(2)]]
    assert len(fetched) == 1
    assert {file.read_text() for file in found} == {"1"}
    assert sorted(path.name for path in made.parts.iterdir()) == [".some.lock", "some"]
