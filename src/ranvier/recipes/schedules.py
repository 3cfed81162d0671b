"""How learning rates go, and the average of what they lead to."""

from __future__ import annotations

from torch import nn
from torch.optim import Adam
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Schedule = OneCycleLR | CosineAnnealingLR | ConstantLR
_ONE_CYCLE_START = 25  # the peak rate divided by this: torch's own default, which the published recipe uses


def moving_average(model: nn.Module, decay: float) -> AveragedModel | None:
    """The exponential moving average of all parameters, beside the model's own buffers; None without one."""
    if decay == 0:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]


def weight_schedule(weights: Adam, name: str, total: int) -> Schedule:
    """The schedule of that name, from the learning rate that ``weights`` has as its highest, over ``total`` steps.

    One step is at that rate: torch's one cycle of a single step would be at its end, 250,000 times lower.
    """
    if name == "constant" or total == 1:
        return ConstantLR(weights, factor=1.0)
    if name == "cosine":
        return CosineAnnealingLR(weights, total)
    return OneCycleLR(weights, weights.defaults["lr"], total_steps=total, div_factor=_ONE_CYCLE_START)
