"""Spikes that go on being heard: the trace of a stateful synapse."""

from ranvier.ops.trace.op import trace

__all__ = ["trace"]
