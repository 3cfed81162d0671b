"""Evaluation: whose class is whose, which mistakes are the commonest, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ranvier.data import DataError, SpikeDataset, Subset, write_recording
from ranvier.network import Decoding, Input, Network
from ranvier.recipes.evaluation import evaluate, evaluate_file
from ranvier.recipes.observe import observe
from ranvier.recipes.probe import find_clips, probe
from tests.networks import chained, dense_layer

ANIMALS = ("cat", "dog", "owl")


def animals() -> Network:
    """Says the class whose channel has most events, without a fault."""
    ones = np.ones(3, np.float32)
    weight = np.eye(3, dtype=np.float32)[None]
    layer = dense_layer(weight, np.zeros(weight.shape, np.int16), 0 * ones, 0.9 * ones, np.inf * ones, 0)
    return chained(10.0, (layer,), ANIMALS, Input(3), Decoding())


def clips(said: Sequence[int], classes: Sequence[str], labels: Sequence[int]) -> SpikeDataset:
    """Clips of ten events each on the channels that ``said`` has."""
    steps, ones = np.arange(10), np.ones(10, np.int64)
    return SpikeDataset.pack(
        [(steps, channel * ones, ones) for channel in said],
        labels=np.array(labels),
        speakers=None,
        classes=classes,
        sources=3,
        dt_ms=10.0,
    )


@pytest.mark.parametrize(
    ("keys", "said", "by_number"),
    [
        (ANIMALS, "cat dog owl", False),
        (("dog", "owl"), "dog owl dog", False),
        (("owl", "cat", "dog"), "cat dog owl owl", False),
        (("0", "1", "2"), "0 1 2 2", True),
    ],
)
def test_a_network_without_a_fault_has_none_whatever_the_order_of_the_names(
    keys: tuple[str, ...], said: str, by_number: bool
) -> None:
    labels = [keys.index(name) for name in said.split()]
    channels = [label if by_number else ANIMALS.index(keys[label]) for label in labels]
    made, network = clips(channels, keys, labels), animals()
    evaluation = evaluate(network, made)
    assert evaluation.accuracy.value == 1.0
    assert evaluation.classes == ANIMALS
    assert np.diag(evaluation.confusion).tolist() == np.bincount(channels, minlength=3).tolist()
    assert (evaluation.by_number, evaluation.as_dict()["classes_matched_by"]) == (
        by_number,
        "number" if by_number else "name",
    )
    seen = observe(network, Subset(made, np.arange(len(made))), "test")
    assert seen.right.all()
    assert [example.label for example in seen.examples] == list(dict.fromkeys(channels))
    assert probe(network, made, np.arange(len(made)))[0].accuracy.value == 1.0


def recorded(path: Path, keys: Sequence[str]) -> Path:
    units = [np.full(10, channel) for channel in (2, 0)]
    write_recording(path, [np.arange(10) * 0.01 + 0.005] * 2, units, np.array([0, 1]), classes=keys)
    return path


def test_a_file_goes_by_its_names_and_foreign_names_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "n.safetensors"
    animals().write(file)
    assert evaluate_file(file, recorded(tmp_path / "a.h5", ("owl", "cat"))).accuracy.correct == 2
    network, dataset, chosen, what = find_clips(file, recorded(tmp_path / "b.h5", ("owl", "cat")))
    assert (network.classes, dataset.labels[chosen].tolist(), what) == (ANIMALS, [2, 0], str(tmp_path / "b.h5"))
    unnamed = recorded(tmp_path / "c.h5", ())
    assert evaluate_file(file, unnamed).by_number
    assert "by number" in find_clips(file, unnamed)[3]
    foreign = recorded(tmp_path / "d.h5", ("cow", "pig"))
    for refused in (lambda: evaluate_file(file, foreign), lambda: find_clips(file, foreign)):
        with pytest.raises(DataError, match=r"d\.h5: classes cow, pig .*cat, dog, owl"):
            refused()


def test_the_commonest_mistakes_come_first_and_each_says_true_then_predicted() -> None:
    # cat taken for dog once, dog for owl three times, owl for cat twice; two cats are right
    said, labels = [1, 2, 2, 2, 0, 0, 0, 0], [0, 1, 1, 1, 2, 2, 0, 0]
    evaluation = evaluate(animals(), clips(said, ANIMALS, labels))
    assert evaluation.worst_pairs() == [("dog", "owl", 3), ("owl", "cat", 2), ("cat", "dog", 1)]
    assert evaluation.worst_pairs(2) == [("dog", "owl", 3), ("owl", "cat", 2)]
    assert evaluation.as_dict()["worst_pairs"][0] == {"true": "dog", "predicted": "owl", "clips": 3}


@pytest.mark.parametrize(
    ("change", "chosen", "message"),
    [
        ({"dt_ms": 5.0}, None, "steps of 5 ms"),
        ({"sources": 4}, None, "4 sources"),
        ({}, np.array([2]), "clips: 2 ... 2"),
        ({}, np.array([-1]), "clips: -1"),
        ({}, np.array([True, False]), "clips: bool"),
        ({}, np.array([0.0]), "clips: float64"),
        ({}, np.array([], np.int64), "clips: none"),
    ],
)
def test_clips_of_another_grid_and_clips_that_are_not_there_are_refused(
    change: dict[str, Any], chosen: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        evaluate(animals(), replace(clips([0, 1], ANIMALS, [0, 1]), **change), chosen)
