"""What every layer with learned delays has, whatever it connects."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from ranvier.nn.settings import WithSettings
from ranvier.ops.dense import KERNELS, Kernel, check_sigma
from ranvier.ops.inputs import of_type, over_time

_RANGE = "_ranvier_range"  # marks a parameter that holds delays: (shortest, longest)
_STEPPED = "_ranvier_stepped"  # and one that an optimiser has moved


@torch.no_grad()
def _keep_in_range(optimiser: Optimizer, *_: Any) -> None:
    """After a step of any optimiser: bring the delays among its parameters back into their range."""
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            allowed = getattr(parameter, _RANGE, None)
            if allowed is not None:
                parameter.clamp_(*allowed)
                setattr(parameter, _STEPPED, True)


register_optimizer_step_post_hook(_keep_in_range)


class DelayLayer(WithSettings):
    """Base of layers with a weight and a delay at every synapse. A subclass makes both in its constructor, with
    :meth:`_set_up`, and has :meth:`current` and ``freeze``.

    Attributes:
        in_features, out_features: sources and targets.
        weight: parameter.
        delay: parameter in steps, of the weight's shape or one that spreads to it.
        sigma: width of the tap in steps, a scalar buffer.
        kernel: ``gaussian``, ``triangle`` or ``delrec``.
        min_delay, max_delay: shortest and longest delay in steps.
        max_init_delay: delays start uniform in [min_delay, max_init_delay].
        learn_delay: whether delays are learned.
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
    ) -> None:
        """Check and set the attributes; weights and delays are left to be drawn.

        Args:
            weight_shape, delay_shape: of the parameters.
            biases: how many are learned; 0 = none.
            delays: ``min_delay``, ``max_delay`` and ``max_init_delay`` (None means ``max_delay``).
            sigma: None means ``(max_delay + 1) // 2 + 0.27``, the paper's start.
            kernel, learn_delay: see above.

        Raises:
            ValueError: an argument is out of range.
        """
        min_delay, max_delay, max_init_delay = delays
        if not isinstance(max_delay, int) or not 0 <= max_delay <= 32767:
            raise ValueError(f"max_delay: {max_delay} is not allowed (a whole number of steps, 0 ... 32767)")
        if not isinstance(min_delay, int) or not 0 <= min_delay <= max_delay:
            raise ValueError(f"min_delay: {min_delay} is not allowed (a whole number of steps, 0 ... {max_delay})")
        if kernel not in KERNELS:
            raise ValueError(f"kernel: {kernel!r} is not allowed ({', '.join(KERNELS)})")
        if max_init_delay is not None and not max_init_delay >= min_delay:
            raise ValueError(f"max_init_delay: {max_init_delay} is not allowed ({min_delay} steps or more)")
        self.min_delay, self.max_delay = min_delay, max_delay
        self.max_init_delay = float(max_delay) if max_init_delay is None else max_init_delay
        self.kernel, self.learn_delay = kernel, learn_delay
        self.weight = nn.Parameter(torch.empty(weight_shape))
        self.delay = nn.Parameter(torch.empty(delay_shape), requires_grad=learn_delay)
        self._mark()
        self.bias = nn.Parameter(torch.zeros(biases)) if biases else None
        self.register_buffer("sigma", torch.empty(()))
        self.set_sigma((max_delay + 1) // 2 + 0.27 if sigma is None else sigma)
        self._sigma_at_start = sigma is None

    def _mark(self) -> None:
        setattr(self.delay, _RANGE, (self.min_delay, self.max_delay))

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._mark()  # a copied parameter has lost its mark

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._mark()  # on some devices the parameter is another one
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *arguments)
        self._mark()  # so has one that was assigned

    def _draw_delays(self, generator: torch.Generator | None) -> None:
        nn.init.uniform_(self.delay, self.min_delay, self.max_init_delay, generator=generator)
        self.clamp_delay()

    def parameter_count(self) -> int:
        """What is learned here: weights, delays and the bias."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    def set_sigma(self, sigma: float) -> None:
        """Set the width of the tap in steps, >= 0.12 (gaussian) or >= 0 (triangle)."""
        check_sigma(sigma, self.kernel)
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
        return self.delay.detach().clamp(self.min_delay, self.max_delay).round().to(torch.int16)

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
        return delays.flatten()

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

    def _taps(self) -> tuple[Tensor, Tensor | None]:
        """Delay and sigma as an op takes them now: spread in training, else one tap at the rounded delay."""
        if self.training and self.learn_delay:
            return self.delay, self.sigma
        self.warn_of_wide_sigma()
        return self.delay.detach(), None
