"""Writing recordings in the HDF5 format of SHD and SSC; :mod:`ranvier.data.hdf5` reads it.

What a reader refuses is refused here first. The file appears under its name when it is whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier.data.dataset import DataError, SpikeDataset
from ranvier.data.events import holds, steps_to_times, time_to_steps
from ranvier.files import write_atomically

LONGEST_S = 60.0
"""Longest clip whose times are taken for seconds unless the caller says so: milliseconds by mistake exceed it."""

_MOST = 65535

_Clip = tuple[NDArray[Any], NDArray[Any]]


def write_recording(
    path: str | os.PathLike[str],
    times_s: Sequence[ArrayLike],
    units: Sequence[ArrayLike],
    labels: ArrayLike,
    *,
    classes: Sequence[str] = (),
    speakers: ArrayLike | None = None,
    channels: int | None = None,
    time_unit: Literal["s"] | None = None,
) -> None:
    """Write clips in SHD's format. Times are never rounded, so that every grid counts what is read as it counts this.

    Times are stored as they come, float16, float32 or float64, and as float64 where clips differ in type; float64
    times of which float16 holds every one become float16. SHD's own look, float16 with times rounded to 1 ms above
    1 s, is had by giving float16.

    Args:
        path: the file to write.
        times_s: per clip, seconds of its events from the start of the clip, finite, >= 0, any order.
        units: per clip, channel of its events, whole numbers.
        labels: ``[clip]`` number of the class, 0 ... 65535.
        classes: names of the classes, if any, each once.
        speakers: ``[clip]`` number of the speaker, 0 ... 65535, if known.
        channels: units lie in [0, channels); None allows 0 ... 65535.
        time_unit: ``s`` says that times above 60 s are seconds; the recording then says so too.

    Raises:
        DataError: something is out of range or of unequal length; the message names the clip and the place. Nothing
            has been written.
        OSError: the file cannot be written.
    """
    sizes = {"times_s": len(times_s), "units": len(units), "labels": np.size(labels)}
    if len(set(sizes.values())) > 1:
        raise DataError(f"{', '.join(f'{name} has {n} clips' for name, n in sizes.items())} (equal allowed)")
    clips = enumerate(zip(times_s, units, strict=True))
    checked = [_checked_clip(number, *clip, channels, time_unit) for number, clip in clips]
    write_clips(path, checked, labels, classes=classes, speakers=speakers, channels=channels, time_unit=time_unit)


def write_clips(
    path: str | os.PathLike[str],
    clips: Iterable[tuple[ArrayLike, ArrayLike]],
    labels: ArrayLike | None,
    *,
    size: int | None = None,
    classes: Sequence[str] = (),
    speakers: ArrayLike | None = None,
    speaker_names: Sequence[str] = (),
    files: Sequence[str] = (),
    about: Mapping[str, Any] | None = None,
    channels: int | None = None,
    time_unit: Literal["s"] | None = None,
) -> None:
    """As :func:`write_recording`, clip after clip, so that only one is in memory.

    Args:
        path: the file to write.
        clips: as many as ``labels``, or ``size``: seconds and channel of each event.
        labels: ``[clip]``; None for a recording without, which can be classified but not trained on.
        size: clips, where there are no labels.
        classes, speakers, channels, time_unit: as in :func:`write_recording`.
        speaker_names: name of each speaker's number (``extra/speaker_names``), each once.
        files: the file that each clip comes from (``extra/files``).
        about: attributes of the recording.

    Raises:
        DataError: as :func:`write_recording`; a faulty clip ends the writing, and no file is left.
        OSError: the file cannot be written.
    """
    label = None if labels is None else _checked_numbers("labels", labels, len(classes) or None)
    total, counted_by = (size or 0, "size") if label is None else (len(label), "labels")
    if not total:
        raise DataError("no clips (1 or more)")
    speaker = None if speakers is None else _checked_numbers("speakers", speakers, len(speaker_names) or None)
    for name, values in (("speakers", speaker), ("files", files or None)):
        if values is not None and len(values) != total:
            raise DataError(f"{counted_by} has {total} clips, {name} has {len(values)} clips (equal allowed)")
    if len(speaker_names) and speaker is None:
        raise DataError(f"speaker_names: {len(speaker_names)} names, and no speakers (both or neither)")
    texts = {
        "keys": _checked_names("classes", classes, named=True),
        "speaker_names": _checked_names("speaker_names", speaker_names),
        "files": _checked_names("files", files, once=False),
    }
    with write_atomically(path) as temporary, h5py.File(temporary, "w") as file:
        _write_events(file, _counted(clips, total, channels, time_unit), total)
        if label is not None:
            file["labels"] = label
        if speaker is not None:
            file["extra/speaker"] = speaker
        for name, encoded in texts.items():
            if encoded:
                file[f"extra/{name}"] = np.array(encoded)
        file.attrs.update({**({} if time_unit is None else {"time_unit": time_unit}), **(about or {})})


def write_dataset(
    path: str | os.PathLike[str], dataset: SpikeDataset, clips: NDArray[np.integer[Any]] | None = None, *, pool: int = 1
) -> None:
    """Write clips that have been counted, so that reading them gives the same steps, sources and counts.

    That holds for every grid with ``pool`` and the data set's ``dt_ms``, from time 0; and from the first event, for
    clips whose first event is in step 0. Times are in the middle of their steps (:func:`steps_to_times`) and in the
    smallest type that keeps all steps: float16, as in SHD's own files, up to some seconds.

    Args:
        path: the file to write.
        dataset: its classes and, where all of these clips have one, its speakers are written too.
        clips: indices of the clips; None takes all.
        pool: neighbouring channels that a source stands for; its events are written on the first of them.

    Raises:
        DataError: there are no clips, or numbers that the format cannot hold.
        OSError: the file cannot be written.
    """
    chosen = np.arange(len(dataset)) if clips is None else clips
    kind = next(kind for kind in (np.float16, np.float32, np.float64) if _keeps_steps(dataset, chosen, kind))

    def events() -> Iterator[_Clip]:
        for clip in chosen:
            step, source, count = dataset.clip(int(clip))
            times = steps_to_times(step, dataset.dt_ms).astype(kind)
            yield np.repeat(times, count), np.repeat(source.astype(np.int64) * pool, count)

    speakers = dataset.speakers[chosen]
    known = bool((speakers >= 0).all())
    write_clips(
        path,
        events(),
        dataset.labels[chosen],
        classes=dataset.classes,
        speakers=speakers if known else None,
        speaker_names=dataset.speaker_names if known else (),
        time_unit="s",
    )


def _keeps_steps(dataset: SpikeDataset, clips: NDArray[Any], kind: type[np.floating[Any]]) -> bool:
    if kind is np.float64:
        return True
    for clip in clips:
        step = dataset.clip(int(clip))[0]
        with np.errstate(over="ignore"):
            times = steps_to_times(step, dataset.dt_ms).astype(kind)
        if not np.array_equal(time_to_steps(times, dataset.dt_ms / 1000), step):
            return False
    return True


def _write_events(file: h5py.File, clips: Iterable[_Clip], size: int) -> None:
    """Write ``spikes``, in the type of the first clip that has events, or in float64 from where types differ."""
    units = file.create_dataset("spikes/units", size, h5py.vlen_dtype(np.uint16))
    times = file.create_dataset("spikes/times", size, h5py.vlen_dtype(np.float16))
    kind: np.dtype[Any] = np.dtype(np.float16)
    written = 0  # events
    for number, (seconds, channels) in enumerate(clips):
        if len(seconds) and seconds.dtype != kind and kind != np.float64:
            kind = np.dtype(np.float64) if written else seconds.dtype
            times = _retyped(file, kind, number)
        times[number] = seconds.astype(kind)
        units[number] = channels
        written += len(seconds)


def _retyped(file: h5py.File, kind: np.dtype[Any], clips: int) -> h5py.Dataset:
    """``spikes/times`` in a wider type, with the clips that are there already."""
    file.move("spikes/times", "spikes/narrow")
    narrow = file["spikes/narrow"]
    times = file.create_dataset("spikes/times", len(narrow), h5py.vlen_dtype(kind))
    for number in range(clips):
        times[number] = narrow[number].astype(kind)
    del file["spikes/narrow"]
    return times


def _counted(
    clips: Iterable[tuple[ArrayLike, ArrayLike]], size: int, channels: int | None, time_unit: str | None
) -> Iterator[_Clip]:
    """The clips, checked, and as many as there should be."""
    number = -1
    for number, (times, units) in enumerate(clips):
        if number == size:
            break
        yield _checked_clip(number, times, units, channels, time_unit)
    if number + 1 != size:
        more = "more than " if number == size else ""
        raise DataError(f"labels has {size} clips, clips has {more}{min(number + 1, size)} (equal allowed)")


def _checked_clip(
    number: int, times: ArrayLike, units: ArrayLike, channels: int | None, time_unit: str | None
) -> _Clip:
    """One clip in the types that it is stored in."""
    seconds, unit = np.asarray(times), np.asarray(units)
    if seconds.ndim != 1 or unit.ndim != 1 or len(seconds) != len(unit):
        raise DataError(
            f"clip {number}: times_s has shape {seconds.shape}, units has shape {unit.shape} "
            "(one list each, equally long, allowed)"
        )
    for name, values in (("times_s", seconds), ("units", unit)):
        if values.dtype.kind not in "iuf":
            raise DataError(f"{name}[{number}] has type {values.dtype} (numbers allowed)")
    latest = LONGEST_S if time_unit is None else np.inf
    asked = "" if time_unit else f", up to {LONGEST_S:g} s without time_unit='s'"
    _refuse("times_s", number, seconds, np.isfinite(seconds) & (seconds >= 0), "finite, 0 s or later")
    _refuse("times_s", number, seconds, seconds <= latest, f"seconds{asked}")
    most = _MOST if channels is None else min(channels - 1, _MOST)
    good = (unit >= 0) & (unit <= most) & (unit == np.floor(unit))
    _refuse("units", number, unit, good, f"whole numbers, 0 ... {most}")
    return seconds.astype(_stored_type(seconds)), unit.astype(np.uint16)


def _refuse(name: str, number: int, values: NDArray[Any], good: NDArray[np.bool_], allowed: str) -> None:
    if not good.all():
        at = int(np.argmin(good))
        raise DataError(f"{name}[{number}][{at}] is {values[at]} ({allowed} allowed)")


def _stored_type(seconds: NDArray[Any]) -> type[np.floating[Any]]:
    """A type that holds the times and in which :func:`time_to_steps` counts them alike."""
    if seconds.dtype.kind == "f" and seconds.dtype.itemsize <= 4:
        return np.float16 if seconds.dtype.itemsize == 2 else np.float32
    return np.float16 if holds(np.float16, seconds) else np.float64


def _checked_numbers(name: str, values: ArrayLike, below: int | None) -> NDArray[np.uint16]:
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise DataError(f"{name} has shape {array.shape}, type {array.dtype} (one whole number per clip allowed)")
    most = min(_MOST, _MOST if below is None else below - 1)
    good = (array >= 0) & (array <= most) & (array == np.floor(array))
    if not good.all():
        clip = int(np.argmin(good))
        raise DataError(f"{name}[{clip}] is {array[clip]} (whole numbers, 0 ... {most} allowed)")
    return array.astype(np.uint16)


def _checked_names(part: str, names: Sequence[str], *, named: bool = False, once: bool = True) -> list[bytes]:
    """Names as UTF-8; ``named`` refuses empty ones, ``once`` equal ones."""
    places: dict[str, int] = {}
    encoded = []
    for number, name in enumerate(names):
        try:
            encoded.append(name.encode())
        except UnicodeEncodeError:
            raise DataError(f"{part}[{number}] is {name!a} (text that UTF-8 can hold allowed)") from None
        if "\0" in name or (named and not name.strip()):
            raise DataError(f"{part}[{number}] is {name!r} (a name allowed)")
        if once and places.setdefault(name, number) != number:
            raise DataError(f"{part}[{number}] is {name!r}, as {part}[{places[name]}] is (each once allowed)")
    return encoded
