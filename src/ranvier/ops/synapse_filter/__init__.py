"""Spikes that go on being heard: the trace of a stateful synapse."""

from ranvier.ops.synapse_filter.op import synapse_filter

__all__ = ["synapse_filter"]
