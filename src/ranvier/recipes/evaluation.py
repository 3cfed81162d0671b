"""How good is a frozen network? Through the engine, without torch."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.analysis.intervals import clip_accuracy
from ranvier.data import DataError, Grid, SpikeDataset, read_recording
from ranvier.data.class_names import with_classes
from ranvier.data.dataset import check_clips
from ranvier.data.frames import FrameDataset
from ranvier.engine import Engine
from ranvier.network import Network
from ranvier.runs import Accuracy


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network did with a data set.

    Attributes:
        accuracy: share of clips it got right, with its interval.
        predictions: ``[clip]`` index of the predicted class.
        confusion: ``[true class, predicted class]`` clips.
        spikes_per_neuron: per hidden layer, mean spikes of a neuron in a clip.
        neuron_spikes: the same of every neuron, per hidden layer ``[neuron]``.
        classes: names of the network's classes.
        by_number: clips and network were matched by number, because one of them does not name its classes.
    """

    accuracy: Accuracy
    predictions: NDArray[np.int64]
    confusion: NDArray[np.int64]
    spikes_per_neuron: tuple[float, ...]
    neuron_spikes: tuple[NDArray[np.float64], ...]
    classes: tuple[str, ...]
    by_number: bool = False

    def worst_pairs(self, most: int = 5) -> list[tuple[str, str, int]]:
        """The commonest mistakes: true class, predicted class, clips."""
        wrong = self.confusion * (1 - np.eye(len(self.confusion), dtype=np.int64))
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        pairs = (np.unravel_index(place, wrong.shape) for place in order)
        return [
            (self.classes[true], self.classes[said], int(wrong[true, said]))
            for true, said in pairs
            if wrong[true, said]
        ]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "accuracy": self.accuracy.model_dump(),
            "worst_pairs": [{"true": t, "predicted": p, "clips": n} for t, p, n in self.worst_pairs()],
            "spikes_per_neuron_and_clip": [round(rate, 4) for rate in self.spikes_per_neuron],
            "confusion": self.confusion.tolist(),
            "classes": list(self.classes),
            "classes_matched_by": "number" if self.by_number else "name",
        }


def evaluate(
    network: Network,
    dataset: SpikeDataset | FrameDataset,
    clips: NDArray[np.int64] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Run every clip through the engine, on all cores.

    Args:
        network: what to run.
        dataset: clips on the network's grid; their classes are found by name, see
            :func:`~ranvier.data.class_names.match_classes`.
        clips: indices of the clips; None takes all.
        progress: called with (clips run, clips in all).

    Raises:
        DataError: the data set has classes that the network does not have, or is on another grid; or there is no clip.
    """
    dataset, by_number = with_classes(dataset, network.classes)
    _check_grid(network, dataset)
    clips = np.arange(len(dataset)) if clips is None else check_clips(clips, len(dataset))
    if not len(clips):
        raise DataError("clips: none (1 or more)")
    predictions, spikes = [], [np.zeros(layer.targets, np.int64) for layer in network.layers[:-1]]
    each = ((dataset.clip(clip), int(dataset.lengths[clip])) for clip in clips)
    for done, result in enumerate(Engine(network).run_many(each), 1):
        predictions.append(result.prediction)
        for total, raster in zip(spikes, result.spikes, strict=True):
            total += np.bincount(raster[:, 1], minlength=len(total))
        if progress is not None:
            progress(done, len(clips))
    predicted, labels = np.array(predictions, np.int64), dataset.labels[clips]
    confusion = np.zeros((len(network.classes),) * 2, np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    return Evaluation(
        accuracy=clip_accuracy(predicted == labels),
        predictions=predicted,
        confusion=confusion,
        spikes_per_neuron=tuple(float(total.sum()) / len(clips) / len(total) for total in spikes),
        neuron_spikes=tuple(total / len(clips) for total in spikes),
        classes=network.classes,
        by_number=by_number,
    )


def read_network(place: str | os.PathLike[str]) -> Network:
    """The network of a file, or of a run's folder.

    Raises:
        NetworkError: the file is damaged.
        FileNotFoundError: there is none.
    """
    return Network.read(Path(place) / "network.safetensors" if Path(place).is_dir() else place)


def _check_grid(network: Network, dataset: SpikeDataset | FrameDataset) -> None:
    sources = network.sources
    if dataset.sources != sources or not math.isclose(dataset.dt_ms, network.dt_ms, rel_tol=1e-9):
        raise DataError(
            f"clips of {dataset.sources} sources in steps of {dataset.dt_ms:g} ms ({sources} sources in steps of "
            f"{network.dt_ms:g} ms allowed, the network's)"
        )


def grid_of(network: Network) -> Grid:
    """The grid on which a recording is counted for a network."""
    return Grid(network.input.channels, network.input.pool, network.dt_ms, network.input.alignment)


def evaluate_file(
    place: str | os.PathLike[str],
    recording: str | os.PathLike[str],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Evaluate a frozen network, a file or that of a run's folder, on a recording in SHD's format.

    The recording is counted as the network says.

    Raises:
        NetworkError, DataError: a file is damaged or they do not fit together; the message says how.
        FileNotFoundError: a file is not there.
    """
    network = read_network(place)
    dataset = read_recording(recording, grid_of(network), classes=len(network.classes))
    try:
        return evaluate(network, dataset, progress=progress)
    except DataError as error:
        raise DataError(f"{recording}: {error}") from None
