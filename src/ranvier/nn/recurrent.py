"""Neurons that receive their own spikes, with delays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ranvier import network
from ranvier.nn.adaptive_lif import AdaptiveLIF
from ranvier.nn.dense import DelayLinear
from ranvier.nn.dropout import ClipDropout
from ranvier.nn.freezing import can_freeze
from ranvier.nn.lif import LIF
from ranvier.ops.inputs import over_time
from ranvier.ops.recurrent_lif import longest_lag, recurrent_adaptive_lif, recurrent_lif
from ranvier.ops.recurrent_lif.loop import recurrent


class Recurrent(nn.Module):
    """Neurons with recurrent connections: what they send comes back to them, each synapse with a delay.

        Recurrent(LIF(0.5), DelayLinear(128, 128, 32767, min_delay=1, max_init_delay=20, delay_type="axonal", sigma=5))

    See :func:`ranvier.ops.recurrent_lif.recurrent_lif` for the equation. Delays are learned as those of any
    :class:`DelayLinear`; what a step costs follows the longest delay that there is, so that ``max_delay`` need not
    bound it. It stands in a :class:`ranvier.models.Stack` where its neurons alone would.

    Args:
        neuron: :class:`LIF` or :class:`AdaptiveLIF`, which run as one compiled scan; or any module of neurons, which
            runs one step after the other.
        connection: from the neurons to themselves, with ``min_delay`` of 1 or more.
        dropout: share of neurons whose spikes do not come back, for a whole clip in training, in [0, 1); see
            :class:`ClipDropout`.

    Raises:
        ValueError: the connection is from and to different numbers of neurons, or has delays of 0.

    Source: Queant et al., DelRec (arXiv 2509.24852).
    """

    def __init__(self, neuron: nn.Module, connection: DelayLinear, *, dropout: float = 0.0) -> None:
        super().__init__()
        if connection.in_features != connection.out_features:
            raise ValueError(
                f"connection: {connection.in_features} sources and {connection.out_features} targets are not allowed "
                "(as many of both)"
            )
        if connection.min_delay < 1:
            raise ValueError(f"connection: min_delay {connection.min_delay} is not allowed (1 step or more)")
        self.neuron, self.connection = neuron, connection
        self.dropout = ClipDropout(dropout)

    @property
    def freezes_to(self) -> type[network.Neuron]:
        """What the neurons freeze to."""
        return self.neuron.freezes_to  # type: ignore[return-value]

    def forward(self, current: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Spikes ``[time, batch, neuron]`` from a current of that shape.

        The state is that of the neurons and what they sent, ``[step, batch, neuron]``, as far back as it matters.

        Raises:
            ValueError: a shape or a type does not fit.
        """
        connection = self.connection
        current = over_time("current", current, connection.weight, "neuron", connection.in_features)
        state, history = (None, None) if state is None else state
        gain = self.dropout.mask(current) if self.training and self.dropout.p > 0 else None
        if connection.bias is not None:
            current = current + connection.bias
        delay, sigma = connection.taps()
        lags = longest_lag(delay, sigma, max_delay=connection.max_delay, kernel=connection.kernel)
        run, longest = self._op(), connection.max_delay
        if run is None:
            run, longest = partial(recurrent, neuron=self.neuron), lags
        given = (current, connection.connected_weight(), delay, sigma)
        options: dict[str, Any] = {"kernel": connection.kernel, "gain": gain, "history": history}
        spikes, state = run(*given, state=state, max_delay=longest, **options)
        sent = spikes if gain is None else spikes * gain
        sent = sent if history is None else torch.cat([history, sent])
        return spikes, (state, sent[-lags:])

    def _op(self) -> Callable[..., tuple[Tensor, Any]] | None:
        """The op of these neurons, if one knows them."""
        own = self.neuron
        if isinstance(own, LIF) and type(own).forward is LIF.forward:
            op, values = partial(recurrent_lif, reset=own.reset), {"decay": own.decay, "threshold": own.threshold}
        elif isinstance(own, AdaptiveLIF) and type(own).forward is AdaptiveLIF.forward:
            op, values = partial(recurrent_adaptive_lif, euler=own.euler), own.values()
        else:
            return None
        return partial(op, **values, surrogate=own.surrogate, alpha=own.alpha)

    def freeze(self, targets: int) -> network.Neuron:
        """The frozen neurons, ``targets`` of them, without their connection.

        Raises:
            TypeError: the neurons cannot be frozen.
        """
        if not can_freeze(self.neuron, network.Neuron):
            raise TypeError(f"neuron: {type(self.neuron).__name__} cannot be frozen (freezes_to and freeze needed)")
        return self.neuron.freeze(targets)  # type: ignore[operator,no-any-return]

    def freeze_connection(self, source: str) -> tuple[network.Connection, NDArray[np.float32]]:
        """The frozen recurrent connection and its bias ``[target]``, as :meth:`DelayLinear.freeze`; ``max_delay`` is
        the longest delay that there is.

        Args:
            source: name of the layer.
        """
        part, bias = self.connection.freeze(source)
        assert isinstance(part, network.Dense | network.Sparse)
        return replace(part, max_delay=int(part.delay_steps.max())), bias
