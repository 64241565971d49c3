"""Definitions are applied, not read: what is edited reaches no process before it is applied."""

import os
from pathlib import Path

import pytest

from pipelines.features import layout
from schemas import contracts
from stack import applied, settings, source
from tests.stacks import config_copy


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = config_copy(tmp_path / "config")
    monkeypatch.setenv("CDP_CONFIG_DIR", str(folder))
    return folder


def stack(tmp_path: Path) -> settings.Settings:
    return settings.load({"CDP_HOME": str(tmp_path / "home")})


def test_a_process_reads_the_copy_in_force_and_an_edit_reaches_it_only_when_it_is_applied(tmp_path: Path, config: Path) -> None:
    made = stack(tmp_path)
    assert applied.current(made.run) is None
    assert settings.child_environment(made, "history")["CDP_CONFIG_DIR"] == str(config)
    first = applied.apply(made.run)
    before = source.fingerprint(made)
    child = settings.child_environment(made, "history")
    assert (child["CDP_CONFIG_DIR"], child[contracts.VARIABLE]) == (str(first / "config"), str(first / "events"))
    right = (first / "config" / "tags.yaml").read_text()
    (config / "tags.yaml").write_text("- {name: half a file")
    assert settings.child_environment(made, "history") == child
    assert (first / "config" / "tags.yaml").read_text() == right
    assert source.fingerprint(made) == before, "nothing is started anew for an edit"
    (config / "tags.yaml").write_text(right + "# a change\n")
    second = applied.apply(made.run)
    assert second != first
    assert settings.child_environment(made, "history")["CDP_CONFIG_DIR"] == str(second / "config")
    assert source.fingerprint(made) != before
    assert (first / "config" / "tags.yaml").read_text() == right, "whoever was started with it goes on reading it"


def test_mappings_and_plans_go_along_code_does_not_and_the_same_is_the_same_copy(tmp_path: Path, config: Path) -> None:
    made = stack(tmp_path)
    first = applied.apply(made.run)
    copied = {str(path.relative_to(first / "config")) for path in (first / "config").rglob("*") if path.is_file()}
    assert copied == {str(path.relative_to(config)) for path in config.rglob("*") if path.is_file()}
    assert {path.name for path in (first / "events").iterdir()} == {path.name for path in contracts.FOLDER.glob("*.yaml")}
    assert applied.apply(made.run) == first


def test_old_copies_are_forgotten_and_the_one_in_force_never(tmp_path: Path, config: Path) -> None:
    made = stack(tmp_path)
    oldest = applied.apply(made.run)
    os.utime(oldest, (1, 1))
    for number in range(applied.KEPT + 5):
        (config / "tags.yaml").write_text(f"[]  # {number}\n")
        newest = applied.apply(made.run)
        os.utime(newest, (number + 2, number + 2))
    copies = [path for path in newest.parent.iterdir() if path.is_dir()]
    assert len(copies) <= applied.KEPT
    assert not oldest.exists()
    assert applied.current(made.run) == newest


def test_the_supervisor_is_not_replaced_because_the_same_files_lie_elsewhere(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stack(tmp_path)
    before = source.supervisor_fingerprint(made)
    copy = applied.apply(made.run)
    monkeypatch.setenv("CDP_CONFIG_DIR", str(copy / "config"))  # as the supervisor itself sees it
    assert source.supervisor_fingerprint(made) == before


def test_the_layouts_of_all_that_was_ever_in_force_are_kept(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = stack(tmp_path)
    applied.apply(made.run)
    before = (config / "features.yaml").read_text()
    (config / "features.yaml").write_text(before.replace("windows: [1h, 1d,", "windows: [1d,"))
    for _ in range(2):
        applied.apply(made.run)
    monkeypatch.setenv(layout.VARIABLE, applied.environment(made.run)[layout.VARIABLE])
    found = layout.known()
    first, second = found.layouts
    assert found.applied == [layout.identity(first), layout.identity(second)]
    assert "views.count.1h" in first
    assert set(second) == {name for name in first if not name.endswith(".1h")}
    (config / "features.yaml").write_text(before)
    applied.apply(made.run)
    assert layout.known() == layout.History([first, second], [*found.applied, layout.identity(first)])
