"""Layers with parameters; a forward is one op call."""

from ranvier.nn.delay import DelayLinear, DelayType
from ranvier.nn.dropout import ClipDropout
from ranvier.nn.neuron import LIF
from ranvier.nn.normalization import SequenceBatchNorm
from ranvier.nn.readout import Readout, class_scores
from ranvier.nn.sigma import SigmaSchedule, set_sigma
from ranvier.nn.synapse_filter import SynapseFilter

__all__ = [
    "LIF",
    "ClipDropout",
    "DelayLinear",
    "DelayType",
    "Readout",
    "SequenceBatchNorm",
    "SigmaSchedule",
    "SynapseFilter",
    "class_scores",
    "set_sigma",
]
