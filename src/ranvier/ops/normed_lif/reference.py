"""What stands between two delayed currents in training, one equation after the other."""

from __future__ import annotations

from torch import Tensor

from ranvier.ops.lif import reference as lif
from ranvier.ops.norm import reference as norm
from ranvier.ops.surrogate import Surrogate


def normed_lif(
    current: Tensor,
    steps: Tensor,
    weight: Tensor,
    bias: Tensor,
    decay: Tensor,
    threshold: Tensor,
    gain: Tensor,
    *,
    eps: float,
    surrogate: Surrogate,
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor]:
    y, mean, variance = norm.sequence_norm(current, steps, weight, bias, eps)
    spikes, _ = lif.lif(y, decay, threshold, None, surrogate=surrogate, alpha=alpha)
    return spikes * gain, mean, variance
