"""Delayed currents: x, weight, delay, sigma -> current."""

from ranvier.ops.dense.op import KERNELS, LOWEST_SIGMA, Kernel, check_sigma, delayed_current

__all__ = ["KERNELS", "LOWEST_SIGMA", "Kernel", "check_sigma", "delayed_current"]
