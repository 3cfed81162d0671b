"""Delayed currents: x, weight, delay, sigma -> current."""

from ranvier.ops.delay.op import KERNELS, Kernel, delayed_current

__all__ = ["KERNELS", "Kernel", "delayed_current"]
