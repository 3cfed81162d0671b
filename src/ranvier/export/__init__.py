"""Hands a frozen network on. Each target is a file or a folder; its package is imported when it is used."""

from ranvier.export.brian2 import to_brian2
from ranvier.export.c import CSizes, c_sizes, to_c
from ranvier.export.lava import to_lava
from ranvier.export.nest import to_nest
from ranvier.export.nir import to_nir
from ranvier.export.nir_reader import from_nir
from ranvier.export.onnx import onnx_state, to_onnx
from ranvier.export.registry import targets
from ranvier.export.snn_delays import SnnDelaysCheckpoint, to_snn_delays
from ranvier.export.target import ExportError, Target

__all__ = [
    "CSizes",
    "ExportError",
    "SnnDelaysCheckpoint",
    "Target",
    "c_sizes",
    "from_nir",
    "onnx_state",
    "targets",
    "to_brian2",
    "to_c",
    "to_lava",
    "to_nest",
    "to_nir",
    "to_onnx",
    "to_snn_delays",
]
