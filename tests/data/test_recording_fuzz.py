"""Thousands of damaged recordings: each is read or refused in bounded time and memory, and inspection agrees.

The cases follow from a seed, so that one that fails can be made again; see tests/fuzzing.py for how many.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from ranvier.data import DataError, Grid, hdf5_process, read_recording
from ranvier.data.inspection import inspect_recording
from tests.data.recordings import put
from tests.fuzzing import SHARE

CASES = round(160 * SHARE)  # of each kind of damage to each HDF5 file; five times of others
GRID = Grid(8, 2, 10.0)
LONGEST_S = 20.0
MOST_BYTES = 1 << 30  # above the input's size

Mutation = Callable[[bytes, np.random.Generator], bytes]


def contiguous(path: Path) -> Path:
    """As the published files are laid out."""
    with h5py.File(path, "w") as file:
        put(file, "spikes/times", [[0.25, 0.5], [0.125], [], [1.0, 0.5, 0.75]], "float16")
        put(file, "spikes/units", [[0, 7], [3], [], [5, 2, 1]], "uint16")
        file["labels"] = np.array([1, 0, 2, 1], np.uint16)
        file["extra/keys"] = np.array([b"zero", b"one", b"two"])
        file["extra/speaker"] = np.array([4, 4, 1, 0], np.uint16)
        file.attrs["ear"] = '{"channels": 8}'
    return path


def chunked(path: Path) -> Path:
    """The newest layout of HDF5, compressed, big-endian, with names of variable length."""
    with h5py.File(path, "w", libver="latest") as file:
        for name, dtype, scale in (("times", ">f4", 0.125), ("units", ">i4", 1)):
            lists = file.create_dataset(f"spikes/{name}", 4, h5py.vlen_dtype(np.dtype(dtype)), chunks=2, compression=4)
            for number in range(4):
                lists[number] = (np.arange(number * 2) * scale).astype(dtype)
        file.create_dataset("labels", data=np.array([0, 1, 1, 0], ">i8"), chunks=4, compression=4, shuffle=True)
        file["extra/keys"] = np.array(["no", "yes"], object)
        file["extra/speaker_names"] = np.array(["Doe, Jane", "Zoë"], object)
        file.create_dataset("extra/speaker", data=[0, 1, 0, 1], chunks=2, fletcher32=True)
        file["extra/files"] = np.array(["a", "b", "c", "d"], object)
        file.attrs["time_unit"] = "s"
    return path


def events(path: Path) -> Path:
    np.savez(path.with_suffix(".npz"), t=np.array([0.25, 0.5]), x=np.array([3, 4]))
    return path.with_suffix(".npz").rename(path)


def datasets(path: Path) -> Path:
    """One clip in HDF5."""
    with h5py.File(path, "w") as file:
        file.create_dataset("events/t", data=np.array([0.25, 0.5]), chunks=2, compression=4)
        file["events/x"] = np.array([3, 4])
    return path


def array(path: Path) -> Path:
    with path.open("wb") as file:
        np.save(file, np.array([(0.25, 3), (0.5, 4)], [("t", ">f4"), ("x", "<i8")]))
    return path


def table(path: Path) -> Path:
    path.write_text("t,x\n0.25,3\n0.5,4\n1.0,7\n", encoding="utf-8")
    return path


def flipped(content: bytes, generator: np.random.Generator) -> bytes:
    """Some bits, most often a few."""
    out = bytearray(content)
    for at in generator.integers(0, len(out), int(generator.choice([1, 1, 2, 4, 16]))):
        out[at] ^= 1 << int(generator.integers(0, 8))
    return bytes(out)


def truncated(content: bytes, generator: np.random.Generator) -> bytes:
    return content[: int(generator.integers(0, len(content)))]


def with_fields(content: bytes, generator: np.random.Generator) -> bytes:
    """A number of 1 to 8 bytes at a place where numbers stand becomes another that is apt to hurt."""
    width = int(generator.choice([1, 2, 4, 8]))
    known = [at for at in range(0, len(content) - 8, 4) if content[at : at + 8].strip(b"\0\xff")]
    at = int(generator.choice(known))
    value = int(generator.choice([0, 1, 2, 3, 8, 16, 255, 4096, 2**16, 2**24, 2**31 - 1, 2**32 - 1, 2**40, 2**62]))
    new = (value % (1 << 8 * width)).to_bytes(width, "little")
    return content[:at] + new + content[at + width :]


def moved(content: bytes, generator: np.random.Generator) -> bytes:
    """A stretch of the file stands in the place of another: addresses lead to things of another kind."""
    start, target = generator.integers(0, len(content), 2)
    stretch = content[start : start + int(generator.choice([4, 8, 24, 64, 256]))]
    return (content[:target] + stretch + content[target + len(stretch) :])[: len(content)]


def cases(make: Callable[[Path], Path], mutate: Mutation, folder: Path) -> Iterator[tuple[int, Path]]:
    whole = make(folder / "whole").read_bytes()
    for seed in range(CASES if make in (contiguous, chunked, datasets) else 5 * CASES):
        file = folder / f"{seed}.h5"
        file.write_bytes(mutate(whole, np.random.default_rng(seed)))
        yield seed, file
        file.unlink()


def outcome(path: Path, cache: Path) -> tuple[str | None, tuple[str, ...]]:
    """What reading refuses the file with, None if it does not, and what inspection finds."""
    try:
        read_recording(path, GRID, cache=cache)
        refused = None
    except DataError as error:
        refused = str(error)
    return refused, inspect_recording(path, channels=GRID.channels, cache=cache).faults


def peak_bytes() -> int:
    """Of this process and of those that it has ended and waited for."""
    resource = pytest.importorskip("resource", reason="this system does not count a process's memory")
    unit = 1 if sys.platform == "darwin" else 1024
    return (
        int(max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))) * unit
    )


@pytest.mark.slow
@pytest.mark.parametrize("make", [contiguous, chunked, datasets, events, array, table])
@pytest.mark.parametrize("mutate", [flipped, truncated, with_fields, moved])
def test_damaged_recordings_are_read_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Path], mutate: Mutation
) -> None:
    # some let HDF5 loop; parsing one of these files takes a hundredth of a second
    monkeypatch.setattr(hdf5_process, "_CPU_S", 0.5)
    before = peak_bytes()
    refusals = 0
    for seed, file in cases(make, mutate, tmp_path):
        started = time.monotonic()
        refused, faults = outcome(file, tmp_path / "cache")
        assert time.monotonic() - started < 2 * LONGEST_S, seed
        assert (refused is None) == (not faults), (seed, refused, faults)
        for line in (refused or "", *faults):
            assert line.isprintable() or "\\x" in ascii(line), (seed, line)
            assert len(line.splitlines()) <= 1, (seed, line)
        if refused is not None:
            assert refused.startswith(f"{file}: "), (seed, refused)
            assert refused.removeprefix(f"{file}: ").partition(";")[0] in " | ".join(faults), (seed, refused, faults)
        refusals += refused is not None
    hdf5_process.end_workers()
    assert peak_bytes() - before < MOST_BYTES
    assert refusals, "no damage was noticed: the mutations do nothing"
