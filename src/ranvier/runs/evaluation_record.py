"""What a frozen network did with clips, kept beside the run (``observed.npz``): a report need not run it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.files import write_atomically
from ranvier.network import MAX_STEPS, Network
from ranvier.runs.accuracy import MOST
from ranvier.runs.probe import network_hash

_VERSION = 3
_OLDER = 2  # has sums of sizes in place of numbers of events
_MOST_BYTES = 2**28  # of all its arrays

Events = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]  # step, source and size of every event, in order


@dataclass(frozen=True, eq=False)
class Example:
    """A clip to be drawn.

    Attributes:
        label: index of its class.
        speaker: name of who speaks; empty where nobody knows.
        length: time steps.
        events: step, source and size of every event, three arrays of one length; or dense ``[time, source]``.
    """

    label: int
    speaker: str
    length: int
    events: Events | NDArray[Any]


@dataclass(frozen=True, eq=False)
class EvaluationRecord:
    """What a frozen network did with clips.

    Attributes:
        split: ``test``, ``validation`` or ``train``, or the name of a file.
        clips: clips that were run.
        available: clips that there are; more than ``clips`` where only a part was run.
        confusion: ``[true class, predicted class]`` clips.
        right: ``[clip]`` whether the network was right.
        fingerprint: of the clips that were run; the same for two networks that ran on the same ones.
        neuron_spikes: per hidden layer, ``[neuron]`` mean spikes in a clip.
        source_events: ``[source]`` mean input events in a clip, those of a time step one; None where the input is real
            numbers, or the record is not complete.
        speakers: (right, clips) by speaker; empty where nobody knows.
        examples: a few of the clips.
        complete: False of one that an earlier Ranvier kept, in which input events are counted by another rule.
    """

    split: str
    clips: int
    available: int
    confusion: NDArray[np.int64]
    right: NDArray[np.bool_]
    fingerprint: str
    neuron_spikes: tuple[NDArray[np.float64], ...]
    source_events: NDArray[np.float64] | None
    speakers: Mapping[str, tuple[int, int]]
    examples: tuple[Example, ...]
    complete: bool = True


def write_record(folder: Path, record: EvaluationRecord, data: str) -> None:
    """Write ``observed.npz`` into a run's folder; ``data`` says what clips these are, as :func:`read_record` asks."""
    about: dict[str, Any] = {
        "version": _VERSION,
        "network": network_hash(folder / "network.safetensors"),
        "data": data,
        "split": record.split,
        "clips": record.clips,
        "there": record.available,
        "which": record.fingerprint,
        "speakers": {name: list(counts) for name, counts in record.speakers.items()},
        "examples": [{"label": e.label, "speaker": e.speaker, "length": e.length} for e in record.examples],
    }
    arrays: dict[str, NDArray[Any]] = {
        "about": np.array(json.dumps(about)),
        "confusion": record.confusion,
        "right": record.right,
    }
    if record.source_events is not None:
        arrays["source_events"] = record.source_events
    for number, rates in enumerate(record.neuron_spikes):
        arrays[f"neuron_spikes_{number}"] = rates
    for number, example in enumerate(record.examples):
        if isinstance(example.events, np.ndarray):
            arrays[f"frames_{number}"] = example.events
        else:
            for name, values in zip(("step", "source", "size"), example.events, strict=True):
                arrays[f"{name}_{number}"] = values
    with write_atomically(folder / "observed.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_record(folder: Path, data: str) -> EvaluationRecord | None:
    """What :func:`write_record` wrote, if it is of this network and these clips; None if not, or if it is damaged."""
    file = folder / "observed.npz"
    if not file.is_file():
        return None
    try:
        # opened here, for NumPy leaves a damaged file open
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            if sum(part.file_size for part in arrays.zip.infolist()) > _MOST_BYTES:
                return None
            about = json.loads(str(arrays["about"]))
            if about["version"] not in (_OLDER, _VERSION) or about["data"] != data:
                return None
            if about["network"] != network_hash(folder / "network.safetensors"):
                return None
            record = _from_arrays(about, dict(arrays))
        _check(record, Network.read(folder / "network.safetensors"))
        return record
    except Exception:  # NumPy, zip and zlib raise many kinds for a damaged file, which is then made anew
        return None


def _check(record: EvaluationRecord, network: Network) -> None:
    """Raise ValueError where something is not what :func:`ranvier.recipes.observe.observe` gives of this network."""
    classes, sources = len(network.classes), network.sources
    counts = [record.clips, record.available, *(n for pair in record.speakers.values() for n in pair)]
    names = [record.split, record.fingerprint, *record.speakers, *(each.speaker for each in record.examples)]
    rates = [*record.neuron_spikes, *([] if record.source_events is None else [record.source_events])]
    shapes = [(layer.targets,) for layer in network.layers[:-1]]
    sound = (
        all(type(count) is int and 0 <= count <= MOST for count in counts)
        and 1 <= record.clips == len(record.right) <= record.available
        and all(0 <= right <= clips and clips for right, clips in record.speakers.values())
        and all(isinstance(name, str) for name in names)
        and record.right.dtype == np.bool_
        and record.right.ndim == 1
        and record.confusion.dtype.kind == "i"
        and record.confusion.shape == (classes, classes)
        and bool((record.confusion >= 0).all() and record.confusion.sum() == record.clips)
        and [each.shape for each in record.neuron_spikes] == shapes
        and (record.source_events is None or record.source_events.shape == (sources,))
        and all(each.dtype == np.float64 and bool((np.isfinite(each) & (each >= 0)).all()) for each in rates)
    )
    if not sound:
        raise ValueError("observed.npz: not of this network")
    for example in record.examples:
        if not (type(example.label) is type(example.length) is int and 0 <= example.label < classes):
            raise ValueError("observed.npz: an example of no class, or of no length")
        if not (1 <= example.length <= MAX_STEPS and _are_events(example.events, example.length, sources)):
            raise ValueError("observed.npz: events outside the clip, or not of this network")


def _are_events(events: Events | NDArray[Any], length: int, sources: int) -> bool:
    if isinstance(events, np.ndarray):
        return (
            events.ndim == 2
            and 1 <= len(events) <= length
            and events.shape[1] == sources
            and events.dtype.kind in "biuf"
            and bool(np.isfinite(events).all())
        )
    step, source, size = events
    return (
        step.ndim == 1
        and step.shape == source.shape == size.shape
        and step.dtype.kind in "iu"
        and source.dtype.kind in "iu"
        and size.dtype.kind in "biuf"
        and bool(np.isfinite(size).all())
        and (not len(step) or bool(step[0] >= 0 and step[-1] < length and (step[1:] >= step[:-1]).all()))
        and (not len(source) or bool(source.min() >= 0 and source.max() < sources))
    )


def _from_arrays(about: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> EvaluationRecord:
    examples = []
    for number, example in enumerate(about["examples"]):
        if f"frames_{number}" in arrays:
            examples.append(Example(**example, events=arrays[f"frames_{number}"]))
        else:
            step, source, size = (arrays[f"{name}_{number}"] for name in ("step", "source", "size"))
            examples.append(Example(**example, events=(step, source, size)))
    complete = about["version"] == _VERSION or "source_events" not in arrays  # of real numbers it always was
    layers = sum(name.startswith("neuron_spikes_") for name in arrays)
    return EvaluationRecord(
        split=about["split"],
        clips=about["clips"],
        available=about["there"],
        confusion=arrays["confusion"],
        right=arrays["right"],
        fingerprint=about["which"],
        neuron_spikes=tuple(arrays[f"neuron_spikes_{number}"] for number in range(layers)),
        source_events=arrays.get("source_events") if complete else None,
        speakers={name: (right, clips) for name, (right, clips) in about["speakers"].items()},
        examples=tuple(examples),
        complete=complete,
    )
