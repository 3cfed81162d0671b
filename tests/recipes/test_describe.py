"""The few sentences that a report begins with."""

from __future__ import annotations

import pytest

from ranvier.recipes.config import build_config
from ranvier.recipes.describe import describe_run
from ranvier.recipes.recipe_files import load_values, recipe_names
from ranvier.runs import InitFrom
from tests.results import run_result


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_described_in_a_few_words(name: str) -> None:
    config = build_config(load_values(name))
    summary, network = describe_run(config, None, None)
    assert summary.rstrip(".").lower() == config.summary.rstrip(".").lower()
    assert f"{config.data.dt_ms:g} ms" in network
    delayed = config.model.delays != "none" and config.model.max_delay_ms > 0
    assert (f"0 to {config.model.max_delay_ms:g} ms" in network) == delayed
    assert len(network.split()) < 50


@pytest.mark.parametrize("name", ["digits", "motion"])
@pytest.mark.parametrize("way", [{"train.prune": "delay"}, {"train.rewire": "rigl"}])
def test_the_share_of_synapses_that_is_left_is_told(name: str, way: dict[str, str]) -> None:
    config = build_config(load_values(name), {"train.density": "0.125", **way})
    _, network = describe_run(config, None, None)
    assert "12.5% of each layer's synapses" in network
    assert ("pruned" in network) == ("train.prune" in way)


def test_what_it_started_from_and_its_clips_are_told() -> None:
    config = build_config(load_values("digits"))
    init = InitFrom(run="other", recipe="shd", classes=("a", "b"), interpolation=0.5)
    result = run_result(init_from=init, clips={"train": 1400, "validation": 0, "test": 20})
    *_, start, clips = describe_run(config, result, None)
    assert "other" in start
    assert "50%" in start
    assert [word for word in clips.replace(".", "").split() if word[0].isdigit()] == ["1,400", "20"]
