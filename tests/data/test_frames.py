"""Clips of real numbers: the batches made of them, and the file that keeps them."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ranvier.data.frames import FrameDataset, frames_file, open_frames, write_frames
from ranvier.engine import Engine
from ranvier.network import Decoding, Input, Layer
from tests.data.recordings import Damage, cut, empty, garbage
from tests.data.test_dataset import drawn
from tests.networks import chained, dense_layer

LENGTHS = [7, 1, 12, 12, 3, 9]


def made(dtype: str = "float16", seed: int = 0) -> FrameDataset:
    """Clips of different lengths."""
    generator = np.random.default_rng(seed)
    return FrameDataset(
        frames=generator.normal(size=(sum(LENGTHS), 5)).astype(dtype),
        offsets=np.concatenate([[0], np.cumsum(LENGTHS)]),
        labels=generator.integers(0, 3, len(LENGTHS)),
        speakers=generator.integers(0, 4, len(LENGTHS)),
        classes=("a", "b", "c"),
        dt_ms=10.0,
    )


def parts(dataset: FrameDataset) -> list[NDArray[Any]]:
    return [dataset.clip(number) for number in range(len(dataset))]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("clips", [[0], [1], [5, 0, 2], [3, 3], list(range(6))])
@pytest.mark.parametrize("steps", [None, 20])
def test_a_batch_is_its_clips_side_by_side(dtype: str, clips: list[int], steps: int | None) -> None:
    dataset = made(dtype)
    x, lengths, labels = dataset.batch(np.array(clips), steps=steps)

    assert (x.dtype, lengths.dtype, labels.dtype) == (torch.float32, torch.int64, torch.int64)
    assert x.shape == (steps or max(LENGTHS[clip] for clip in clips), len(clips), 5)
    assert lengths.tolist() == [LENGTHS[clip] for clip in clips]
    assert labels.tolist() == [int(dataset.labels[clip]) for clip in clips]
    for place, clip in enumerate(clips):
        start = sum(LENGTHS[:clip])
        np.testing.assert_array_equal(x[: LENGTHS[clip], place].numpy(), dataset.frames[start : start + LENGTHS[clip]])
        assert not x[LENGTHS[clip] :, place].any()


def test_is_used_as_counted_spikes_are() -> None:
    dataset, spikes = made(), drawn()
    assert len(dataset) == 6
    assert dataset.lengths.tolist() == LENGTHS
    assert dataset.sources == 5
    for name in ("lengths", "labels", "speakers", "classes", "sources", "dt_ms", "speaker_names"):
        assert type(getattr(dataset, name)) is type(getattr(spikes, name)), name
    for name in ("lengths", "labels", "speakers"):
        assert getattr(dataset, name).dtype == np.int64


def test_batches_and_clips_belong_to_the_caller() -> None:
    dataset = made("float32")
    for tensor in dataset.batch(np.arange(6)):
        tensor += 1
    dataset.clip(0)[:] = 7
    untouched = made("float32")
    for name in ("frames", "offsets", "labels"):
        np.testing.assert_array_equal(getattr(dataset, name), getattr(untouched, name))


def test_the_engine_takes_a_clip(tmp_path: Path) -> None:
    """The same counts as spikes and as frames give the same run; frames of a file too."""
    spikes = drawn()
    dense, lengths, _ = spikes.batch(np.arange(len(spikes)))
    clips = [dense[:length, place].numpy() for place, length in enumerate(lengths.tolist())]
    file, total = tmp_path / "counts.npy", int(lengths.sum())
    write_frames(file, clips, steps=total, sources=spikes.sources)
    kept = open_frames(file, steps=total, sources=spikes.sources)
    assert kept is not None
    frames = FrameDataset(
        kept, np.concatenate([[0], np.cumsum(spikes.lengths)]), spikes.labels, spikes.speakers, spikes.classes, 10.0
    )
    generator = np.random.default_rng(3)

    def layer(sources: int, targets: int, threshold: float) -> Layer:
        shape = (1, targets, sources)
        return dense_layer(
            weight=generator.normal(size=shape).astype(np.float32),
            delay_steps=generator.integers(0, 8, shape).astype(np.int16),
            bias=np.zeros(targets, np.float32),
            decay=np.full(targets, 0.3, np.float32),
            threshold=np.full(targets, threshold, np.float32),
            max_delay=7,
        )

    network = chained(10.0, (layer(6, 8, 1.0), layer(8, 3, np.inf)), spikes.classes, Input(6), Decoding(2))
    for clip in range(len(spikes)):
        dense_clip = frames.clip(clip)
        assert type(dense_clip) is np.ndarray
        assert dense_clip.dtype == np.float32
        one = Engine(network).run(spikes.clip(clip), int(spikes.lengths[clip]))
        other = Engine(network).run(dense_clip, int(frames.lengths[clip]))
        assert len(one.spikes[0]) > 0 or clip == 2
        np.testing.assert_array_equal(one.spikes[0], other.spikes[0])
        np.testing.assert_array_equal(one.voltage, other.voltage)


def test_what_is_written_is_opened_as_a_map(tmp_path: Path) -> None:
    dataset = made("float32")
    file = tmp_path / "new" / "kept.npy"
    write_frames(file, iter(parts(dataset)), steps=sum(LENGTHS), sources=5)
    assert [path.name for path in file.parent.iterdir()] == ["kept.npy"]
    for _ in ("first", "again"):
        frames = open_frames(file, steps=sum(LENGTHS), sources=5)
        assert isinstance(frames, np.memmap)
        assert not frames.flags.writeable
        assert frames.dtype == np.float16
        np.testing.assert_array_equal(frames, dataset.frames.astype(np.float16))
    np.testing.assert_array_equal(np.load(file), dataset.frames.astype(np.float16))


def test_a_batch_of_a_map_is_one_of_memory(tmp_path: Path) -> None:
    dataset = made()
    write_frames(tmp_path / "kept.npy", parts(dataset), steps=sum(LENGTHS), sources=5)
    frames = open_frames(tmp_path / "kept.npy", steps=sum(LENGTHS), sources=5)
    assert frames is not None
    mapped = FrameDataset(frames, dataset.offsets, dataset.labels, dataset.speakers, dataset.classes, dataset.dt_ms)
    for _ in ("first", "after the pages were given up"):
        for one, other in zip(dataset.batch(np.array([2, 0, 5])), mapped.batch(np.array([2, 0, 5])), strict=True):
            assert one.tolist() == other.tolist()


def resident_of_files() -> int:
    """KiB of files that count as this process's memory."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("this system does not say how much of a file is in memory")
    return int(status.read_text().partition("RssFile:")[2].split()[0])


def test_going_through_a_file_does_not_keep_it_in_memory(tmp_path: Path) -> None:
    clips, steps, sources = 1600, 101, 140  # 43 MiB
    clip = np.ones((steps, sources), np.float16)
    write_frames(tmp_path / "many.npy", (clip for _ in range(clips)), steps=clips * steps, sources=sources)
    frames = open_frames(tmp_path / "many.npy", steps=clips * steps, sources=sources)
    assert frames is not None
    zeros = np.zeros(clips, np.int64)
    dataset = FrameDataset(frames, np.arange(clips + 1) * steps, zeros, zeros, ("a",), 10.0)
    order = np.random.default_rng(0).permutation(clips)
    dataset.batch(order[:100])
    before, most = resident_of_files(), 0
    for start in range(0, clips, 100):
        x, _, _ = dataset.batch(order[start : start + 100])
        assert x.min() == 1
        most = max(most, resident_of_files() - before)
    for number in order.tolist():
        assert dataset.clip(number)[0, 0] == 1
    most = max(most, resident_of_files() - before)
    assert most < 10_000  # KiB


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()])
def test_a_write_that_is_broken_off_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def clips() -> Iterator[NDArray[Any]]:
        yield np.ones((4, 5))
        raise error

    with pytest.raises(type(error)):
        write_frames(tmp_path / "kept.npy", clips(), steps=8, sources=5)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_write_leaves_no_final_file(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; import numpy as np\n"
        "from ranvier.data.frames import write_frames\n"
        "def clips():\n"
        "    for _ in range(300): yield np.ones((1000, 5))\n"  # well beyond the buffer
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_frames(Path(sys.argv[1]), clips(), steps=400_000, sources=5)"
    )
    file = tmp_path / "kept.npy"
    done = subprocess.run([sys.executable, "-c", code, str(file)], check=False)
    assert done.returncode == -signal.SIGKILL
    (half,) = tmp_path.iterdir()
    assert half.suffix == ".tmp"
    assert half.stat().st_size > 1 << 20
    assert open_frames(file, steps=400_000, sources=5) is None
    write_frames(file, [np.ones((8, 5))], steps=8, sources=5)
    assert open_frames(file, steps=8, sources=5) is not None


@pytest.mark.parametrize(
    ("clips", "said"),
    [
        ([np.ones((4, 5)), np.ones((3, 5))], "the clips have 7 steps together (8 allowed)"),
        ([np.ones((4, 5)), np.ones((4, 6))], "a clip of shape (4, 6) ([step, 5] allowed)"),
        ([np.ones(40)], "a clip of shape (40,) ([step, 5] allowed)"),
        ([], "the clips have 0 steps together (8 allowed)"),
    ],
)
def test_clips_of_other_shapes_are_refused_and_leave_nothing(
    tmp_path: Path, clips: list[NDArray[Any]], said: str
) -> None:
    with pytest.raises(ValueError, match="allowed") as refused:
        write_frames(tmp_path / "kept.npy", clips, steps=8, sources=5)
    assert said in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def another_dtype(file: Path) -> None:
    np.save(file, np.ones((8, 5), np.float32))


def other_axes(file: Path) -> None:
    np.save(file, np.ones((5, 8), np.float16))


def pickled(file: Path) -> None:
    np.save(file, np.full((8, 5), None), allow_pickle=True)


@pytest.mark.parametrize("damage", [cut, empty, garbage, another_dtype, other_axes, pickled, Path.unlink])
def test_a_file_that_is_not_the_one_that_was_kept_is_not_opened(tmp_path: Path, damage: Damage) -> None:
    file = tmp_path / "kept.npy"
    write_frames(file, [np.ones((8, 5))], steps=8, sources=5)
    assert open_frames(file, steps=8, sources=5) is not None
    damage(file)
    assert open_frames(file, steps=8, sources=5) is None


def test_the_files_name_tells_what_it_is_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = frames_file("some", {"a": 1, "b": [2.5, "x"]}, tmp_path)
    assert one.parent == tmp_path
    assert one.name.endswith("-some.npy")
    assert frames_file("some", {"b": [2.5, "x"], "a": 1}, tmp_path) == one
    assert frames_file("some", {"b": [2.5, "y"], "a": 1}, tmp_path) != one
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "named"))
    assert frames_file("some", 1, None).parent == tmp_path / "named"
