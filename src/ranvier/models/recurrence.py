"""What recurrent connections the hidden layers of a network have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ranvier.models.factories import make
from ranvier.nn import DelayLinear, Recurrent

RecurrentType = Literal["undelayed", "synaptic", "axonal", "dendritic"]
_LONGEST = 32767  # steps: as a network file holds them


@dataclass(frozen=True)
class Recurrence:
    """Recurrent connections of every hidden layer, from all of its neurons to all.

    Attributes:
        delay_type: ``undelayed`` (all of one step), or whose delays they are, see :class:`ranvier.nn.DelayLinear`.
        max_init_delay: delays start uniform in [1, max_init_delay] steps; nothing bounds them in training.
        learn_delay: False keeps the delays where they start.
        dropout: see :class:`ranvier.nn.Recurrent`.
        bias: the connections have a learned constant for each target.
        connection: makes them, with other options by :func:`functools.partial`, for example
            ``partial(DelayLinear, kernel="delrec")``.
    """

    delay_type: RecurrentType
    max_init_delay: float = 1.0
    learn_delay: bool = True
    dropout: float = 0.0
    bias: bool = False
    connection: Callable[..., DelayLinear] = DelayLinear

    def around(self, neuron: nn.Module, neurons: int, generator: torch.Generator | None) -> Recurrent:
        """``neurons`` of a kind with recurrent connections among them."""
        delayed = self.delay_type != "undelayed"
        connection = make(
            "recurrence.connection",
            self.connection,
            neurons,
            neurons,
            _LONGEST if delayed else 1,
            sigma=1.0,
            learn_delay=delayed and self.learn_delay,
            delay_type="axonal" if self.delay_type == "undelayed" else self.delay_type,
            bias=self.bias,
            max_init_delay=self.max_init_delay if delayed else 1.0,
            min_delay=1,
            generator=generator,
        )
        return Recurrent(neuron, connection, dropout=self.dropout)
