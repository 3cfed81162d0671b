"""Leaky integrate-and-fire over a sequence."""

from ranvier.ops.lif.op import RESETS, Reset, lif

__all__ = ["RESETS", "Reset", "lif"]
