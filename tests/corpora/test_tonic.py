"""To tonic and back, with a data set that behaves as tonic's SHD does in its place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from ranvier.corpora.tonic import EVENTS, from_tonic, to_tonic, to_tonic_events
from ranvier.data import DataError, Grid, read_recording, write_recording
from tests.data.recordings import clip, cut, numbers, packed
from tests.data.test_hdf5 import CELLS, GRID, LABELS, SPEAKERS, TIMES, UNITS, assert_same, cells, shd_file


class TonicSHD:
    """As tonic 1.7: opened anew for every clip, seconds widened, microseconds rounded down, labels 0-d arrays."""

    dtype = np.dtype([("t", int), ("x", int), ("p", int)])

    def __init__(self, path: Path) -> None:
        self.path = path
        with h5py.File(path) as file:
            self.classes = file["extra/keys"][()]
            self.speaker = file["extra/speaker"][()]

    def __len__(self) -> int:
        with h5py.File(self.path) as file:
            return len(file["labels"])

    def __getitem__(self, number: int) -> tuple[NDArray[np.void], Any]:
        with h5py.File(self.path) as file:
            times = file["spikes/times"][number].astype(np.float64) * 1e6
            events = np.empty(len(times), self.dtype)
            events["t"], events["x"], events["p"] = times, file["spikes/units"][number], 1
            return events, file["labels"][number].astype(int)


class Clips(list[tuple[Any, Any]]):
    """(events, label) pairs, and whatever else a data set may say."""

    def __init__(self, clips: Sequence[tuple[Any, Any]], **more: Any) -> None:
        super().__init__(clips)
        self.__dict__.update(more)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return shd_file(tmp_path / "shd_train.h5")


def events(*pairs: tuple[int, int], dtype: Any = EVENTS) -> NDArray[np.void]:
    """Of microseconds and channels."""
    made = np.zeros(len(pairs), dtype)
    for name, values in zip(("t", "x"), zip(*pairs, strict=True), strict=False):
        made[name] = values
    return made


def test_a_tonic_data_set_is_read_as_its_file_is(recording: Path) -> None:
    told: list[tuple[int, int]] = []
    dataset = from_tonic(TonicSHD(recording), grid=GRID, progress=lambda done, total: told.append((done, total)))
    assert_same(dataset, read_recording(recording, GRID, cache=recording.parent / "cache"))
    assert cells(dataset) == CELLS
    assert dataset.speakers.tolist() == SPEAKERS
    assert dataset.classes == ("zero", "one", "two")
    assert told[-1] == (4, 4)


@pytest.mark.parametrize("pool", [1, 5])
@pytest.mark.parametrize("dt_ms", [1.0, 2.5, 5.6, 10.0])
@pytest.mark.parametrize("alignment", ["zero", "first_event"])
def test_no_time_that_half_precision_knows_changes_its_step(
    tmp_path: Path, pool: int, dt_ms: float, alignment: Any
) -> None:
    path = tmp_path / "shd_train.h5"
    times = np.arange(0x7C00, dtype=np.uint16).view(np.float16)
    times = times[times < 2]
    units = np.arange(len(times)) % 700
    write_recording(path, [times], [units], np.zeros(1), classes=["zero"], speakers=np.zeros(1))
    grid = Grid(700, pool, dt_ms, alignment)
    assert_same(from_tonic(TonicSHD(path), grid=grid), read_recording(path, grid, cache=tmp_path / "cache"))


@pytest.mark.parametrize("dt_ms", [0.1, 1.0, 10.0])
def test_an_event_at_the_beginning_of_a_step_belongs_to_it(dt_ms: float) -> None:
    step = np.arange(60_000)
    begins = np.rint(step * dt_ms * 1000).astype(np.int64)
    for shift, expected in ((0, step), (-1, step - 1)):
        made = np.zeros(len(step) - 1, EVENTS)
        made["t"] = begins[1:] + shift
        dataset = from_tonic(Clips([(made, 0)]), grid=Grid(8, 1, dt_ms))
        assert dataset.clip(0)[0].tolist() == expected[1:].tolist()


def test_events_out_of_order_are_sorted_and_those_of_a_step_counted() -> None:
    made = events((25_000, 3), (1_000, 0), (2_000, 1), (9_999, 0), (10_000, 0))
    dataset = from_tonic(Clips([(made, 0)]), grid=GRID)
    assert cells(dataset) == [[[0, 1, 2], [0, 0, 1], [3, 1, 1]]]
    assert dataset.lengths.tolist() == [3]
    assert made["t"].tolist() == [25_000, 1_000, 2_000, 9_999, 10_000]


@pytest.mark.parametrize(("alignment", "steps"), [("zero", [29_999, 30_000]), ("first_event", [0, 1])])
def test_polarity_is_not_looked_at_and_small_types_do_not_overflow(alignment: Any, steps: list[int]) -> None:
    small = np.dtype([("x", np.int16), ("t", np.uint32), ("p", bool)])
    made = events((2_999_900_000, 0), (3_000_000_000, 7), dtype=small)
    dataset = from_tonic(Clips([(made, np.int8(0))]), grid=Grid(8, 1, 100.0, alignment))
    assert cells(dataset) == [[steps, [0, 7], [1, 1]]]


@pytest.mark.parametrize(
    ("labels", "classes", "numbered", "names"),
    [
        ([2, 0, 1], None, [2, 0, 1], ("0", "1", "2")),
        ([np.int64(1), np.array(0), np.uint8(1)], None, [1, 0, 1], ("0", "1")),
        ([1, 0, 1], ["no", "yes", "perhaps"], [1, 0, 1], ("no", "yes", "perhaps")),
        (["yes", "no", "yes"], None, [1, 0, 1], ("no", "yes")),
        (["yes", np.str_("no"), b"yes"], ["yes", "no"], [0, 1, 0], ("yes", "no")),
    ],
)
def test_labels_are_numbers_or_names(
    labels: list[Any], classes: list[str] | None, numbered: list[int], names: tuple[str, ...]
) -> None:
    dataset = from_tonic(Clips([(events((0, 0)), label) for label in labels]), grid=GRID, classes=classes)
    assert dataset.labels.tolist() == numbered
    assert dataset.classes == names


@pytest.mark.parametrize(
    ("more", "classes", "names"),
    [
        ({"classes": np.array([b"null", b"eins"])}, None, ("null", "eins")),
        ({"classes": ["null", "eins"]}, None, ("null", "eins")),
        ({"classes": ["null", "eins"]}, ["zero", "one"], ("zero", "one")),
        ({}, None, ("0", "1")),
    ],
)
def test_the_names_are_those_asked_for_or_the_data_sets_own(
    more: dict[str, Any], classes: list[str] | None, names: tuple[str, ...]
) -> None:
    dataset = from_tonic(Clips([(events((0, 0)), 1)], **more), grid=GRID, classes=classes)
    assert dataset.classes == names


def test_two_classes_of_one_name_are_refused() -> None:
    with pytest.raises(DataError, match="'no' stands there 2 times"):
        from_tonic(Clips([(events((0, 0)), 1)]), grid=GRID, classes=["no", "yes", "no"])


@pytest.mark.parametrize(
    ("more", "speakers"),
    [
        ({}, [-1, -1]),
        ({"speaker": np.array([3, 4], np.uint16)}, [3, 4]),
        ({"speaker": [3, 4]}, [3, 4]),
        ({"speaker": [3]}, [-1, -1]),
        ({"speaker": 3}, [-1, -1]),
        ({"speaker": ["a", "b"]}, [-1, -1]),
    ],
)
def test_speakers_are_those_of_the_data_set_if_there_is_one_per_clip(more: dict[str, Any], speakers: list[int]) -> None:
    dataset = from_tonic(Clips([(events((0, 0)), 0)] * 2, **more), grid=GRID)
    assert dataset.speakers.tolist() == speakers


FIRST = (events((0, 0)), 1)
SEEN = np.dtype([("t", int), ("x", int), ("y", int), ("p", int)])


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ((np.zeros(3), 0), "clip 1: events are ndarray (a list of structured events with t and x allowed)"),
        ((None, 0), "clip 1: events are NoneType"),
        ((np.zeros(3, [("t", int), ("p", int)]), 0), "clip 1: events are fields t, p"),
        ((np.ones(3, SEEN), 0), "clip 1: events have a second coordinate y"),
        ((np.ones(3, [("t", float), ("x", int)]), 0), "clip 1: t is float64, x is int64 (whole microseconds"),
        ((events((5, 1), (-9223372036854775808, 2)), 0), "clip 1: t is -9223372036854775808 (0 us or later"),
        ((events((5, 1), (5, 8)), 0), "clip 1: x is 8 (0 ... 7 allowed)"),
        ((events((5, -2), (5, 3)), 0), "clip 1: x is -2 (0 ... 7 allowed)"),
        ((events((655_350_000, 1)), 0), "clip 1: last event at 655.4 s (up to 655.35 s allowed, 65535 steps of 10 ms)"),
        ((events((5, 1)), 0.5), "clip 1: label is 0.5 (a whole number or a name allowed)"),
        ((events((5, 1)), None), "clip 1: label is None"),
        ((events((5, 1)), np.array([1, 2])), "clip 1: label is array([1, 2])"),
        ((events((5, 1)), True), "clip 1: label is True"),
        ((events((5, 1)), -1), "clip 1: label is -1 (0 ... 1 allowed)"),
        ((events((5, 1)), "one"), "labels are numbers in some clips and names in others"),
    ],
)
def test_a_fault_is_told_with_its_clip_and_what_is_allowed(second: Any, said: str) -> None:
    with pytest.raises(DataError) as refused:
        from_tonic(Clips([FIRST, second]), grid=GRID)
    assert str(refused.value).startswith(said)
    assert "allowed" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("label", "said"), [(2, "label is 2 (0 ... 1 allowed)"), ("maybe", "label is 'maybe' (no, yes allowed)")]
)
def test_a_label_that_no_class_has_is_told(label: Any, said: str) -> None:
    with pytest.raises(DataError) as refused:
        from_tonic(Clips([(events((5, 1)), label)]), grid=GRID, classes=["no", "yes"])
    assert str(refused.value) == f"clip 0: {said}"


def test_no_clips_are_told() -> None:
    with pytest.raises(DataError, match="no clips"):
        from_tonic(Clips([]), grid=GRID)


@pytest.mark.parametrize("precision", [np.float16, np.float32, np.float64])
def test_seconds_become_microseconds_in_tonics_types(precision: Any) -> None:
    made = to_tonic_events(np.array([0.25, 1.5, 0.03125], precision), np.array([3, 1, 700], np.uint16))
    assert made.dtype == np.dtype([("t", "<i8"), ("x", "<i8"), ("p", "<i8")])
    assert made.tolist() == [(31_250, 700, 1), (250_000, 3, 1), (1_500_000, 1, 1)]


def test_microseconds_are_rounded_down_as_tonic_rounds_them() -> None:
    times = np.array([0.0, 4e-7, 1.001001, 0.1119995])
    assert to_tonic_events(times, np.zeros(4, int))["t"].tolist() == [0, 0, 111_999, 1_001_001]
    # 111999.51 in half precision
    assert to_tonic_events(np.array([0.112], np.float16), np.zeros(1, int))["t"].tolist() == [111_999]
    # 0.29 * 1e6 is a little below a whole number
    assert to_tonic_events(np.array([0.29]), np.zeros(1, int))["t"].tolist() == [290_000]


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("alignment", ["zero", "first_event"])
@pytest.mark.parametrize("dt_ms", [1.0, 5.6, 10.0])
def test_times_on_a_grid_stay_on_it_through_tonic(precision: Any, alignment: Any, dt_ms: float) -> None:
    steps = np.arange(7, 7 + round(1400 / dt_ms))
    made = to_tonic_events((steps * dt_ms / 1000).astype(precision), np.zeros(len(steps), int))
    assert made["t"].tolist() == np.rint(steps * dt_ms * 1000).astype(int).tolist()
    found = from_tonic(Clips([(made, 0)]), grid=Grid(1, 1, dt_ms, alignment))
    assert found.step.tolist() == (steps - (7 if alignment == "first_event" else 0)).tolist()


def test_events_of_one_time_keep_their_order() -> None:
    # more than a sort that is not stable does in order by chance
    made = to_tonic_events(np.tile([0.5, 0.25], 100), np.arange(200))
    assert made["x"].tolist() == [*range(1, 200, 2), *range(0, 200, 2)]


def test_a_clip_without_events_has_tonics_types_too() -> None:
    made = to_tonic_events(np.empty(0, np.float16), np.empty(0, np.uint16))
    assert (made.dtype, made.shape) == (EVENTS, (0,))


@pytest.mark.parametrize(
    ("times", "units", "said"),
    [
        ([0.5, np.nan], [1, 2], "times[1] is nan (finite, 0 s or later allowed)"),
        ([np.inf, 0.5], [1, 2], "times[0] is inf"),
        ([0.5, -0.5], [1, 2], "times[1] is -0.5"),
        ([0.5, 1e300], [1, 2], "times[1] is 1e+300"),
        ([0.5, 0.5], [1, -2], "units[1] is -2 (0 or more allowed)"),
        ([0.5, 0.5], [1, 2.5], "units have type float64"),
        ([0.5, 0.5], [1], "times have shape (2,) and units (1,)"),
    ],
)
def test_what_tonic_could_not_hold_is_refused(times: list[float], units: list[Any], said: str) -> None:
    with pytest.raises(DataError) as refused:
        to_tonic_events(np.array(times), np.array(units))
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize("packing", ["", ".gz"])
def test_a_recording_is_given_clip_by_clip(recording: Path, packing: str) -> None:
    path = packed(recording, recording.with_name("shd_train.h5.gz")) if packing else recording
    given = list(to_tonic(path, cache=recording.parent / "cache"))
    assert [label for _, label in given] == LABELS
    for number, (made, _) in enumerate(given):
        expected = sorted(zip((int(t * 1e6) for t in TIMES[number]), UNITS[number], strict=True), key=lambda e: e[0])
        assert made[["t", "x"]].tolist() == expected
    again = from_tonic(Clips(given), grid=GRID)
    assert cells(again) == CELLS


def test_what_is_given_to_tonic_and_back_falls_into_the_same_steps(tmp_path: Path) -> None:
    path = tmp_path / "drawn.h5"
    generator = np.random.default_rng(0)
    times = [generator.random(500) * 1.4 for _ in range(300)]
    write_recording(path, times, [generator.integers(0, 700, 500) for _ in times], np.arange(300) % 20)
    grid = Grid(700, 5, 10.0)
    assert_same(from_tonic(Clips(list(to_tonic(path))), grid=grid), read_recording(path, grid, cache=tmp_path))


def test_clips_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    path, clips = tmp_path / "many.h5", 300  # more than are read at once
    write_recording(path, [np.array([0.5])] * clips, [np.array([3])] * clips, np.arange(clips) % 7)
    clip("spikes/times", 299, np.array([np.nan], np.float16))(path)
    given = to_tonic(path)
    assert [label for _, label in (next(given) for _ in range(256))] == [number % 7 for number in range(256)]
    with pytest.raises(DataError) as refused:
        next(given)
    assert str(refused.value).startswith(f"{path}: spikes/times[299][0] is nan")


def test_a_damaged_or_missing_file_is_told(recording: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such recording"):
        to_tonic(recording.with_name("nowhere.h5"))
    numbers("labels", np.array([1, 0, 3, 1]))(recording)
    with pytest.raises(DataError, match=r"labels\[2\] is 3 \(0 \.\.\. 2 allowed\)"):
        next(to_tonic(recording))
    cut(recording)
    with pytest.raises(DataError, match="not a whole HDF5 file"):
        next(to_tonic(recording))
