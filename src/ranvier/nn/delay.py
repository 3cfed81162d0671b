"""A linear layer whose synapses have delays."""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from ranvier.nn.settings import Settings, WithSettings
from ranvier.ops.delay import KERNELS, Kernel, check_sigma, delayed_current
from ranvier.ops.inputs import of_type, over_time

DelayType = Literal["synaptic", "axonal", "dendritic"]
_LAYER = "_ranvier_longest_delay"  # marks a parameter that holds delays
_STEPPED = "_ranvier_stepped"  # and one that an optimiser has moved


@torch.no_grad()
def _keep_in_range(optimiser: Optimizer, *_: Any) -> None:
    """After a step of any optimiser: bring the delays among its parameters back into their range."""
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            longest = getattr(parameter, _LAYER, None)
            if longest is not None:
                parameter.clamp_(0, longest)
                setattr(parameter, _STEPPED, True)


register_optimizer_step_post_hook(_keep_in_range)


class DelayLinear(WithSettings):
    """Linear layer with a delay on every synapse; delays are learned with the weights.

    In training a delay is a Gaussian (or triangle) tap of width ``sigma`` whose position is learned; in ``eval()``,
    and always when delays are not learned, it is one tap at the rounded delay. The blur belongs to training, as in
    dropout. See :func:`ranvier.ops.delay.delayed_current` for the equation. After a step of any of torch's optimisers
    delays are brought back into [0, max_delay].

    Args:
        in_features: sources.
        out_features: targets.
        max_delay: longest delay in steps, >= 0; the paper's K taps are ``max_delay = K - 1``.
        branches: synapses per pair, each with its own weight and delay (the paper's kernel count).
        sigma: width of the tap in steps at the start, allowed as in :meth:`set_sigma`; narrow it while training, with
            :class:`ranvier.nn.SigmaSchedule`. None means ``(max_delay + 1) // 2 + 0.27``, the paper's start.
        kernel: ``gaussian`` or ``triangle``.
        learn_delay: False keeps the delays where they start.
        delay_type: ``synaptic`` (one per synapse), ``axonal`` (one per source), ``dendritic`` (one per target).
        bias: add a learned constant per target.
        incoming: sources that each target has synapses from, drawn at random and the same for ever; the other weights
            are 0 and stay so. None means all sources.
        every_delay: branch m has delay m and nothing else, so that each synapse is a free kernel over time: the dense
            convolution. Needs ``branches = max_delay + 1`` and ``learn_delay=False``.
        generator: randomness of the start; None takes torch's own.

    Shapes:
        weight ``[branch, out, in]``, Kaiming-uniform; delay ``[branch, out or 1, in or 1]``, uniform in
        [0, max_delay] steps; with ``incoming`` also connected ``[out, in]``, bool.

    Raises:
        ValueError: an argument is out of range.

    Source: arXiv 2306.17670.
    """

    defined_by: ClassVar[Settings] = {
        "max_delay": (),
        "kernel": KERNELS,
        "delay_type": get_args(DelayType),
        "every_delay": (),
    }
    sigma: Tensor
    connected: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        max_delay: int,
        *,
        branches: int = 1,
        sigma: float | None = None,
        kernel: Kernel = "gaussian",
        learn_delay: bool = True,
        delay_type: DelayType = "synaptic",
        bias: bool = False,
        incoming: int | None = None,
        every_delay: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("in_features", in_features), ("out_features", out_features), ("branches", branches)):
            if value < 1:
                raise ValueError(f"{name}: {value} is not allowed (1 or more)")
        if not isinstance(max_delay, int) or not 0 <= max_delay <= 32767:
            raise ValueError(f"max_delay: {max_delay} is not allowed (a whole number of steps, 0 ... 32767)")
        if kernel not in KERNELS:
            raise ValueError(f"kernel: {kernel!r} is not allowed ({', '.join(KERNELS)})")
        if delay_type not in get_args(DelayType):
            raise ValueError(f"delay_type: {delay_type!r} is not allowed ({', '.join(get_args(DelayType))})")
        if incoming is not None and not 1 <= incoming <= in_features:
            raise ValueError(f"incoming: {incoming} is not allowed (1 ... {in_features} sources)")
        if every_delay and (learn_delay or branches != max_delay + 1):
            raise ValueError(
                f"every_delay: needs learn_delay=False and {max_delay + 1} branches, one for each delay, not {branches}"
            )
        self.in_features, self.out_features, self.max_delay = in_features, out_features, max_delay
        self.kernel, self.learn_delay, self.delay_type = kernel, learn_delay, delay_type
        self.every_delay = every_delay
        self.weight = nn.Parameter(torch.empty(branches, out_features, in_features))
        shape = (
            branches,
            1 if delay_type == "axonal" else out_features,
            1 if delay_type == "dendritic" else in_features,
        )
        self.delay = nn.Parameter(torch.empty(shape), requires_grad=learn_delay)
        self._mark()
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        self.register_buffer("sigma", torch.empty(()))
        self.set_sigma((max_delay + 1) // 2 + 0.27 if sigma is None else sigma)
        self._sigma_at_start = sigma is None
        self.register_buffer("connected", None)
        self.reset_parameters(generator)
        if incoming is not None:
            self._connect(incoming, generator)

    def _mark(self) -> None:
        setattr(self.delay, _LAYER, self.max_delay)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._mark()  # a copied parameter has lost its mark

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        delay = state_dict.get(f"{prefix}delay")
        if f"{prefix}_extra_state" not in state_dict and isinstance(delay, Tensor) and delay.numel():
            longest = float(delay.detach().max())  # all that such a state says of its max_delay
            if longest > self.max_delay:
                arguments[-1].append(f"{prefix}delay: up to {longest:g} steps in the state, {self.max_delay} here")
        super()._load_from_state_dict(state_dict, prefix, *arguments)
        self._mark()  # so has one that was assigned

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw weights and delays anew."""
        # Kaiming counts branches as incoming connections; the view puts them where it looks for a kernel size
        nn.init.kaiming_uniform_(self.weight.permute(1, 2, 0), nonlinearity="relu", generator=generator)
        nn.init.uniform_(self.delay, 0, self.max_delay, generator=generator)
        if self.every_delay:
            with torch.no_grad():
                self.delay.copy_(torch.arange(self.max_delay + 1.0).view(-1, 1, 1).expand_as(self.delay))

    @torch.no_grad()
    def _connect(self, incoming: int, generator: torch.Generator | None) -> None:
        chosen = torch.rand(self.out_features, self.in_features, generator=generator).topk(incoming, 1).indices
        self.connected = torch.zeros(self.out_features, self.in_features, dtype=torch.bool).scatter_(1, chosen, True)
        # as Kaiming's rule has it for so many sources
        self.weight.mul_(self.connected).mul_(math.sqrt(self.in_features / incoming))

    def parameter_count(self) -> int:
        """What is learned here: weights and delays of the synapses that there are, and the bias."""
        learned = [parameter for parameter in self.parameters() if parameter.requires_grad]
        if self.connected is None:
            return sum(parameter.numel() for parameter in learned)
        every = self.weight[0].numel()
        synapses = int(self.connected.sum())
        return sum(p.numel() * synapses // every if p.shape == self.weight.shape else p.numel() for p in learned)

    def set_sigma(self, sigma: float) -> None:
        """Set the width of the tap in steps, >= 0.12 (gaussian) or >= 0 (triangle)."""
        check_sigma(sigma, self.kernel)
        self.sigma.fill_(sigma)
        self._sigma_at_start = False

    @torch.no_grad()
    def clamp_delay(self) -> None:
        """Bring delays back into [0, max_delay], after a change by other means than one of torch's optimisers."""
        self.delay.clamp_(0, self.max_delay)

    def delay_steps(self) -> Tensor:
        """The frozen delays: rounded to whole steps, int16, spread to the shape of ``weight``.

        Raises:
            ValueError: a delay is NaN or infinite.
        """
        if not self.delay.isfinite().all():
            raise ValueError("delay: NaN or infinite values (finite allowed)")
        return self.delay.detach().clamp(0, self.max_delay).round().to(torch.int16).expand_as(self.weight)

    def warn_of_wide_sigma(self) -> None:
        """Warn, once, where delays were trained with the wide tap of the start, which rounding does not stand for."""
        if self._sigma_at_start and getattr(self.delay, _STEPPED, False) and self.sigma > 1:
            self._sigma_at_start = False
            warnings.warn(
                f"sigma: still {float(self.sigma):g} steps, as at the start, after training; rounded delays stand for "
                "narrow taps (ranvier.nn.SigmaSchedule narrows them, ranvier.nn.set_sigma sets them)",
                stacklevel=3,
            )

    def synapse_delays(self) -> Tensor:
        """The frozen delays ``[synapse]`` of the synapses that there are."""
        return self._of_synapses(self.delay_steps())

    def learned_delays(self) -> Tensor:
        """The same before they are rounded, in steps."""
        return self._of_synapses(self.delay.detach().expand_as(self.weight))

    def _of_synapses(self, delays: Tensor) -> Tensor:
        return delays.flatten() if self.connected is None else delays[:, self.connected].flatten()

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
        blurred = self.training and self.learn_delay
        if not blurred:
            self.warn_of_wide_sigma()
        # what is not connected gets no gradient, so that it stays 0
        weight = self.weight if self.connected is None else self.weight * self.connected
        return delayed_current(
            x,
            weight,
            self.delay if blurred else self.delay.detach(),
            self.sigma if blurred else None,
            max_delay=self.max_delay,
            kernel=self.kernel,
            bias=self.bias,
            history=state,
        )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, max_delay={self.max_delay}, "
            f"branches={len(self.weight)}, kernel={self.kernel}, learn_delay={self.learn_delay}, "
            f"delay_type={self.delay_type}"
        )
