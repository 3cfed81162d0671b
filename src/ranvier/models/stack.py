"""Layers one after the other, with their states."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import torch
from torch import Tensor, nn

from ranvier import network
from ranvier.models.fused import computes_as, run_fused
from ranvier.models.skip import LayerOutputs, SkipConnections, whole_current
from ranvier.network import Decoding
from ranvier.nn import DelayLayer, SequenceBatchNorm, class_scores, set_sigma
from ranvier.nn.freezing import has_role
from ranvier.nn.settings import Settings, WithSettings
from ranvier.ops.inputs import clip_lengths, over_time


class Stack(WithSettings, nn.Sequential):
    """Modules one after the other, each of which keeps ``(x, state=None) -> (y, state)`` or returns ``y`` alone.

        Stack(DelayLinear(140, 64, 24), LIF(0.9), DelayLinear(64, 20, 24), Integrator(0.9))

    ``forward`` runs a chunk of a stream. :meth:`scores`, :meth:`forward_sequence` and :meth:`forward_with_spikes` run
    whole clips, each with its tail. A stack is a module of that form itself, so stacks may be stacked. As an
    ``nn.Sequential`` it can be indexed and takes an ordered dictionary of named modules.
    :func:`ranvier.models.freeze` freezes stacks of our layers.

    Args:
        modules: in the order in which they are computed; or one ordered dictionary of them.
        decoding: what follows a clip, and how class scores are read; None means no tail.
    """

    defined_by: ClassVar[Settings] = {
        "decoding.tail_steps": (),
        "decoding.tail": get_args(network.Tail),
        "decoding.scores": get_args(network.Scores),
    }

    def __init__(self, *modules: nn.Module | OrderedDict[str, nn.Module], decoding: Decoding | None = None) -> None:
        super().__init__(*modules)  # type: ignore[arg-type]
        self.decoding = decoding or Decoding()

    if TYPE_CHECKING:  # a named module is an attribute

        def __getattr__(self, name: str) -> Any: ...

    def chain(self, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
        """Name and module of everything that a clip goes through, those of stacks within the stack one by one."""
        for name, module in self.named_children():
            if isinstance(module, Stack) and computes_as(module, Stack):
                yield from module.chain(f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", module

    def extra_repr(self) -> str:
        """The decoding where it is not the default, which stacks within stacks have."""
        said, default = asdict(self.decoding), asdict(Decoding())
        return ", ".join(f"{name}={value}" for name, value in said.items() if value != default[name])

    @property
    def delay_layers(self) -> list[DelayLayer]:
        """Every layer with delays, from input to readout."""
        return [module for module in self.modules() if isinstance(module, DelayLayer)]

    def delays_ms(self, dt_ms: float) -> dict[str, Tensor]:
        """The learned delays in ms, not rounded, by the name of their layer; shapes as the layer has them.

        Args:
            dt_ms: length of a time step in ms.
        """
        layers = {name: module for name, module in self.named_modules() if isinstance(module, DelayLayer)}
        return {name: layer.delay.detach() * dt_ms for name, layer in layers.items()}

    def set_sigma(self, sigma: float) -> None:
        """Set the width of every layer's tap, in time steps; see :func:`ranvier.nn.set_sigma`."""
        set_sigma(self, sigma)

    def clamp_delay(self) -> None:
        """Bring every delay back into its range, after a change by other means than one of torch's optimisers."""
        for layer in self.delay_layers:
            layer.clamp_delay()

    def parameter_count(self) -> int:
        """Everything that is learned: weights, delays and batch norm, as the paper counts."""
        layers = self.delay_layers
        counted = {id(parameter) for layer in layers for parameter in layer.parameters()}
        others = [p for p in self.parameters() if p.requires_grad and id(p) not in counted]
        return sum(layer.parameter_count() for layer in layers) + sum(p.numel() for p in others)

    def forward(self, x: Tensor, state: Sequence[Any] | None = None) -> tuple[Tensor, list[Any]]:
        """Run a chunk of a stream.

        Args:
            x: ``[time, batch, source]``.
            state: what the call before returned; None starts from silence.

        Returns:
            What the last module returns, and the state of every module (None of one that has none).

        Raises:
            ValueError: the state is not one of as many modules.
        """
        return self._chunk(x, state, LayerOutputs(list(self.chain()), x))

    def _chunk(self, x: Tensor, state: Sequence[Any] | None, outputs: LayerOutputs) -> tuple[Tensor, list[Any]]:
        """:meth:`forward` after the layers of ``outputs``, to which those of this stack come."""
        if state is not None and len(state) != len(self):
            raise ValueError(f"state: of {len(state)} modules is not allowed ({len(self)} modules)")
        after = []
        for number, module in enumerate(self):
            before = None if state is None else state[number]
            if outputs.wanted and isinstance(module, Stack) and computes_as(module, Stack):
                x, own = module._chunk(x, before, outputs)
                after.append(own)
                continue
            if outputs.wanted and has_role(module, network.Connection):
                outputs.add(x)
            given = (x, outputs.kept) if isinstance(module, SkipConnections) else (x,)
            result = module(*given) if before is None else module(*given, before)
            x, own = result if isinstance(result, tuple) else (result, None)
            after.append(own)
        return x, after

    def forward_sequence(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Run whole clips, each with its tail.

        Args:
            x: ``[time, batch, source]``, silent from each clip's length on.
            lengths: ``[batch]``, time steps of each clip, whole numbers in [0, time]; None means all of ``x``.

        Returns:
            What the last module gives, ``[time, batch, class]``. Time steps after ``decoding.steps(length, layer)``
            mean nothing.

        Raises:
            ValueError: a shape, a type or a length does not fit.
        """
        return self._run(*self._checked(x, lengths))

    def forward_with_spikes(self, x: Tensor, lengths: Tensor | None = None) -> tuple[list[Tensor], Tensor]:
        """:meth:`forward_sequence`, and the spikes ``[time, batch, neuron]`` of every layer of spiking neurons before,
        without dropout; not those of a readout whose spikes are counted, which are what the last module gives."""
        rasters: list[Tensor] = []
        voltage = self._run(*self._checked(x, lengths), rasters)
        return rasters, voltage

    def scores(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Class scores ``[batch, class]`` of whole clips; arguments as :meth:`forward_sequence`."""
        x, lengths = self._checked(x, lengths)
        return self._decoded(self._run(x, lengths), lengths)

    def scores_with_spikes(self, x: Tensor, lengths: Tensor | None = None) -> tuple[list[Tensor], Tensor]:
        """:meth:`scores`, and the spikes as :meth:`forward_with_spikes` has them."""
        x, lengths = self._checked(x, lengths)
        rasters: list[Tensor] = []
        voltage = self._run(x, lengths, rasters)
        return rasters, self._decoded(voltage, lengths)

    def _decoded(self, voltage: Tensor, lengths: Tensor) -> Tensor:
        return class_scores(voltage, lengths + self.tail_steps, self.decoding.scores)

    @property
    def tail_steps(self) -> int:
        """Time steps after a clip for which the last layer runs."""
        layers = sum(has_role(module, network.Connection) for _, module in self.chain())
        return self.decoding.steps(0, max(layers, 1) - 1)

    def _checked(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        for first in [module for _, module in self.chain()][:1]:  # torch 2.6 compiles no next(generator, None)
            if isinstance(first, DelayLayer):
                x = over_time("x", x, first.weight, "source", first.in_features)
        return x, clip_lengths("lengths", torch.full(x.shape[1:2], len(x)) if lengths is None else lengths, x)

    def _run(self, x: Tensor, lengths: Tensor, rasters: list[Tensor] | None = None) -> Tensor:
        """Whole clips through the chain; spikes go to ``rasters``, and else are not held on to."""
        chain = list(self.chain())
        modules, outputs = [module for _, module in chain], LayerOutputs(chain, x)
        x, steps = self._extend(x, lengths, 0, 0), lengths + self.decoding.steps(0, 0)
        place = layers = 0
        while place < len(modules):
            module = modules[place]
            if has_role(module, network.Connection):
                outputs.add(x)
                if layers > 0:
                    x, steps = self._extend(x, lengths, layers, layers), lengths + self.decoding.steps(0, layers)
                if isinstance(module, SkipConnections):
                    earlier = {n: self._extend(outputs.kept[n], lengths, n, layers) for n in module.sources}
                    x = module.current(x, earlier) if computes_as(module, SkipConnections) else module(x, earlier)[0]
                    place, layers = place + 1, layers + 1
                    continue
                layers += 1
            # spikes that are wanted are wanted without dropout
            fused = run_fused(modules[place : None if rasters is None else place + 2], x, steps)
            x, used = (_call(module, x, steps), 1) if fused is None else fused
            if rasters is not None and (fused or _spikes(module)):
                rasters.append(x)
            place += used
        if self.decoding.scores == "count":
            neurons = [module for module in modules if has_role(module, network.Neuron)]
            if not (neurons and _spikes(neurons[-1])):
                raise ValueError("decoding: scores count is not allowed where the last neurons do not spike")
            if rasters:
                rasters.pop()
        return x

    def _extend(self, x: Tensor, lengths: Tensor, source: int, layer: int) -> Tensor:
        """What layer number ``source`` (counted from 1; 0 is the input) gives, as layer number ``layer`` (counted from
        0) receives it: silent after its end."""
        end = self.decoding.steps(0, source - 1) if source else 0
        if source and self.decoding.tail == "per_layer":
            x = x * (torch.arange(len(x), device=x.device).unsqueeze(-1) < lengths + end).unsqueeze(-1)
        more = self.decoding.steps(0, layer) - end
        # torch 2.6 pads no batch of 0 clips
        return torch.cat([x, x.new_zeros(more, *x.shape[1:])]) if more else x


def _spikes(module: nn.Module) -> bool:
    return has_role(module, network.Neuron) and bool(module.freezes_to.spikes)  # type: ignore[union-attr]


def _call(module: nn.Module, x: Tensor, steps: Tensor) -> Tensor:
    """What a module makes of whole clips; a state after them is of no use."""
    if isinstance(module, SequenceBatchNorm):
        return module(x, steps)  # type: ignore[no-any-return]
    return whole_current(module, x)
