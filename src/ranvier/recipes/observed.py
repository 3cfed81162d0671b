"""What a frozen network did with clips, kept beside the run (``observed.npz``): a report need not run it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.analysis.report import Example, Observed
from ranvier.data import FrameDataset, SpikeDataset, Subset
from ranvier.data.class_names import with_classes
from ranvier.engine import Engine
from ranvier.files import write_atomically
from ranvier.network import MAX_STEPS, Network
from ranvier.recipes.evaluate import Evaluation, evaluate
from ranvier.recipes.pretrained import is_pretrained
from ranvier.recipes.run_values import parse_json

_VERSION = 2  # what it added: which clips were right, and the events of every source
_MOST_CLIPS = 2000  # of a split whose accuracy is known already; more are evenly thinned
_MOST_SPEAKERS = 20
_MOST_BYTES = 2**28  # of all its arrays
_MOST_COUNT = 2**53
_RIGHT, _WRONG = 3, 2  # clips to look at


def observe(
    network: Network,
    part: Subset,
    split: str,
    *,
    evaluation: Evaluation | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Observed:
    """Run a network over clips, and choose a few to look at: the first right and wrong ones of different classes.

    Args:
        network: what to run.
        part: the clips.
        split: what they are, as the report names them.
        evaluation: what it did with all of them, where that is known already.
        progress: called with (clips run, clips in all).

    Raises:
        DataError: the clips' classes are not the network's.
    """
    dataset, clips = part.dataset, part.clips
    named, _ = with_classes(dataset, network.classes)
    if evaluation is None:
        if len(clips) > _MOST_CLIPS:
            clips = clips[np.linspace(0, len(clips) - 1, _MOST_CLIPS).round().astype(np.int64)]
        evaluation = evaluate(network, dataset, clips, progress=progress)
    labels = named.labels[clips]
    right = evaluation.predictions == labels
    speakers = dataset.speakers[clips]
    there = [speaker for speaker in np.unique(speakers) if speaker >= 0]

    def name(speaker: int) -> str:
        return "" if speaker < 0 else dataset.speaker_names[speaker] if dataset.speaker_names else str(speaker)

    def example(place: int) -> Example:
        clip = int(clips[place])
        return Example(int(labels[place]), name(int(speakers[place])), int(dataset.lengths[clip]), dataset.clip(clip))

    shown = [*_first(right, labels, _RIGHT), *_first(~right, labels, _WRONG)]
    return Observed(
        split=split,
        clips=len(clips),
        there=len(part),
        confusion=evaluation.confusion,
        right=right,
        which=_which(dataset, clips),
        neuron_spikes=evaluation.neuron_spikes,
        source_events=None if isinstance(dataset, FrameDataset) else _source_events(dataset, clips),
        speakers={
            name(speaker): (int(right[speakers == speaker].sum()), int((speakers == speaker).sum()))
            for speaker in (there if len(there) <= _MOST_SPEAKERS else [])
        },
        examples=tuple(example(place) for place in shown),
    )


def _which(dataset: SpikeDataset | FrameDataset, clips: NDArray[np.int64]) -> str:
    """The same for the same clips, however they are counted: two networks may have steps of different length."""
    whole = hashlib.sha256(repr((len(dataset), dataset.classes)).encode())
    for values in (clips, dataset.labels[clips], dataset.speakers[clips]):
        whole.update(np.ascontiguousarray(values, np.int64).tobytes())
    return whole.hexdigest()


def _source_events(dataset: SpikeDataset, clips: NDArray[np.int64]) -> NDArray[np.float64]:
    total = np.zeros(dataset.sources)
    for clip in clips:
        _, source, size = dataset.clip(int(clip))
        total += np.bincount(source, size, minlength=len(total))
    return total / len(clips)


def _first(wanted: NDArray[np.bool_], labels: NDArray[np.int64], most: int) -> list[int]:
    """The first clips that are wanted, of classes that differ."""
    places: dict[int, int] = {}
    for place in np.flatnonzero(wanted):
        places.setdefault(int(labels[place]), int(place))
    return sorted(places.values())[:most]


def keep_observed(folder: Path, observed: Observed, data: str) -> None:
    """Write ``observed.npz`` into a run's folder, unless it is the package's; ``data`` says what clips these are."""
    if is_pretrained(folder):
        return
    about: dict[str, Any] = {
        "version": _VERSION,
        "network": _fingerprint(folder),
        "data": data,
        "split": observed.split,
        "clips": observed.clips,
        "there": observed.there,
        "which": observed.which,
        "speakers": {name: list(counts) for name, counts in observed.speakers.items()},
        "examples": [{"label": e.label, "speaker": e.speaker, "length": e.length} for e in observed.examples],
    }
    arrays: dict[str, NDArray[Any]] = {
        "about": np.array(json.dumps(about)),
        "confusion": observed.confusion,
        "right": observed.right,
    }
    if observed.source_events is not None:
        arrays["source_events"] = observed.source_events
    for number, rates in enumerate(observed.neuron_spikes):
        arrays[f"neuron_spikes_{number}"] = rates
    for number, example in enumerate(observed.examples):
        if isinstance(example.events, np.ndarray):
            arrays[f"frames_{number}"] = example.events
        else:
            for name, values in zip(("step", "source", "size"), example.events, strict=True):
                arrays[f"{name}_{number}"] = values
    with write_atomically(folder / "observed.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def kept_observed(folder: Path, data: str) -> Observed | None:
    """What :func:`keep_observed` wrote, if it is of this network and these clips; None if not, or if it is damaged."""
    file = folder / "observed.npz"
    if not file.is_file():
        return None
    try:
        # opened here, for NumPy leaves a damaged file open
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            if sum(part.file_size for part in arrays.zip.infolist()) > _MOST_BYTES:
                return None
            about = parse_json(str(arrays["about"]))
            if (about["version"], about["network"], about["data"]) != (_VERSION, _fingerprint(folder), data):
                return None
            observed = _from_arrays(about, dict(arrays))
        _check(observed, Network.read(folder / "network.safetensors"))
        return observed
    except Exception:  # NumPy, zip and zlib raise many kinds for a damaged file, which is then made anew
        return None


def _check(observed: Observed, network: Network) -> None:
    """Raise ValueError where something is not what :func:`observe` gives of this network."""
    classes, sources = len(network.classes), network.sources
    counts = [observed.clips, observed.there, *(n for pair in observed.speakers.values() for n in pair)]
    names = [observed.split, observed.which, *observed.speakers, *(each.speaker for each in observed.examples)]
    rates = [*observed.neuron_spikes, *([] if observed.source_events is None else [observed.source_events])]
    shapes = [(layer.targets,) for layer in network.layers[:-1]]
    sound = (
        all(type(count) is int and 0 <= count <= _MOST_COUNT for count in counts)
        and 1 <= observed.clips == len(observed.right) <= observed.there
        and all(0 <= right <= clips and clips for right, clips in observed.speakers.values())
        and all(isinstance(name, str) for name in names)
        and observed.right.dtype == np.bool_
        and observed.right.ndim == 1
        and observed.confusion.dtype.kind == "i"
        and observed.confusion.shape == (classes, classes)
        and bool((observed.confusion >= 0).all() and observed.confusion.sum() == observed.clips)
        and [each.shape for each in observed.neuron_spikes] == shapes
        and (observed.source_events is None or observed.source_events.shape == (sources,))
        and all(each.dtype == np.float64 and bool((np.isfinite(each) & (each >= 0)).all()) for each in rates)
    )
    if not sound:
        raise ValueError("observed.npz: not of this network")
    engine = Engine(network)
    for example in observed.examples:
        if type(example.label) is not int or not 0 <= example.label < classes or example.length > MAX_STEPS:
            raise ValueError("observed.npz: an example of no class, or without end")
        engine.run(example.events, example.length)


def _from_arrays(about: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Observed:
    examples = []
    for number, example in enumerate(about["examples"]):
        if f"frames_{number}" in arrays:
            examples.append(Example(**example, events=arrays[f"frames_{number}"]))
        else:
            step, source, size = (arrays[f"{name}_{number}"] for name in ("step", "source", "size"))
            examples.append(Example(**example, events=(step, source, size)))
    layers = sum(name.startswith("neuron_spikes_") for name in arrays)
    return Observed(
        split=about["split"],
        clips=about["clips"],
        there=about["there"],
        confusion=arrays["confusion"],
        right=arrays["right"],
        which=about["which"],
        neuron_spikes=tuple(arrays[f"neuron_spikes_{number}"] for number in range(layers)),
        source_events=arrays.get("source_events"),
        speakers={name: (right, clips) for name, (right, clips) in about["speakers"].items()},
        examples=tuple(examples),
    )


def _fingerprint(folder: Path) -> str:
    return hashlib.sha256((folder / "network.safetensors").read_bytes()).hexdigest()
