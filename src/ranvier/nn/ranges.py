"""Parameters that keep a range, or zeros, whatever an optimiser does."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

_RANGE = "_ranvier_range"  # marks a parameter that has one
_STEPPED = "_ranvier_stepped"  # and one that an optimiser has moved
_MASK = "_ranvier_mask"  # and one some of whose values stay 0


@torch.no_grad()
def _keep_in_range(optimiser: Optimizer, *_: Any) -> None:
    """After a step of any optimiser: bring those of its parameters that have a range back into it, and what a mask
    leaves out back to 0."""
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            kept = getattr(parameter, _RANGE, None)
            if kept is not None:
                parameter.clamp_(*kept)
                setattr(parameter, _STEPPED, True)
            mask = getattr(parameter, _MASK, None)
            if mask is not None:  # momentum and weight decay know nothing of it
                parameter.mul_(mask)


register_optimizer_step_post_hook(_keep_in_range)


def mark_mask(parameter: Tensor, mask: Tensor | None) -> None:
    """Keep ``parameter`` at 0 where ``mask``, bool of its shape, is False; None: nowhere."""
    setattr(parameter, _MASK, mask)


def was_stepped(parameter: Tensor) -> bool:
    """Whether an optimiser has moved a parameter that has a range."""
    return getattr(parameter, _STEPPED, False)


class WithRanges(nn.Module):
    """A module some of whose parameters are brought back into a range after a step of any of torch's optimisers."""

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest value of such parameters, by their name; fixed once they are there."""
        raise NotImplementedError

    def mark_ranges(self) -> None:
        """To be called when the parameters have been made."""
        for name, kept in self.ranges().items():
            setattr(getattr(self, name), _RANGE, kept)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.mark_ranges()  # a copied parameter has lost its mark

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.mark_ranges()  # on some devices the parameter is another one
        return self

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        self.mark_ranges()  # so has one that was assigned
