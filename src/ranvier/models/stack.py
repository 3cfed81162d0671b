"""Layers one after the other, with their states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn


class Stack(nn.Sequential):
    """Modules one after the other, each of which keeps ``(x, state=None) -> (y, state)`` or returns ``y`` alone.

    A stack keeps the former itself, so stacks may be stacked. As an ``nn.Sequential`` it can be indexed and takes an
    ordered dictionary of named modules. :func:`ranvier.models.freeze` freezes stacks of our layers.

        Stack(DelayLinear(140, 64, 24), LIF(0.9), DelayLinear(64, 20, 24), Readout(0.9))
    """

    def forward(self, x: Tensor, state: Sequence[Any] | None = None) -> tuple[Tensor, list[Any]]:
        """Run a stretch of a stream.

        Args:
            x: ``[time, batch, source]``.
            state: what the call before returned; None starts from silence.

        Returns:
            What the last module returns, and the state of every module (None of one that has none).

        Raises:
            ValueError: the state is not one of as many modules.
        """
        if state is not None and len(state) != len(self):
            raise ValueError(f"state: of {len(state)} modules is not allowed ({len(self)} modules)")
        after = []
        for number, module in enumerate(self):
            before = None if state is None else state[number]
            result = module(x) if before is None else module(x, before)
            x, own = result if isinstance(result, tuple) else (result, None)
            after.append(own)
        return x, after
