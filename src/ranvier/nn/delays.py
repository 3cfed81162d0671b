"""What every layer with learned delays has, whatever it connects."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor, nn

from ranvier.nn.decay import shown
from ranvier.nn.quantized import nearest_delay
from ranvier.nn.ranges import WithRanges, mark_mask, was_stepped
from ranvier.nn.settings import WithSettings
from ranvier.ops.dense import KERNELS, LOWEST_SIGMA, Kernel, check_sigma
from ranvier.ops.inputs import of_type, over_time

InitDelay = Literal["uniform", "log_uniform", "shortest"]
LearnSigma = Literal[False, "layer", "synapse"]


class DelayLayer(WithRanges, WithSettings):
    """Base of layers with a weight and a delay at every synapse. A subclass makes both in its constructor, with
    :meth:`_set_up`, and has :meth:`current` and ``freeze``.

    Attributes:
        in_features, out_features: sources and targets.
        weight: parameter.
        delay: parameter in steps, of the weight's shape or one that spreads to it.
        sigma: width of the tap in steps, a scalar buffer; where it is learned a parameter, a scalar or of the delay's
            shape.
        kernel: ``gaussian``, ``triangle`` or ``delrec``.
        min_delay, max_delay: shortest and longest delay in steps.
        max_init_delay: delays start in [min_delay, max_init_delay].
        init_delay: how they start there: ``uniform``, ``log_uniform`` or ``shortest``.
        round_delay: in training too, taps stand at the rounded delays.
        delay_bits: delays, in training too, take at most 2^bits values; None: every whole step.
        learn_delay: whether delays are learned.
        weight_mask: bool buffer of the weight's shape, the synapses that pruning or rewiring leaves; None: nothing has
            been taken away. The weights of others are 0 and stay so.
        dense_gradient: the next backward gives weights without a synapse the gradient that they would have.
    """

    in_features: int
    out_features: int
    weight: nn.Parameter
    delay: nn.Parameter
    bias: nn.Parameter | None
    sigma: Tensor
    kernel: Kernel
    min_delay: int
    max_delay: int
    max_init_delay: float
    learn_delay: bool
    init_delay: InitDelay = "uniform"
    round_delay: bool = False
    delay_bits: int | None = None
    weight_mask: Tensor | None
    dense_gradient: bool = False

    if TYPE_CHECKING:  # what only some kinds of layers have

        def __getattr__(self, name: str) -> Any: ...

    def _set_up(
        self,
        weight_shape: tuple[int, ...],
        delay_shape: tuple[int, ...],
        biases: int,
        *,
        delays: tuple[int, int, float | None],
        sigma: float | None,
        kernel: Kernel,
        learn_delay: bool,
        learn_sigma: LearnSigma = False,
    ) -> None:
        """Check and set the attributes; weights and delays are left to be drawn.

        Args:
            weight_shape, delay_shape: of the parameters.
            biases: how many are learned; 0 = none.
            delays: ``min_delay``, ``max_delay`` and ``max_init_delay`` (None means ``max_delay``).
            sigma: None means ``(max_delay + 1) // 2 + 0.27``, the paper's start.
            kernel, learn_delay: see above.
            learn_sigma: learn one width for the layer, or one for each delay (``synapse``).

        Raises:
            ValueError: an argument is out of range.
        """
        min_delay, max_delay, max_init_delay = delays
        if not isinstance(max_delay, int) or not 0 <= max_delay <= 32767:
            raise ValueError(f"max_delay: {max_delay} is not allowed (a whole number of steps, 0 ... 32767)")
        if not isinstance(min_delay, int) or not 0 <= min_delay <= max_delay:
            raise ValueError(f"min_delay: {min_delay} is not allowed (a whole number of steps, 0 ... {max_delay})")
        if self.init_delay not in get_args(InitDelay):
            raise ValueError(f"init_delay: {self.init_delay!r} is not allowed ({', '.join(get_args(InitDelay))})")
        if kernel not in KERNELS:
            raise ValueError(f"kernel: {kernel!r} is not allowed ({', '.join(KERNELS)})")
        if learn_sigma not in get_args(LearnSigma):
            raise ValueError(f"learn_sigma: {learn_sigma!r} is not allowed (False, layer, synapse)")
        if learn_sigma and not learn_delay:
            raise ValueError(f"learn_sigma: {learn_sigma} is not allowed with learn_delay=False (False)")
        if max_init_delay is not None and not max_init_delay >= min_delay:
            raise ValueError(f"max_init_delay: {max_init_delay} is not allowed ({min_delay} steps or more)")
        self.min_delay, self.max_delay = min_delay, max_delay
        self.max_init_delay = float(max_delay) if max_init_delay is None else max_init_delay
        self.kernel, self.learn_delay = kernel, learn_delay
        self.register_buffer("weight_mask", None)
        self.weight = nn.Parameter(torch.empty(weight_shape))
        self.delay = nn.Parameter(torch.empty(delay_shape), requires_grad=learn_delay)
        self.mark_ranges()
        self.bias = nn.Parameter(torch.zeros(biases)) if biases else None
        if learn_sigma:
            self.sigma = nn.Parameter(torch.empty(delay_shape if learn_sigma == "synapse" else ()))
            self.mark_ranges()
        else:
            self.register_buffer("sigma", torch.empty(()))
        self.set_sigma((max_delay + 1) // 2 + 0.27 if sigma is None else sigma)
        self._sigma_at_start = sigma is None

    @property
    def learn_sigma(self) -> bool:
        """Whether widths are learned."""
        return isinstance(self.sigma, nn.Parameter)

    def ranges(self) -> dict[str, tuple[float, float]]:
        kept: dict[str, tuple[float, float]] = {"delay": (self.min_delay, self.max_delay)}
        if "sigma" in self._parameters:
            kept["sigma"] = (LOWEST_SIGMA[self.kernel], self.max_delay + 1)
        return kept

    def mark_ranges(self) -> None:
        super().mark_ranges()
        mark_mask(self.weight, self.weight_mask)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        if f"{prefix}weight" in state_dict:  # a state without a mask is of a layer that has none
            masked = f"{prefix}weight_mask" in state_dict
            self.weight_mask = torch.ones_like(self.weight, dtype=torch.bool) if masked else None
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    @torch.no_grad()
    def drawn_delays(self, generator: torch.Generator | None, device: torch.device | str | None = None) -> Tensor:
        """Delays as they start, drawn anew, in the shape of ``delay``; None: on its device."""
        delay = torch.empty_like(self.delay, device=device)
        nn.init.uniform_(delay, self.min_delay, self.max_init_delay, generator=generator)
        if self.init_delay == "log_uniform":
            span = self.max_init_delay - self.min_delay
            share = (delay - self.min_delay) / max(span, 1e-9)
            delay = self.min_delay + torch.expm1(share * math.log1p(span))
        elif self.init_delay == "shortest":
            delay.fill_(self.min_delay)
        return delay.clamp(self.min_delay, self.max_delay)

    @torch.no_grad()
    def _draw_delays(self, generator: torch.Generator | None) -> None:
        self.delay.copy_(self.drawn_delays(generator))

    def possible_mask(self) -> Tensor | None:
        """Bool, spread to the weight's shape: where a synapse may be; None: everywhere."""
        return None

    def synapse_mask(self) -> Tensor | None:
        """The same of the synapses that there are."""
        return self.possible_mask() if self.weight_mask is None else self.weight_mask

    @torch.no_grad()
    def set_weight_mask(self, mask: Tensor) -> None:
        """Take the synapses away where ``mask``, bool of the weight's shape, is False: their weights are 0 from now on,
        whatever an optimiser of torch does, and get no gradient.

        Raises:
            ValueError: the mask is of another shape or type, or has synapses where ``fan_in`` allows none.
        """
        if mask.shape != self.weight.shape or mask.dtype != torch.bool:
            raise ValueError(f"mask: {mask.dtype} {tuple(mask.shape)} is not bool {tuple(self.weight.shape)}")
        possible = self.possible_mask()
        if possible is not None and bool((mask & ~possible).any()):
            raise ValueError("mask: True where there can be no synapse (fan_in)")
        if self.weight_mask is None:
            self.weight_mask = mask.to(self.weight.device, copy=True)
            self.mark_ranges()
        else:
            self.weight_mask.copy_(mask)
        self.weight.masked_fill_(~self.weight_mask, 0)

    def connected_weight(self) -> Tensor:
        """``weight``; where there is no synapse it is 0 and gets no gradient, unless ``dense_gradient`` asks for it."""
        mask = None if self.dense_gradient else self.synapse_mask()
        return self.weight if mask is None else self.weight * mask

    def parameter_count(self) -> int:
        """What is learned here: weights and delays of the synapses that there are, and the bias."""
        learned = [parameter for parameter in self.parameters() if parameter.requires_grad]
        mask = self.synapse_mask()
        synapses = self.weight.numel() if mask is None else int(mask.sum())
        return sum(synapses if p.shape == self.weight.shape else p.numel() for p in learned)

    def set_sigma(self, sigma: float) -> None:
        """Set the width of the tap in steps, >= 0.12 (gaussian) or >= 0 (triangle, delrec); where it is learned, up to
        max_delay + 1."""
        check_sigma(sigma, self.kernel)
        if self.learn_sigma and sigma > self.max_delay + 1:
            raise ValueError(f"sigma: {sigma:g} is not allowed where it is learned (up to {self.max_delay + 1} steps)")
        with torch.no_grad():
            self.sigma.fill_(sigma)
        self._sigma_at_start = False

    @torch.no_grad()
    def clamp_delay(self) -> None:
        """Bring delays back into [min_delay, max_delay], after a change by other means than torch's optimisers."""
        self.delay.clamp_(self.min_delay, self.max_delay)

    def delay_steps(self) -> Tensor:
        """The frozen delays: rounded to whole steps, int16, spread to the shape of ``weight``.

        Raises:
            ValueError: a delay is NaN or infinite.
        """
        return self._rounded().expand_as(self.weight)

    def _rounded(self) -> Tensor:
        if not self.delay.isfinite().all():
            raise ValueError("delay: NaN or infinite values (finite allowed)")
        return self._nearest(self.delay.detach().clamp(self.min_delay, self.max_delay)).to(torch.int16)

    def _nearest(self, delay: Tensor) -> Tensor:
        """The delays that these are frozen to."""
        if self.delay_bits is None:
            return delay.round()
        return nearest_delay(delay, self.min_delay, self.max_delay, self.delay_bits)

    def warn_of_wide_sigma(self) -> None:
        """Warn, once, where delays were trained with the wide tap of the start, which rounding does not stand for."""
        if self._sigma_at_start and was_stepped(self.delay) and (width := float(self.sigma.detach().mean())) > 1:
            self._sigma_at_start = False
            found = f"still {width:g} steps, as at the start,"
            if self.learn_sigma:
                found = f"learned to {width:g} steps in the mean"
            warnings.warn(
                f"sigma: {found} after training; rounded delays stand for narrow taps (ranvier.nn.SigmaSchedule "
                "narrows them, ranvier.nn.set_sigma sets them)",
                stacklevel=3,
            )

    def synapse_delays(self) -> Tensor:
        """The frozen delays ``[synapse]`` of the synapses that there are."""
        return self.of_synapses(self.delay_steps())

    def learned_delays(self) -> Tensor:
        """The same before they are rounded, in steps."""
        return self.of_synapses(self.delay.detach())

    def of_synapses(self, values: Tensor) -> Tensor:
        """Of values that spread to the weight's shape those ``[synapse]`` of the synapses that there are."""
        mask, values = self.synapse_mask(), values.expand_as(self.weight)
        return values.flatten() if mask is None else values[mask]

    def _frozen_delays(self) -> tuple[Tensor, int]:
        """The rounded delays in the shape of ``delay``, and the longest that the frozen connection has to have: of what
        pruning left the longest there is, and delays that no synapse has are ``min_delay``."""
        steps = self._rounded()
        if self.weight_mask is None:
            return steps, self.max_delay
        spread = [axis for axis, size in enumerate(steps.shape) if size != self.weight.shape[axis]]
        used = self.weight_mask.any(spread[0], keepdim=True) if spread else self.weight_mask
        steps = steps.where(used, self.min_delay)
        return steps, int(steps.max())

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Current ``[time, batch, out]`` from ``x [time, batch, in]``; the state is the last ``max_delay`` inputs.

        Raises:
            ValueError: a shape or a type does not fit.
        """
        x = over_time("x", x, self.weight, "source", self.in_features)
        if state is not None:
            if state.shape != (self.max_delay, *x.shape[1:]):
                raise ValueError(f"state: shape {tuple(state.shape)} is not {(self.max_delay, *x.shape[1:])}")
            state = of_type("state", state, self.weight)
        past = x.new_zeros(max(0, self.max_delay - len(x)), *x.shape[1:]) if state is None else state[len(x) :]
        return self.current(x, state), torch.cat([past, x[max(0, len(x) - self.max_delay) :]])

    def current(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        """:meth:`forward` without the state after ``x``, which whole clips have no use for."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """What delays and taps are; a layer says before it what it connects."""
        text = f"kernel={self.kernel}, sigma={shown(self.sigma)}, learn_delay={self.learn_delay}"
        if self.learn_sigma:
            text += f", learn_sigma={'synapse' if self.sigma.ndim else 'layer'}"
        start = () if self.max_init_delay == self.max_delay else (f"max_init_delay={self.max_init_delay:g}",)
        others = (("min_delay", 0), ("init_delay", "uniform"), ("round_delay", False), ("delay_bits", None))
        unusual = (f"{name}={getattr(self, name)}" for name, usual in others if getattr(self, name) != usual)
        return ", ".join((text, *start, *unusual, f"bias={self.bias is not None}"))

    def trained_delay(self) -> Tensor:
        """``delay``, where taps stand in training; with ``round_delay`` or ``delay_bits`` rounded, with a gradient as
        if it were not."""
        if not self.round_delay and self.delay_bits is None:
            return self.delay
        return self.delay + (self._nearest(self.delay.detach()) - self.delay).detach()

    def taps(self) -> tuple[Tensor, Tensor | None]:
        """Delay and sigma as an op takes them now: spread in training, else one tap at the rounded delay."""
        if self.training and self.learn_delay:
            return self.trained_delay(), self.sigma
        self.warn_of_wide_sigma()
        return self.delay.detach() if self.delay_bits is None else self._nearest(self.delay.detach()), None
