"""Named networks: stacks of layers, and their frozen form."""

from ranvier.models.bits import set_bits
from ranvier.models.convolutional import convolutional
from ranvier.models.dcls_checkpoint import from_dcls_checkpoint
from ranvier.models.detectors import detectors
from ranvier.models.feedforward import feedforward
from ranvier.models.freeze import freeze
from ranvier.models.recurrence import Recurrence
from ranvier.models.skip import SkipConnections
from ranvier.models.stack import Stack

__all__ = [
    "Recurrence",
    "SkipConnections",
    "Stack",
    "convolutional",
    "detectors",
    "feedforward",
    "freeze",
    "from_dcls_checkpoint",
    "set_bits",
]
