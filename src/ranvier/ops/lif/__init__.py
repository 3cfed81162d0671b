"""Leaky integrate-and-fire over a sequence."""

from ranvier.ops.lif.op import lif

__all__ = ["lif"]
