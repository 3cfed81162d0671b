"""Accuracy of a trained model on every split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ranvier.analysis.intervals import clip_accuracy, speaker_interval
from ranvier.corpora.splits import Splits
from ranvier.data import Subset
from ranvier.models import Stack
from ranvier.recipes.evaluation import Evaluation
from ranvier.recipes.predict import predict
from ranvier.runs import SplitAccuracy

_MOST_SPEAKERS = 20  # up to so many have an accuracy each


def split_accuracies(
    splits: Splits, model: Stack, test: Subset | None, tested: Evaluation | None, padded_batch: int | None
) -> dict[str, SplitAccuracy]:
    """Accuracy of the chosen epoch on every split that is there, by speaker too, and over speakers that are unseen."""
    accuracies: dict[str, SplitAccuracy] = {}
    for name, part in (("validation", splits.validation), ("seen", splits.seen)):
        if part is not None:
            right = predict(model, part, padded_batch=padded_batch) == part.dataset.labels[part.clips]
            accuracies[name] = _accuracy(splits, part, right)
    if test is not None and tested is not None:
        right = tested.predictions == test.dataset.labels[test.clips]
        accuracies["test"] = _accuracy(splits, test, right, [round(rate, 4) for rate in tested.spikes_per_neuron])
    return accuracies


def _accuracy(splits: Splits, part: Subset, right: NDArray[np.bool_], rates: Sequence[float] = ()) -> SplitAccuracy:
    speakers = {name: clip_accuracy(right[theirs]) for name, theirs in part.by_speaker().items()}
    return SplitAccuracy(
        **clip_accuracy(right).model_dump(),
        speakers=speakers if len(speakers) <= _MOST_SPEAKERS else {},
        over_speakers=speaker_interval(one.value for one in speakers.values()) if splits.unseen(part) else None,
        spikes_per_neuron_and_clip=tuple(rates),
    )
