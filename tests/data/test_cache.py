"""The cache: not needed for plain files, unpacked once and within bounds, shown and emptied."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from ranvier.cli import main
from ranvier.data import DataError, Grid, cache, read_recording, unpack, write_recording
from ranvier.data.cache import cache_lock, kept_array, unpacked
from ranvier.data.cache_contents import cache_contents, empty_cache
from ranvier.data.frames import write_frames
from ranvier.data.unpack import unpacked_size
from ranvier.files import write_atomically
from ranvier.recipes.config import build_config
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.splits import build_splits

GRID = Grid(700, 5, 10.0)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    times = [np.sort(generator.uniform(0, 0.3, 50)) for _ in range(6)]
    write_recording(tmp_path / "a.h5", times, [generator.integers(0, 700, 50) for _ in times], np.arange(6) % 2)
    return tmp_path / "a.h5"


@pytest.fixture
def packed(recording: Path) -> Path:
    path = recording.with_name("a.h5.gz")
    path.write_bytes(gzip.compress(recording.read_bytes()))
    return path


@pytest.fixture(params=["file", "missing"])
def nowhere(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that cannot be made, for root either."""
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "cache" if request.param == "file" else Path("/proc/nowhere/cache")
    monkeypatch.setenv("RANVIER_CACHE", str(folder))
    return folder


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="the folder that nobody can write to is Linux's")
def test_without_a_cache_plain_files_are_read_the_same(recording: Path, packed: Path, nowhere: Path) -> None:
    usual = read_recording(recording, GRID, cache=recording.parent / "cache")
    here = read_recording(recording, GRID)
    for name in ("step", "source", "count", "offsets", "lengths", "labels"):
        np.testing.assert_array_equal(getattr(here, name), getattr(usual, name))
    config = build_config(load_values("folder"), {"data.root": str(recording), "data.validation": "none"})
    assert len(build_splits(config).train.dataset) == 6
    np.testing.assert_array_equal(kept_array("x", lambda: np.arange(3), None), [0, 1, 2])

    for needs in (
        lambda: read_recording(packed, GRID),
        lambda: write_frames(nowhere / "x.npy", [], steps=0, sources=1),
        lambda: cache_lock(nowhere / "sound.h5", "spikes").__enter__(),
    ):
        with pytest.raises(DataError) as refused:
            needs()
        assert str(nowhere) in str(refused.value)
        assert "RANVIER_CACHE" in str(refused.value)


TWIN = """
import sys
from pathlib import Path
from ranvier.data.cache import unpacked
print("ready", flush=True)
unpacked(Path(sys.argv[1]), sys.argv[2])
"""


def test_two_processes_unpack_once(packed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    target = unpacked(packed, folder)
    before = target.stat()
    target.rename(tmp_path / "aside")
    with ExitStack() as first:
        first.enter_context(cache_lock(target, "a test"))
        arguments = [sys.executable, "-c", TWIN, str(packed), str(folder)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as twin:
            assert twin.stdout is not None
            assert twin.stdout.readline() == b"ready\n"
            with pytest.raises(subprocess.TimeoutExpired):
                twin.wait(1.0)
            assert not target.exists(), "the second does not wait"
            (tmp_path / "aside").rename(target)
            first.close()
            assert twin.wait(30) == 0
    assert (target.stat().st_ino, target.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [path.name for path in folder.iterdir()] == [target.name]


def test_unpacking_tells_how_far_it_is(packed: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    target = unpacked(packed, tmp_path / "cache", lambda done, total: told.append((done, total)))
    assert target.read_bytes() == packed.with_name("a.h5").read_bytes()
    assert told[-1] == (packed.stat().st_size,) * 2
    assert told == sorted(told)


def test_a_bomb_is_stopped_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "_ALWAYS", 1 << 20)
    bomb = tmp_path / "a.h5.gz"
    bomb.write_bytes(gzip.compress(bytes(20 << 20)))
    with pytest.raises(DataError, match=r"a\.h5\.gz: unpacks to more than 3 MB"):
        unpacked(bomb, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_room_is_checked_before_anything_is_unpacked(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = packed.with_name("a.h5").stat().st_size
    monkeypatch.setattr(cache, "free_bytes", lambda folder: size - 1)
    with pytest.raises(DataError, match="RANVIER_CACHE"):
        unpacked(packed, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.setattr(cache, "free_bytes", lambda folder: size)
    assert unpacked(packed, tmp_path / "cache").stat().st_size == size


@pytest.mark.parametrize(
    ("stored", "said", "size"),
    [(1000, 5000, 5000), (1000, 900, (1 << 32) + 900), (5 << 30, 1000, (2 << 32) + 1000), (1000, 960, 960)],
)
def test_a_size_is_said_modulo_four_gigabytes(tmp_path: Path, stored: int, said: int, size: int) -> None:
    with (tmp_path / "a.gz").open("wb") as file:
        file.truncate(stored - 4)  # sparse
        file.seek(0, os.SEEK_END)
        file.write(said.to_bytes(4, "little"))
    assert unpacked_size(tmp_path / "a.gz") == size


def test_the_cache_is_shown_and_emptied_and_what_is_not_ours_stays(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cache"
    monkeypatch.setenv("RANVIER_CACHE", str(folder))
    assert cache_contents() == []
    read_recording(packed, GRID)
    kept_array("membrane-1-8-low", lambda: np.zeros(8), None)
    sound = folder / "sound-0123456789abcdef.h5"
    (folder / "sound-0123456789abcdef.h5.part").mkdir()
    (folder / "sound-0123456789abcdef.h5.part" / "0.npz").write_bytes(b"12345")
    foreign = ["poetry.lock", "thesis.h5", "thesis.h5.part", "notes.npz"]
    for name in foreign:
        (folder / name).touch()
    sizes = {entry.path.name: entry.size for entry in cache_contents()}
    assert sizes["sound-0123456789abcdef.h5.part"] == 5
    assert sizes["membrane-1-8-low.npy"] == (folder / "membrane-1-8-low.npy").stat().st_size
    assert len(sizes) == 4  # counted, unpacked, tables, begun
    assert main(["data", "cache"]) == 0
    out = capsys.readouterr().out
    assert str(folder) in out
    assert all(name in out for name in sizes)

    with write_atomically(sound) as temporary, cache_lock(sound, "a test"):
        temporary.write_bytes(b"half")
        removed, kept = empty_cache()
        assert {entry.path.name for entry in kept} == {temporary.name, f"{sound.name}.part", f"{sound.name}.wait"}
        assert len(removed) == 3
    assert main(["data", "cache", "--empty"]) == 0
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert left == set(foreign)
