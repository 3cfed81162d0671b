"""Leaky integrate-and-fire over a sequence."""

from ranvier.ops.lif.op import leaky_integrator, lif

__all__ = ["leaky_integrator", "lif"]
