"""Leaky integrators over a sequence."""

from ranvier.ops.integrator.op import leaky_integrator

__all__ = ["leaky_integrator"]
