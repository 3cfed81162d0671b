"""Every recipe that comes with Ranvier: complete, told, and the same after it has been written into a run folder."""

from __future__ import annotations

import tomllib

import pytest
import tomli_w

from ranvier.recipes.config import build_config, settings
from ranvier.recipes.recipe_files import load_values, recipe_names, recipe_text


def test_the_recipes_are_these() -> None:
    ablation = [f"shd{sparse}{kind}" for sparse in ("", "-sparse") for kind in ("-constant", "-fixed", "-none", "")]
    larger = ("-2l-2kc", "-3l-1kc", "-3l-2kc", "-dense-2l", "-dense-3l", "")
    others = [f"{data}{size}" for data in ("gsc", "ssc") for size in larger]
    variants = ["shd-dense", "shd-plif", "shd-stateful", "shd-published", "ssc-published", "gsc-published"]
    assert recipe_names() == sorted(
        [
            "coincidence",
            "digits",
            "folder",
            "fsdd",
            "localisation",
            "motion",
            "motion-fine",
            "psmnist",
            "wisdm",
            *variants,
            *ablation,
            *others,
        ]
    )


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_complete_and_survives_its_own_writing(name: str) -> None:
    config = build_config(load_values(name))
    assert config.name == name
    assert config.summary
    assert config.protocol == ("paper" if name == "shd-published" else "honest")
    written = tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))
    assert build_config(tomllib.loads(written)) == config


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_says_how_it_is_run(name: str) -> None:
    header = [line for line in recipe_text(name).splitlines() if line.startswith("#")]
    assert any("ranvier train" in line for line in header)


@pytest.mark.parametrize("name", recipe_names())
def test_every_field_is_described(name: str) -> None:
    for field, info in settings(load_values(name)):
        assert info.description, field
        if field.endswith("_ms"):
            assert "[ms" in info.description, field
