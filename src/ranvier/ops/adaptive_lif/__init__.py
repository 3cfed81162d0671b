"""Adaptive leaky integrate-and-fire over a sequence."""

from ranvier.ops.adaptive_lif.op import EULERS, Euler, adaptive_lif

__all__ = ["EULERS", "Euler", "adaptive_lif"]
