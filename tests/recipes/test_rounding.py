"""What a training says of rounding its delays."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from ranvier.corpora.splits import Splits
from ranvier.models import Stack, feedforward
from ranvier.nn import DelayLinear, set_sigma
from ranvier.recipes.config import build_config
from ranvier.recipes.predict import predict
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.rounding import accuracy_before_rounding
from ranvier.recipes.splits import build_splits


@pytest.fixture(scope="module")
def splits() -> Splits:
    return build_splits(build_config(load_values("digits"), {}))


def model(splits: Splits, **fields: object) -> Stack:
    generator = torch.Generator().manual_seed(0)
    return feedforward(140, [32], 20, 24, decay=0.5, generator=generator, **fields)  # type: ignore[arg-type]


def delayed(stack: Stack) -> list[DelayLinear]:
    return [module for module in stack.modules() if isinstance(module, DelayLinear)]


def test_whole_delays_with_a_narrow_width_lose_nothing(splits: Splits) -> None:
    assert splits.validation is not None
    stack = model(splits)
    set_sigma(stack, 0.13)
    with torch.no_grad():
        for module in delayed(stack):
            module.delay.round_()
    found = accuracy_before_rounding(stack, splits, None)
    rounded = predict(stack, splits.validation) == splits.validation.dataset.labels[splits.validation.clips]
    assert found is not None
    assert found.correct == rounded.sum()
    assert not any(module.training for module in stack.modules())


def test_delays_between_two_steps_give_other_predictions(splits: Splits) -> None:
    assert splits.validation is not None
    stack = model(splits)
    set_sigma(stack, 2.0)
    with torch.no_grad():
        for module in delayed(stack):
            module.delay.copy_(module.delay.floor().clamp(max=23) + 0.49)
    as_trained = predict(stack, splits.validation, as_trained=delayed(stack))
    assert (as_trained != predict(stack, splits.validation)).mean() > 0.05
    found = accuracy_before_rounding(stack, splits, None)
    assert found is not None
    right = as_trained == splits.validation.dataset.labels[splits.validation.clips]
    assert (found.correct, found.clips) == (int(np.sum(right)), len(right))


def test_fixed_delays_have_nothing_to_round(splits: Splits) -> None:
    assert (
        accuracy_before_rounding(model(splits, connection=partial(DelayLinear, learn_delay=False)), splits, None)
        is None
    )
