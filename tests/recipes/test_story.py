"""What a report tells of a run, for every recipe: nothing that the run does not show."""

from __future__ import annotations

from typing import Any

import pytest

from ranvier.analysis.report import RunReport
from ranvier.recipes.config import build_config, flat_values, load_values, recipe_names
from ranvier.recipes.story import story


def told(recipe: str, clips: dict[str, int], speakers: dict[str, Any] | None = None, **fields: str) -> str:
    changes = {name.replace("__", "."): value for name, value in fields.items()}
    config = build_config(load_values(recipe), changes)
    report = RunReport(
        name="run",
        story=(),
        command="",
        settings=flat_values(config),
        epochs=config.train.epochs,
        rows=[],
        result={"clips": clips, "accuracy": speakers or {}},
        network=None,
        observed=None,
    )
    return " ".join(story(config, report))


CLIPS = {"train": 6051, "validation": 1787, "seen": 318, "test": 0}


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_recipe_has_a_story(recipe: str) -> None:
    text = told(recipe, {**CLIPS, "test": 20, "seen": 0})
    assert text.startswith("A network of spiking neurons (")
    assert "It heard 6,051 training clips" in text
    assert ("never heard" in text) == (
        recipe == "digits" or (recipe.startswith("shd") and recipe != "shd-published")
    )  # which chooses its epoch on the test set
    assert ("ten sources only" in text) == ("sparse" in recipe)


def test_speakers_that_were_held_out_are_told_with_their_number() -> None:
    parts = {"validation": {"speakers": {"10": {"correct": 1, "clips": 2}, "11": {"correct": 1, "clips": 2}}}}
    text = told("shd", CLIPS, parts)
    assert "1,787 validation clips of two speakers that it never heard decided which of its epochs is kept." in text
    assert "318 other clips of speakers that it heard in training were set aside, only to measure on." in text
    assert "There was no test file, so no number here is a test result." in text


@pytest.mark.parametrize("validation", ["fraction", "none"])
def test_clips_drawn_at_random_are_of_speakers_that_nobody_asked_about(validation: str) -> None:
    some = 0 if validation == "none" else 100
    text = told("shd", {"train": 900, "validation": some, "seen": 0, "test": 50}, data__validation=validation)
    assert "never heard" not in text
    assert ("decided" in text) == (some > 0)
    assert "At the end it was tested once, on 50 test clips." in text


def test_an_epoch_chosen_on_the_test_clips_is_no_test() -> None:
    text = told("shd", {"train": 900, "validation": 50, "seen": 0, "test": 50}, protocol="paper")
    assert "did best on the 50 test clips themselves" in text
    assert "tested once" not in text
    assert "never heard" not in text


@pytest.mark.parametrize(
    ("delays", "said"),
    [
        ("learned", "it learned its delay"),
        ("fixed", "stayed as they were drawn at random"),
        ("none", "there are no delays"),
        ("every", "a synapse for every delay"),
    ],
)
def test_the_story_is_of_these_delays(delays: str, said: str) -> None:
    assert said in told("shd", CLIPS, model__delays=delays)


def test_one_source_is_one() -> None:
    assert "from one source only" in told("shd", CLIPS, model__incoming="1")
