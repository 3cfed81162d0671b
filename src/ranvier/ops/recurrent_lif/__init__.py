"""Leaky integrate-and-fire with delayed recurrent connections over a sequence."""

from ranvier.ops.recurrent_lif.op import longest_lag, recurrent_adaptive_lif, recurrent_lif

__all__ = ["longest_lag", "recurrent_adaptive_lif", "recurrent_lif"]
