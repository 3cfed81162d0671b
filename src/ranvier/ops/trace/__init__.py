"""The synaptic trace of spikes."""

from ranvier.ops.trace.op import trace

__all__ = ["trace"]
