"""The frozen network: plain arrays with units, read and written without torch."""

from ranvier.network.adaptive_lif import AdaptiveLIF
from ranvier.network.conv import Conv
from ranvier.network.decoding import Decoding, Scores, Tail
from ranvier.network.dense import Dense
from ranvier.network.input import Alignment, Input
from ranvier.network.integer_integrator import IntegerIntegrator
from ranvier.network.integer_lif import IntegerLIF
from ranvier.network.integrator import Integrator
from ranvier.network.layer import Layer
from ranvier.network.lif import LIF
from ranvier.network.network import Network
from ranvier.network.part import ArrayRule, Connection, Neuron, Output, Part, Synapses, array
from ranvier.network.quantize import WeightBits, quantize
from ranvier.network.rules import MAX_COUNT, MAX_STEPS, NetworkError
from ranvier.network.soft_reset_lif import SoftResetLIF
from ranvier.network.sparse import Sparse
from ranvier.network.trace import Trace

__all__ = [
    "LIF",
    "MAX_COUNT",
    "MAX_STEPS",
    "AdaptiveLIF",
    "Alignment",
    "ArrayRule",
    "Connection",
    "Conv",
    "Decoding",
    "Dense",
    "Input",
    "IntegerIntegrator",
    "IntegerLIF",
    "Integrator",
    "Layer",
    "Network",
    "NetworkError",
    "Neuron",
    "Output",
    "Part",
    "Scores",
    "SoftResetLIF",
    "Sparse",
    "Synapses",
    "Tail",
    "Trace",
    "WeightBits",
    "array",
    "quantize",
]
