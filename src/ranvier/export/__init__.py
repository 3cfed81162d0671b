"""Hands a frozen network on. Each target is a file; its package is imported when it is used."""

from ranvier.export.lava import to_lava
from ranvier.export.nest import to_nest
from ranvier.export.nir import to_nir
from ranvier.export.nir_reader import from_nir
from ranvier.export.registry import targets
from ranvier.export.snn_delays import SnnDelaysCheckpoint, to_snn_delays
from ranvier.export.target import ExportError, Target

__all__ = [
    "ExportError",
    "SnnDelaysCheckpoint",
    "Target",
    "from_nir",
    "targets",
    "to_lava",
    "to_nest",
    "to_nir",
    "to_snn_delays",
]
