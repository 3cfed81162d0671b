"""Convolutions over space whose kernel elements have delays."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ranvier import network
from ranvier.nn.delays import DelayLayer
from ranvier.nn.freezing import frozen_array
from ranvier.nn.normalization import SequenceBatchNorm
from ranvier.nn.settings import Settings
from ranvier.ops.conv import Places, delayed_convolution, dense_convolution
from ranvier.ops.dense import KERNELS, Kernel

_PLACES = ("height", "width", "stride_rows", "stride_columns", "padding_rows", "padding_columns")


class DelayConv2d(DelayLayer):
    """Convolution over space with a delay on every kernel element; delays are learned with the weights.

        Stack(
            DelayConv2d(2, 12, 9, 12, (32, 32), padding=4),
            SequenceBatchNorm(12, positions=32 * 32),
            LIF(0.9),
            DelayLinear(12 * 32 * 32, 12, 0),
            Integrator(0.9),
        )

    Sequences are flat, ``[time, batch, source]`` with ``source = (channel * height + row) * width + column``, and so is
    what comes out, so that the layer stands wherever :class:`ranvier.nn.DelayLinear` can. In training a delay is a tap
    of width ``sigma`` whose position is learned; in ``eval()``, and always when delays are not learned, it is one tap
    at the rounded delay. See :func:`ranvier.ops.conv.delayed_convolution` for the equation. After a step of any of
    torch's optimisers delays are brought back into [0, max_delay].

    Args:
        in_channels, out_channels, kernel_size, stride, padding: as :class:`torch.nn.Conv2d`, a number or one for rows
            and one for columns; the padding is silent and narrower than the kernel.
        max_delay: longest delay in steps, in [0, 32767].
        size: height and width of the picture that comes in.
        sigma, kernel, learn_delay, max_init_delay: as :class:`ranvier.nn.DelayLinear`.
        bias: add a learned constant per channel.
        dense_kernel: every kernel element has a weight for each delay of 0 ... max_delay: the dense convolution over
            space and time. Needs ``learn_delay=False``.
        generator: randomness of the start; None takes torch's own.

    Attributes:
        out_size: height and width of the picture that goes out.
        in_features, out_features: sources and targets.

    Shapes:
        weight and delay ``[out, in, kernel row, kernel column]``, Kaiming-uniform and uniform in [0, max_delay] steps
        unless ``max_init_delay`` says otherwise. With ``dense_kernel`` weight
        ``[out, in, kernel row, kernel column, max_delay + 1]`` and delay ``[max_delay + 1]``, 0, 1, 2, ...

    Raises:
        ValueError: an argument is out of range.

    Source: arXiv 2307.14077 (kernels over space and delays), 2306.17670 (learned positions).
    """

    defined_by: ClassVar[Settings] = {
        "max_delay": (),
        "kernel": KERNELS,
        **dict.fromkeys((*_PLACES, "dense_kernel"), ()),
    }
    freezes_to: ClassVar[type[network.Connection]] = network.Conv

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        max_delay: int,
        size: tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        sigma: float | None = None,
        kernel: Kernel = "gaussian",
        learn_delay: bool = True,
        bias: bool = False,
        max_init_delay: float | None = None,
        dense_kernel: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        kernel_size = _pair(kernel_size)
        for name, value in (
            ("in_channels", in_channels),
            ("out_channels", out_channels),
            ("kernel_size", min(kernel_size)),
        ):
            if value < 1:
                raise ValueError(f"{name}: {value} is not allowed (1 or more)")
        if dense_kernel and learn_delay:
            raise ValueError("dense_kernel: True is not allowed with learn_delay=True (it has every delay)")
        self.places = Places(_pair(size), _pair(stride), _pair(padding))
        self.places.check(kernel_size)
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel_size
        self.out_size = self.places.out_size(kernel_size)
        self.in_features, self.out_features = in_channels * prod(self.places.size), out_channels * prod(self.out_size)
        self.dense_kernel = dense_kernel
        shape = (out_channels, in_channels, *kernel_size)
        every = (max_delay + 1,)
        self._set_up(
            (*shape, *every) if dense_kernel else shape,
            every if dense_kernel else shape,
            out_channels if bias else 0,
            delays=(0, max_delay, max_init_delay),
            sigma=sigma,
            kernel=kernel,
            learn_delay=learn_delay,
        )
        self.reset_parameters(generator)

    def _settings(self) -> list[Any]:
        return [self.max_delay, self.kernel, *(number for pair in self.places for number in pair), self.dense_kernel]

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw weights and delays anew."""
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu", generator=generator)
        if not self.dense_kernel:
            self._draw_delays(generator)
            return
        with torch.no_grad():
            self.delay.copy_(torch.arange(self.max_delay + 1.0))

    def current(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        if self.dense_kernel:
            return dense_convolution(x, self.connected_weight(), self.places, bias=self.bias, history=state)
        delay, sigma = self.taps()
        return delayed_convolution(
            x,
            self.connected_weight(),
            delay,
            sigma,
            self.places,
            max_delay=self.max_delay,
            kernel=self.kernel,
            bias=self.bias,
            history=state,
        )

    @torch.no_grad()
    def freeze(
        self, source: str, norm: SequenceBatchNorm | None = None
    ) -> tuple[network.Conv | tuple[network.Conv, ...], NDArray[np.float32]]:
        """The frozen connection and the bias ``[target]``: delays rounded, batch norm folded into weights and bias.

        With ``dense_kernel`` it is a connection for each delay that has synapses.

        Args:
            source: ``input`` or the name of the layer that it comes from.
            norm: batch norm of the current, if any, with a feature for each channel.

        Raises:
            ValueError: a delay is NaN or infinite.
            TypeError: the batch norm keeps no running statistics, or has a feature for each neuron.
        """
        self.warn_of_wide_sigma()
        positions = prod(self.out_size)
        # folded in double precision, so that the only rounding is the last one
        weight = self.connected_weight().double().flatten(1)
        bias = weight.new_zeros(self.out_channels) if self.bias is None else self.bias.double()
        if norm is not None:
            if (norm.num_features, norm.positions) != (self.out_channels, positions):
                raise TypeError(
                    f"SequenceBatchNorm: {norm.num_features} features of {norm.positions} positions cannot be frozen "
                    f"after {type(self).__name__} ({self.out_channels} of {positions} allowed, one for each channel)"
                )
            weight, bias = norm.fold(weight, bias)
        kernels, targets = frozen_array(weight.view_as(self.weight)), frozen_array(bias.repeat_interleave(positions))
        if self.dense_kernel:
            there = [m for m in range(self.max_delay + 1) if kernels[..., m].any()] or [0]
            steps = np.zeros(kernels.shape[:-1], np.int16)
            parts = [network.Conv(source, m, *self.places, kernels[..., m].copy(), steps + np.int16(m)) for m in there]
            return tuple(parts), targets
        delay_steps, longest = self._frozen_delays()
        return network.Conv(source, longest, *self.places, kernels, delay_steps.cpu().numpy().copy()), targets

    def extra_repr(self) -> str:
        size, stride, padding = self.places
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, max_delay={self.max_delay}, "
            f"size={size}, stride={stride}, padding={padding}, {super().extra_repr()}"
        ) + (", dense_kernel=True" if self.dense_kernel else "")


class DelayConv1d(DelayConv2d):
    """The same over one dimension, as a picture of a single row: weight and delay ``[out, in, 1, kernel]``.

    Args:
        in_channels, out_channels, kernel_size, max_delay, stride, padding: as :class:`DelayConv2d`, of one dimension.
        length: of what comes in.
        **options: as :class:`DelayConv2d`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        max_delay: int,
        length: int,
        *,
        stride: int = 1,
        padding: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            (1, kernel_size),
            max_delay,
            (1, length),
            stride=(1, stride),
            padding=(0, padding),
            **options,
        )


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)  # type: ignore[return-value]
