"""What a checkpoint's `_metadata` names must be there, byte for byte, before a job starts from it."""

import struct
from pathlib import Path

import pytest

from stack import checkpoint_files, settings
from stack.checkpoint_files import MAGIC, checkpoint_id, damage, files, read_seals, seal
from stack.errors import StackError
from stack.settings import Settings

OWN, SHARED = "0b8f7f8e-9a5c-4b5e-8c6e-1f2d3c4b5a69", "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    chosen = settings.load({"CDP_HOME": str(tmp_path)})
    settings.prepare_home(chosen)
    return chosen


def relative(name: str, size: int) -> bytes:
    return b"\x06" + struct.pack(">H", len(name)) + name.encode() + struct.pack(">q", size)


def absolute(path: Path, size: int) -> bytes:
    name = f"file:{path}".encode()
    return b"\x02" + struct.pack(">q", size) + struct.pack(">H", len(name)) + name


@pytest.fixture
def checkpoint(home: Settings) -> Path:
    """With one file of its own and one that it shares with others."""
    folder, shared = home.checkpoints / "run" / "chk-7", home.checkpoints / "run" / "shared"
    folder.mkdir(parents=True)
    shared.mkdir()
    (folder / OWN).write_bytes(b"x" * 300)
    (shared / SHARED).write_bytes(b"y" * 70_000)
    named = relative(OWN, 300) + b"\0inline state\x02 file: no path\0" + absolute(shared / SHARED, 70_000)
    (folder / "_metadata").write_bytes(MAGIC + b"\0\0\0\5" + named + b"the end")
    return folder


def test_a_whole_checkpoint_is_whole(checkpoint: Path) -> None:
    assert damage(checkpoint) == ""
    found = list(files(checkpoint, (checkpoint / "_metadata").read_bytes()))
    assert found == [(checkpoint / OWN, 300), (checkpoint.parent / "shared" / SHARED, 70_000)]


def test_its_id_stands_in_its_own_file(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="cannot be read"):
        checkpoint_id(tmp_path)
    for content in (bytes(16), MAGIC, MAGIC + bytes(11)):
        (tmp_path / "_metadata").write_bytes(content)
        with pytest.raises(StackError, match="does not begin like one of Flink"):
            checkpoint_id(tmp_path)
    (tmp_path / "_metadata").write_bytes(MAGIC + struct.pack(">iq", 6, 2**40 + 7) + b"and so on")
    assert checkpoint_id(tmp_path) == 2**40 + 7


@pytest.mark.parametrize("kind", ["own", "shared"])
@pytest.mark.parametrize("what", ["missing", "short", "long"])
def test_each_file_it_names_is_looked_at(checkpoint: Path, kind: str, what: str) -> None:
    file = checkpoint / OWN if kind == "own" else checkpoint.parent / "shared" / SHARED
    content = file.read_bytes()
    file.unlink()
    if what != "missing":
        file.write_bytes(content[:-1] if what == "short" else content + b"z")
    assert file.name in damage(checkpoint)
    assert ("missing" in damage(checkpoint)) == (what == "missing")


@pytest.mark.parametrize("content", [b"", b"\0" * 64, MAGIC[:2]])
def test_an_unreadable_metadata_file_is_damage(checkpoint: Path, content: bytes) -> None:
    (checkpoint / "_metadata").write_bytes(content)
    assert "does not begin like one of Flink" in damage(checkpoint)


def test_what_a_power_cut_leaves_of_a_sealed_checkpoint_is_noticed(home: Settings, checkpoint: Path) -> None:
    assert seal(home, "count", checkpoint)
    seals = read_seals(home, "count")
    assert damage(checkpoint, seals) == ""
    whole = (checkpoint / "_metadata").read_bytes()
    for broken in (whole[:-4], whole[:-4] + b"\0\0\0\0", whole + b"\0"):
        (checkpoint / "_metadata").write_bytes(broken)
        assert damage(checkpoint) == "", "nothing shows it but the seal"
        assert "is not what it was" in damage(checkpoint, seals)


def test_seals_of_checkpoints_that_are_gone_are_forgotten_and_a_checkpoint_that_goes_meanwhile_is_no_error(
    home: Settings, checkpoint: Path
) -> None:
    assert seal(home, "count", checkpoint)
    later = checkpoint.with_name("chk-8")
    later.mkdir()
    (later / "_metadata").write_bytes(MAGIC + b"rest")
    (checkpoint / "_metadata").unlink()
    assert seal(home, "count", later)
    assert list(read_seals(home, "count").sealed) == [str(later)]
    assert not seal(home, "count", checkpoint)


def test_everything_it_names_is_brought_to_disk(home: Settings, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(checkpoint_files, "_sync", synced.append)
    monkeypatch.setattr(checkpoint_files, "sync_folder", synced.append)
    seal(home, "count", checkpoint)
    shared = checkpoint.parent / "shared"
    assert synced == [checkpoint / "_metadata", checkpoint / OWN, shared / SHARED, checkpoint, shared]


@pytest.mark.parametrize("number", [5, 6, 262])
def test_the_name_of_a_backend_behind_the_checkpoints_id_is_no_file(tmp_path: Path, number: int) -> None:
    backend = b"78cd7d24-f860-4b79-9dcb-6c8268f0e5e9"
    own_id, key_groups = number.to_bytes(8, "big"), (0).to_bytes(4, "big") + (1024).to_bytes(4, "big")
    metadata = MAGIC + (6).to_bytes(4, "big") + own_id + b"\x0b" + own_id + b"\x00\x24" + backend + key_groups
    (tmp_path / "_metadata").write_bytes(metadata)
    assert list(files(tmp_path, metadata)) == []
    assert damage(tmp_path) == ""
    name = b"0d9382ab-150a-4b5d-9a92-f3776d5201ef"
    told = metadata + b"\x06\x00\x24" + name + (17).to_bytes(8, "big")
    assert list(files(tmp_path, told)) == [(tmp_path / name.decode(), 17)]
