"""Run a frozen network over clips for the record that a report is made of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ranvier.data import FrameDataset, SpikeDataset, Subset
from ranvier.data.class_names import with_classes
from ranvier.network import Network
from ranvier.recipes.evaluation import Evaluation, evaluate
from ranvier.runs import EvaluationRecord, Example

_MOST_CLIPS = 2000  # of a split whose accuracy is known already; more are evenly thinned
_MOST_SPEAKERS = 20
_RIGHT, _WRONG = 3, 2  # clips to look at


def observe(
    network: Network,
    part: Subset,
    split: str,
    *,
    evaluation: Evaluation | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> EvaluationRecord:
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
    known = [speaker for speaker in np.unique(speakers) if speaker >= 0]

    def name(speaker: int) -> str:
        return "" if speaker < 0 else dataset.speaker_names[speaker] if dataset.speaker_names else str(speaker)

    def example(place: int) -> Example:
        clip = int(clips[place])
        return Example(int(labels[place]), name(int(speakers[place])), int(dataset.lengths[clip]), dataset.clip(clip))

    shown = [*_first(right, labels, _RIGHT), *_first(~right, labels, _WRONG)]
    return EvaluationRecord(
        split=split,
        clips=len(clips),
        available=len(part),
        confusion=evaluation.confusion,
        right=right,
        fingerprint=_fingerprint(dataset, clips),
        neuron_spikes=evaluation.neuron_spikes,
        source_events=None if isinstance(dataset, FrameDataset) else _source_events(dataset, clips),
        speakers={
            name(speaker): (int(right[speakers == speaker].sum()), int((speakers == speaker).sum()))
            for speaker in (known if len(known) <= _MOST_SPEAKERS else [])
        },
        examples=tuple(example(place) for place in shown),
    )


def _fingerprint(dataset: SpikeDataset | FrameDataset, clips: NDArray[np.int64]) -> str:
    """The same for the same clips, however they are counted: two networks may have steps of different length."""
    whole = hashlib.sha256(repr((len(dataset), dataset.classes)).encode())
    for values in (clips, dataset.labels[clips], dataset.speakers[clips]):
        whole.update(np.ascontiguousarray(values, np.int64).tobytes())
    return whole.hexdigest()


def _source_events(dataset: SpikeDataset, clips: NDArray[np.int64]) -> NDArray[np.float64]:
    total = np.zeros(dataset.sources)
    for clip in clips:
        # one for each time step and source, with how many there were as its size
        _, source, _ = dataset.clip(int(clip))
        total += np.bincount(source, minlength=len(total))
    return total / len(clips)


def _first(wanted: NDArray[np.bool_], labels: NDArray[np.int64], most: int) -> list[int]:
    """The first clips that are wanted, of classes that differ."""
    places: dict[int, int] = {}
    for place in np.flatnonzero(wanted):
        places.setdefault(int(labels[place]), int(place))
    return sorted(places.values())[:most]
