"""Which neighbouring modules run as one operator."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ranvier.nn import LIF, ClipDropout, SequenceBatchNorm
from ranvier.ops.normed_lif import normed_lif


def computes_as(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module computes what ``kind`` does, without hooks: its equation may then run in a fused operator."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return isinstance(module, kind) and type(module).forward is kind.forward and not any(hooks)


def run_fused(modules: Sequence[nn.Module], current: Tensor, steps: Tensor) -> tuple[Tensor, int] | None:
    """Batch norm in training, LIF and, if it follows, dropout, as one operator.

    Args:
        modules: those that come next.
        current: ``[time, batch, neuron]``.
        steps: ``[batch]``, time steps of each clip.

    Returns:
        Spikes ``[time, batch, neuron]`` and how many modules gave them; None where the next modules are others.
    """
    norm, neuron, dropout = (*modules[:3], *[None] * 3)[:3]
    if not (isinstance(norm, SequenceBatchNorm) and computes_as(norm, SequenceBatchNorm)):
        return None
    if not (isinstance(neuron, LIF) and computes_as(neuron, LIF) and norm.training and norm.affine):
        return None
    if norm.synchronised or norm.positions > 1 or neuron.reset != "zero":
        return None
    if not (isinstance(dropout, ClipDropout) and computes_as(dropout, ClipDropout)):
        dropout = None
    spikes, mean, variance = normed_lif(
        current,
        steps,
        norm.weight,
        norm.bias,
        neuron.decay,
        neuron.threshold,
        current.new_ones(current.shape[1:]) if dropout is None else dropout.mask(current),
        eps=norm.eps,
        surrogate=neuron.surrogate,
        alpha=neuron.alpha,
    )
    norm.follow(mean, variance, steps.sum())
    return spikes, 2 if dropout is None else 3
