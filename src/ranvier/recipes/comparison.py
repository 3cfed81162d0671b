"""The recipes that a recipe is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ranvier.recipes.sections import FeedforwardModel

if TYPE_CHECKING:
    from ranvier.recipes.config import Config


def compared_with(config: Config, delays: str) -> Config:
    """The same with delays that are ``fixed`` or ``none``, at ``compare_weight_lr``, and nothing to compare with.

    Options that go with learned delays alone, or with delays, are off where there are none.
    """
    model: dict[str, Any] = {"delays": delays}
    if isinstance(config.model, FeedforwardModel):
        model["learn_sigma"] = "none"
        if delays == "none":
            model["delay_bits"] = None
    sections = {
        "model": config.model.model_copy(update=model),
        "train": config.train.model_copy(update={"weight_lr": config.compare_weight_lr or config.train.weight_lr}),
    }
    return config.model_copy(update={**sections, "compare": ()})
