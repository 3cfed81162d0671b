"""A linear layer whose synapses have delays."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ranvier import network
from ranvier.network import WeightBits
from ranvier.network.rules import is_whole
from ranvier.network.sparse import smallest
from ranvier.nn.decay import shown
from ranvier.nn.delays import DelayLayer, InitDelay, LearnSigma
from ranvier.nn.freezing import frozen_array
from ranvier.nn.normalization import SequenceBatchNorm
from ranvier.nn.quantized import quantized_weight
from ranvier.nn.settings import Settings
from ranvier.ops.dense import KERNELS, Kernel, delayed_current

DelayType = Literal["synaptic", "axonal", "dendritic"]


class DelayLinear(DelayLayer):
    """Linear layer with a delay on every synapse; delays are learned with the weights.

    In training a delay is a Gaussian (or triangle) tap of width ``sigma`` whose position is learned; in ``eval()``,
    and always when delays are not learned, it is one tap at the rounded delay. See
    :func:`ranvier.ops.dense.delayed_current` for the equation. After a step of any of torch's optimisers delays are
    brought back into [min_delay, max_delay].

    Args:
        in_features: sources.
        out_features: targets.
        max_delay: longest delay in steps, >= 0; the paper's K taps are ``max_delay = K - 1``.
        synapses_per_pair: synapses per pair, each with its own weight and delay (the paper's kernel count).
        sigma: width of the tap in steps at the start, allowed as in :meth:`set_sigma`; narrow it while training, with
            :class:`ranvier.nn.SigmaSchedule`. None means ``(max_delay + 1) // 2 + 0.27``, the paper's start.
        kernel: ``gaussian``, ``triangle`` or ``delrec``.
        learn_delay: False keeps the delays where they start.
        delay_type: ``synaptic`` (one per synapse), ``axonal`` (one per source), ``dendritic`` (one per target).
        bias: add a learned constant per target.
        fan_in: sources that each target has synapses from, drawn at random and the same for ever; the other weights
            are 0 and stay so. None means all sources.
        max_init_delay: delays start uniform in [min_delay, max_init_delay] steps, those beyond ``max_delay`` at it;
            None means ``max_delay``. The official DCLS-Delays code has ``max_delay + 1``, so that one in so many starts
            at the longest.
        dense_kernel: synapse m of a pair has delay m and nothing else, so that each pair has a free kernel over time:
            the dense convolution. Needs ``synapses_per_pair = max_delay + 1`` and ``learn_delay=False``.
        min_delay: shortest delay in steps, in [0, max_delay]; 1 or more in :class:`ranvier.nn.Recurrent`.
        init_delay: how delays start between min_delay and max_init_delay: ``uniform``, ``log_uniform`` (the logarithm
            of delay - min_delay + 1 is uniform) or ``shortest`` (all at min_delay).
        round_delay: in training too, taps stand at the rounded delays, whose gradient goes to the delays as it is
            (straight through), so that nothing is left to round afterwards.
        learn_sigma: learn the width of the tap from ``sigma`` on, within the lowest of the kernel and max_delay + 1
            steps: one for the ``layer``, or one for each delay (``synapse``). Taps may stay wide, which rounding does
            not stand for.
        generator: randomness of the start; None takes torch's own.

    Shapes:
        weight ``[synapse, out, in]``, Kaiming-uniform; delay ``[synapse, out or 1, in or 1]``, uniform in
        [min_delay, max_delay] steps unless ``max_init_delay`` says otherwise; with ``fan_in`` also
        connection_mask ``[out, in]``, bool.

    Raises:
        ValueError: an argument is out of range.

    Source: arXiv 2306.17670.
    """

    defined_by: ClassVar[Settings] = {
        "max_delay": (),
        "kernel": KERNELS,
        "delay_type": get_args(DelayType),
        "dense_kernel": (),
        "min_delay": (),
    }
    freezes_to: ClassVar[type[network.Connection]] = network.Dense
    connection_mask: Tensor | None
    weight_bits: WeightBits | None = None
    shared_step: bool = False

    def __init__(
        self,
        in_features: int,
        out_features: int,
        max_delay: int,
        *,
        synapses_per_pair: int = 1,
        sigma: float | None = None,
        kernel: Kernel = "gaussian",
        learn_delay: bool = True,
        delay_type: DelayType = "synaptic",
        bias: bool = False,
        fan_in: int | None = None,
        dense_kernel: bool = False,
        max_init_delay: float | None = None,
        min_delay: int = 0,
        init_delay: InitDelay = "uniform",
        round_delay: bool = False,
        learn_sigma: LearnSigma = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for name, value in (
            ("in_features", in_features),
            ("out_features", out_features),
            ("synapses_per_pair", synapses_per_pair),
        ):
            if value < 1:
                raise ValueError(f"{name}: {value} is not allowed (1 or more)")
        if delay_type not in get_args(DelayType):
            raise ValueError(f"delay_type: {delay_type!r} is not allowed ({', '.join(get_args(DelayType))})")
        if fan_in is not None and not 1 <= fan_in <= in_features:
            raise ValueError(f"fan_in: {fan_in} is not allowed (1 ... {in_features} sources)")
        if dense_kernel and (learn_delay or min_delay or synapses_per_pair != max_delay + 1):
            raise ValueError(
                f"dense_kernel: needs learn_delay=False and synapses_per_pair={max_delay + 1}, one "
                f"for each delay, not {synapses_per_pair}"
            )
        self.in_features, self.out_features = in_features, out_features
        self.delay_type, self.dense_kernel = delay_type, dense_kernel
        self.init_delay, self.round_delay = init_delay, round_delay
        self._set_up(
            (synapses_per_pair, out_features, in_features),
            (
                synapses_per_pair,
                1 if delay_type == "axonal" else out_features,
                1 if delay_type == "dendritic" else in_features,
            ),
            out_features if bias else 0,
            delays=(min_delay, max_delay, max_init_delay),
            sigma=sigma,
            kernel=kernel,
            learn_delay=learn_delay,
            learn_sigma=learn_sigma,
        )
        self.register_buffer("connection_mask", None)
        self.reset_parameters(generator)
        if fan_in is not None:
            self._connect(fan_in, generator)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        if f"{prefix}connected" in state_dict:  # its name until 2026-11
            state_dict[f"{prefix}connection_mask"] = state_dict.pop(f"{prefix}connected")
        delay = state_dict.get(f"{prefix}delay")
        if f"{prefix}_extra_state" not in state_dict and isinstance(delay, Tensor) and delay.numel():
            longest = float(delay.detach().max())  # all that such a state says of its max_delay
            if longest > self.max_delay:
                arguments[-1].append(f"{prefix}delay: up to {longest:g} steps in the state, {self.max_delay} here")
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw weights and delays anew."""
        # Kaiming counts the synapses of a pair as incoming; the view puts them where it looks for a kernel size
        nn.init.kaiming_uniform_(self.weight.permute(1, 2, 0), nonlinearity="relu", generator=generator)
        self._draw_delays(generator)
        if self.dense_kernel:
            with torch.no_grad():
                self.delay.copy_(torch.arange(self.max_delay + 1.0).view(-1, 1, 1).expand_as(self.delay))

    @torch.no_grad()
    def _connect(self, fan_in: int, generator: torch.Generator | None) -> None:
        chosen = torch.rand(self.out_features, self.in_features, generator=generator).topk(fan_in, 1).indices
        self.connection_mask = torch.zeros(self.out_features, self.in_features, dtype=torch.bool).scatter_(
            1, chosen, True
        )
        # as Kaiming's rule has it for so many sources
        self.weight.mul_(self.connection_mask).mul_(math.sqrt(self.in_features / fan_in))

    def set_bits(
        self, weight_bits: WeightBits | None = None, delay_bits: int | None = None, *, shared: bool = False
    ) -> None:
        """Train, run and freeze with weights and delays on the values that an integer network has.

        :func:`ranvier.network.quantize` of the frozen network with the same bits then changes no weight and no delay,
        unless other connections come to the same neurons. Not part of the state: set it before a state is loaded.

        Args:
            weight_bits: 8, 4 or ``ternary``, see :func:`ranvier.network.quantize`; None leaves weights as they are.
            delay_bits: delays take at most 2^bits values from min_delay to max_delay, in [1, 15]; None: every step.
            shared: one power of two is the step of all weights, as a readout has it.

        Raises:
            ValueError: a value is out of range.
        """
        if weight_bits is not None and (isinstance(weight_bits, float) or weight_bits not in get_args(WeightBits)):
            raise ValueError(f"weight_bits: {weight_bits!r} is not allowed (8, 4, ternary, None)")
        if delay_bits is not None and not is_whole(delay_bits, 1, 15):
            raise ValueError(f"delay_bits: {delay_bits!r} is not allowed (1 ... 15, None)")
        self.weight_bits, self.delay_bits, self.shared_step = weight_bits, delay_bits, shared

    def connected_weight(self) -> Tensor:
        weight = super().connected_weight()
        return (
            weight if self.weight_bits is None else quantized_weight(weight, self.weight_bits, shared=self.shared_step)
        )

    def possible_mask(self) -> Tensor | None:
        return None if self.connection_mask is None else self.connection_mask.expand_as(self.weight)

    @torch.no_grad()
    def freeze(
        self, source: str, norm: SequenceBatchNorm | None = None
    ) -> tuple[network.Connection, NDArray[np.float32]]:
        """The frozen connection and the bias ``[target]``: delays rounded, batch norm folded into weights and bias.

        It is a ``network.Dense``, whose axonal and dendritic delays stay as small as they are; or, where ``fan_in`` or
        pruning leave so few synapses that it takes fewer bytes, a ``network.Sparse``. Of a pruned layer the longest
        delay that may occur is the longest there is.

        Args:
            source: ``input`` or the name of the layer that it comes from.
            norm: batch norm of the current, if any.

        Raises:
            ValueError: a delay is NaN or infinite.
            TypeError: the batch norm keeps no running statistics.
        """
        self.warn_of_wide_sigma()
        # folded in double precision, so that the only rounding is the last one
        weight = self.connected_weight().double()
        bias = weight.new_zeros(self.out_features) if self.bias is None else self.bias.double()
        if norm is not None:
            weight, bias = norm.fold(weight, bias)
        delay_steps, longest = self._frozen_delays()
        part = network.Dense(source, longest, frozen_array(weight), delay_steps.cpu().numpy().copy())
        return part if self.synapse_mask() is None else smallest(part), frozen_array(bias)

    def current(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        delay, sigma = self.taps()
        return delayed_current(
            x,
            self.connected_weight(),
            delay,
            sigma,
            max_delay=self.max_delay,
            kernel=self.kernel,
            bias=self.bias,
            history=state,
        )

    def extra_repr(self) -> str:
        text = (
            f"in_features={self.in_features}, out_features={self.out_features}, max_delay={self.max_delay}, "
            f"synapses_per_pair={len(self.weight)}, delay_type={self.delay_type}, {super().extra_repr()}"
        )
        if self.connection_mask is not None:
            text += f", fan_in={shown(self.connection_mask[0].sum(dtype=torch.int64))}"
        if self.weight_bits is not None:
            text += f", weight_bits={self.weight_bits}"
        return text + (", dense_kernel=True" if self.dense_kernel else "")
