"""Batch normalisation of sequences of unequal length."""

from ranvier.ops.norm.op import sequence_norm

__all__ = ["sequence_norm"]
