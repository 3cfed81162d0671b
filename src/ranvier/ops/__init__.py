"""Equations: pure functions on tensors, time first."""

from ranvier.ops.dense import delayed_current
from ranvier.ops.lif import lif
from ranvier.ops.surrogate import SURROGATES, Surrogate, spike

__all__ = ["SURROGATES", "Surrogate", "delayed_current", "lif", "spike"]
