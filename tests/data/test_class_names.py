"""Two lists of class names: the same names are the same classes, whatever their order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ranvier.data import DataError, SpikeDataset, write_recording
from ranvier.data.class_names import match_classes, plain_name, with_classes
from ranvier.recipes.config import build_config
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.splits import build_splits

ANIMALS = ("cat", "dog", "owl")
COMPOSED, DECOMPOSED = "\u00e9", "e\u0301"


@pytest.mark.parametrize(
    ("reference", "other", "places", "by_number"),
    [
        (ANIMALS, ANIMALS, [0, 1, 2], False),
        (ANIMALS, ("owl", "cat", "dog"), [2, 0, 1], False),
        (ANIMALS, ("owl", "dog"), [2, 1], False),
        (ANIMALS, ("0", "1", "2"), [0, 1, 2], True),
        (ANIMALS, ("0", "1"), [0, 1], True),
        (("0", "1", "2"), ANIMALS, [0, 1, 2], True),
        (("0", "1", "2"), ("0", "1"), [0, 1], True),
        (("0", "1", "2"), ("2", "1"), [2, 1], False),
        (("0", "1", "10", "2"), ("2", "10"), [3, 2], False),
        (("a", COMPOSED), (DECOMPOSED,), [1], False),
    ],
)
def test_classes_are_found_by_name_and_by_number_where_there_are_no_names(
    reference: Sequence[str], other: Sequence[str], places: list[int], by_number: bool
) -> None:
    match = match_classes(reference, other)
    assert match.places.dtype == np.int64
    assert (match.places.tolist(), match.by_number) == (places, by_number)


@pytest.mark.parametrize(
    "other", [("cow", "pig", "hen"), ("cat", "dog", "cow"), ("Cat",), ("0", "1", "2", "3"), ("1", "0"), ("zero",)]
)
def test_unknown_classes_are_refused_with_both_lists(other: Sequence[str]) -> None:
    with pytest.raises(DataError) as error:
        match_classes(ANIMALS, other)
    assert all(name in str(error.value) for name in (*ANIMALS, *other))


def test_numerals_are_digits_only_where_that_is_asked_for() -> None:
    digits = ("0", "1", "2")
    assert match_classes(digits, ("Two", "zero"), numerals=True).places.tolist() == [2, 0]
    assert match_classes(ANIMALS, ("two", "owl"), numerals=True, partial=True).places.tolist() == [-1, 2]
    assert match_classes(ANIMALS, digits, partial=True).places.tolist() == [-1, -1, -1]
    assert plain_name(DECOMPOSED) == COMPOSED


def test_classes_that_are_numbers_come_in_their_order() -> None:
    from ranvier.audio.write_encoded import _names

    assert _names(["10", "b", "2", "a", "1", "2"]) == ("1", "2", "10", "a", "b")


def spoken(path: Path, said: Sequence[str], keys: Sequence[str]) -> None:
    """A clip per name, one event at ten times the name's place among the animals."""
    write_recording(
        path,
        [np.array([0.005 + 0.01 * ANIMALS.index(name)]) for name in said],
        [np.array([ANIMALS.index(name)]) for name in said],
        np.array([keys.index(name) for name in said]),
        classes=keys,
        speakers=np.arange(len(said)) % 2,
    )


def test_labels_count_by_the_names_that_are_asked_for() -> None:
    one = np.zeros(1, np.int64)
    made = SpikeDataset.pack(
        [(one, one, one)] * 3, labels=np.array([0, 1, 1]), speakers=None, classes=("owl", "cat"), sources=1, dt_ms=1.0
    )
    named, by_number = with_classes(made, ANIMALS)
    assert (named.labels.tolist(), named.classes, by_number) == ([2, 0, 0], ANIMALS, False)
    assert made.labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize("recipe", ["shd", "ssc"])
def test_all_files_of_a_data_set_count_by_the_classes_of_its_training_file(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "cache"))
    spoken(tmp_path / f"{recipe}_train.h5", ANIMALS * 2, ANIMALS)
    for name in ("valid", "test"):
        spoken(tmp_path / f"{recipe}_{name}.h5", ["owl", "cat"], ("owl", "dog", "cat"))
    values = load_values(recipe)
    values["data"] |= {"root": str(tmp_path)}
    if recipe == "shd":
        values["data"] |= {"validation": "none"}
    splits = build_splits(build_config(values))
    held_out = [splits.read_test(), *([splits.validation] if recipe == "ssc" else [])]
    for part in held_out:
        assert part is not None
        assert part.dataset.classes == ANIMALS
        assert part.dataset.labels.tolist() == [2, 0]
    spoken(tmp_path / f"{recipe}_test.h5", ["owl", "cat"], ("owl", "dog", "cat", "cow"))
    with pytest.raises(DataError, match=rf"{recipe}_test\.h5: classes cow"):
        splits.read_test()


def test_classes_that_could_not_be_frozen_are_refused_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "cache"))
    spoken(tmp_path / "shd_train.h5", ANIMALS, (*ANIMALS, "a\u202eb"))
    values = load_values("shd")
    values["data"] |= {"root": str(tmp_path), "validation": "none"}
    with pytest.raises(DataError, match="classes: number 3"):
        build_splits(build_config(values))
