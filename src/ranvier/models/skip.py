"""Connections of a layer that receives from earlier layers too."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ranvier import network
from ranvier.models.fused import computes_as
from ranvier.nn import DelayLayer, SequenceBatchNorm
from ranvier.nn.freezing import can_freeze, has_role


class SkipConnections(nn.Module):
    """The connection from the layer before and others from earlier layers, each with its own weights and delays. Their
    currents add up:

        I[t] = direct(x)[t] + sum over n of skips[n](y_n)[t]

    where ``x`` is what the layer before gives, ``y_0`` the input of the network, and ``y_n`` what its n-th layer gives,
    counted from 1: its spikes, or their traces, after dropout. It stands in a :class:`Stack`, or a stack within it,
    where the connection alone would; the outermost stack's layers count.

        Stack(
            DelayLinear(140, 64, 24), LIF(0.9),
            DelayLinear(64, 64, 24), LIF(0.9),
            SkipConnections(DelayLinear(64, 20, 24), {0: DelayLinear(140, 20, 24), 1: DelayLinear(64, 20, 24)}),
            Integrator(0.9),
        )

    Args:
        direct: from the layer before.
        skips: by the number of the layer that each is from, 0 for the input; one or more.

    Raises:
        TypeError: a connection is no layer with delays.
        ValueError: there are no skips, a number is negative, or connections have different numbers of targets.
    """

    freezes_to: ClassVar[type[network.Connection]] = network.Connection

    def __init__(self, direct: DelayLayer, skips: Mapping[int, DelayLayer]) -> None:
        super().__init__()
        if not skips or not all(type(number) is int and number >= 0 for number in skips):
            raise ValueError(f"skips: {list(skips)} is not allowed (numbers of layers, 0 or more, at least one)")
        for name, connection in {"direct": direct, **{f"skips.{n}": each for n, each in skips.items()}}.items():
            if not isinstance(connection, DelayLayer):
                raise TypeError(f"{name}: {type(connection).__name__} is not allowed (a layer with delays)")
            if connection.out_features != direct.out_features:
                targets = f"{connection.out_features} targets"
                raise ValueError(f"{name}: {targets} is not allowed ({direct.out_features}, as the others have)")
        self.direct = direct
        self.skips = nn.ModuleDict({str(number): skips[number] for number in sorted(skips)})

    @property
    def sources(self) -> list[int]:
        """Numbers of the layers that ``skips`` are from."""
        return [int(number) for number in self.skips]

    @property
    def connections(self) -> list[DelayLayer]:
        """All of them, ``direct`` first."""
        return [self.direct, *self.skips.values()]  # type: ignore[list-item]

    def forward(
        self, x: Tensor, earlier: Mapping[int, Tensor], state: Sequence[Any] | None = None
    ) -> tuple[Tensor, list[Any]]:
        """Current ``[time, batch, target]`` and the state of every connection.

        Args:
            x: what the layer before gives, ``[time, batch, source]``.
            earlier: the same of the layers of ``sources``, by their number.
            state: what the call before returned; None starts from silence.

        Raises:
            ValueError: a shape or a type does not fit.
        """
        given = [x, *(earlier[number] for number in self.sources)]
        before = [None] * len(given) if state is None else state
        results = [each(*pair) for each, *pair in zip(self.connections, given, before, strict=True)]
        return _total([current for current, _ in results]), [own for _, own in results]

    def current(self, x: Tensor, earlier: Mapping[int, Tensor]) -> Tensor:
        """:meth:`forward` without the state, which whole clips have no use for."""
        given = [x, *(earlier[number] for number in self.sources)]
        return _total([whole_current(*pair) for pair in zip(self.connections, given, strict=True)])

    def freeze(
        self, sources: Sequence[str], norm: SequenceBatchNorm | None = None
    ) -> tuple[tuple[network.Connection, ...], NDArray[np.float32]]:
        """The frozen connections, that from the layer before first, and the bias ``[target]`` of them all.

        Args:
            sources: name of the source of each.
            norm: batch norm of the summed current, if any.

        Raises:
            ValueError, TypeError: as :meth:`ranvier.nn.DelayLinear.freeze`.
        """
        norms = [norm] + [None if norm is None else _scale_of(norm)] * len(self.skips)  # the shift comes once
        for each in self.connections:
            if not can_freeze(each, network.Connection):
                raise TypeError(f"{type(each).__name__} cannot be frozen (a connection with a freeze of its own)")
        frozen = [each.freeze(*pair) for each, *pair in zip(self.connections, sources, norms, strict=True)]
        biases = [np.asarray(bias, np.float64) for _, bias in frozen]
        parts = [part if isinstance(part, tuple) else (part,) for part, _ in frozen]
        return tuple(chain.from_iterable(parts)), np.sum(biases, 0).astype(np.float32)


class LayerOutputs:
    """What the input and the layers of a stack give, as far as skip connections of later layers receive it.

    Args:
        modules: name and module of all that the stack is, in order.
        x: the input.

    Attributes:
        wanted: numbers of the layers, 0 for the input, that skip connections are from.
        kept: what these give, by number.

    Raises:
        TypeError: a module holds layers that skip connections cannot be counted with.
        ValueError: a skip connection is not from a layer before the one before.
    """

    def __init__(self, modules: Sequence[tuple[str, nn.Module]], x: Tensor) -> None:
        self.wanted = check_sources(modules)
        self.kept = {0: x} if 0 in self.wanted else {}
        self._layers = 0

    def add(self, x: Tensor) -> None:
        """Keep, where it is wanted, what comes to the next layer."""
        if self._layers and self._layers in self.wanted:
            self.kept[self._layers] = x
        self._layers += 1


def check_sources(modules: Sequence[tuple[str, nn.Module]]) -> set[int]:
    """Numbers of the layers that skip connections are from; see :class:`LayerOutputs` for arguments and errors."""
    several = [module for _, top in modules for module in top.modules() if isinstance(module, SkipConnections)]
    if not several:
        return set()
    layer = 0
    for name, module in modules:
        if isinstance(module, SkipConnections) and max(module.sources) >= layer:
            allowed = f"0 ... {layer - 1}" if layer else "none in the first layer"
            source = max(module.sources)
            raise ValueError(f"{name}: a skip connection from layer {source} is not allowed ({allowed})")
        if has_role(module, network.Connection):
            layer += 1
        elif not has_role(module, network.Neuron) and any(isinstance(each, DelayLayer) for each in module.modules()):
            kind = type(module).__name__
            raise TypeError(f"{name}: {kind} is not allowed beside SkipConnections (a plain Stack, without hooks)")
    return {source for each in several for source in each.sources}


def whole_current(connection: nn.Module, x: Tensor) -> Tensor:
    """Current of whole clips from what a connection receives; a state after them is of no use."""
    if isinstance(connection, DelayLayer) and computes_as(connection, DelayLayer):
        return connection.current(x)
    y = connection(x)
    return y[0] if isinstance(y, tuple) else y  # type: ignore[no-any-return]


def _total(currents: Sequence[Tensor]) -> Tensor:
    first, *others = currents
    for other in others:
        first = first + other
    return first


@torch.no_grad()
def _scale_of(norm: SequenceBatchNorm) -> SequenceBatchNorm:
    """The same batch norm without mean and shift."""
    scale = copy.deepcopy(norm)
    for shift in (scale.running_mean, scale.bias):
        if shift is not None:
            shift.zero_()
    return scale
