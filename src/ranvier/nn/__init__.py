"""Layers with parameters; a forward is one op call."""

from ranvier.nn.adaptive_lif import AdaptiveLIF
from ranvier.nn.conv import DelayConv1d, DelayConv2d
from ranvier.nn.delays import DelayLayer, InitDelay, LearnSigma
from ranvier.nn.dense import DelayLinear, DelayType
from ranvier.nn.dropout import ClipDropout
from ranvier.nn.freezing import Freezable
from ranvier.nn.integrator import Integrator, class_scores
from ranvier.nn.lif import LIF
from ranvier.nn.normalization import SequenceBatchNorm
from ranvier.nn.pruning import Criterion, density_after, prune
from ranvier.nn.recurrent import Recurrent
from ranvier.nn.rewiring import draw_synapses, rewire
from ranvier.nn.sigma import SigmaSchedule, set_sigma
from ranvier.nn.trace import Trace

__all__ = [
    "LIF",
    "AdaptiveLIF",
    "ClipDropout",
    "Criterion",
    "DelayConv1d",
    "DelayConv2d",
    "DelayLayer",
    "DelayLinear",
    "DelayType",
    "Freezable",
    "InitDelay",
    "Integrator",
    "LearnSigma",
    "Recurrent",
    "SequenceBatchNorm",
    "SigmaSchedule",
    "Trace",
    "class_scores",
    "density_after",
    "draw_synapses",
    "prune",
    "rewire",
    "set_sigma",
]
