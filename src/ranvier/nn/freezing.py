"""What a module that can be frozen says of itself, and the arrays it freezes to."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ranvier.network import Part


@runtime_checkable
class Freezable(Protocol):
    """A module with a frozen counterpart.

    A connection has ``freeze(source, norm=None) -> (network.Connection, bias)``, a neuron or what follows it
    ``freeze(targets) -> network.Neuron`` or ``network.Output``.
    """

    freezes_to: ClassVar[type[Part]]
    freeze: Any


def has_role(module: nn.Module, role: type[Part]) -> bool:
    """Whether a module's frozen counterpart is of that role (``network.Connection``, ``Neuron`` or ``Output``)."""
    return isinstance(module, Freezable) and issubclass(module.freezes_to, role)


def can_freeze(module: nn.Module, role: type[Part]) -> bool:
    """Whether a module has that role, and its ``freeze`` is of the class that computes it.

    A subclass that overrides ``forward`` and inherits ``freeze`` would be frozen to something that it is not.
    """
    if not has_role(module, role):
        return False
    order = type(module).__mro__
    computed, frozen = (next(n for n, c in enumerate(order) if name in c.__dict__) for name in ("forward", "freeze"))
    return frozen <= computed


def frozen_array(tensor: Tensor, *shape: int) -> NDArray[np.float32]:
    """A copy in single precision, spread to a shape where one is given."""
    array: NDArray[np.float32] = (tensor.expand(shape) if shape else tensor).detach().float().cpu().numpy().copy()
    return array
