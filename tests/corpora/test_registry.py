"""The data sets that come with the package."""

from __future__ import annotations

from typing import get_args

import pytest

from ranvier.corpora import corpus_class, corpus_names
from ranvier.corpora.registry import corpus_summary
from ranvier.errors import ConfigError
from ranvier.recipes.recipe_files import load_values, recipe_names


def test_every_recipe_is_of_one_and_every_one_has_a_recipe() -> None:
    assert {load_values(name)["data"]["kind"] for name in recipe_names()} == set(corpus_names())


@pytest.mark.parametrize("name", corpus_names())
def test_each_says_what_it_is(name: str) -> None:
    corpus = corpus_class(name)
    assert get_args(corpus.model_fields["kind"].annotation) == (name,)
    assert corpus_summary(name)
    assert all(field.description for field_name, field in corpus.model_fields.items() if field_name != "kind")
    assert "honest" in corpus.protocols
    assert not corpus.__abstractmethods__


@pytest.mark.parametrize("kind", [None, 3, "", "SHD", ["shd"]])
def test_one_that_is_not_there_is_refused_with_those_that_are(kind: object) -> None:
    with pytest.raises(
        ConfigError,
        match=r"^data\.kind: .* \(digits, coincidence, localisation, motion, shd, ssc, gsc, psmnist, wisdm, folder\)$",
    ):
        corpus_class(kind)
