"""Batch normalisation, leaky integrate-and-fire and dropout of a clip's neurons, in one."""

from ranvier.ops.normed_lif.op import normed_lif

__all__ = ["normed_lif"]
