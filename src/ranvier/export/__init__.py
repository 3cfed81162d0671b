"""Hands a frozen network on. Each target is a file or a folder; its package is imported when it is used."""

from ranvier.export.c import CSizes, c_sizes, to_c
from ranvier.export.onnx import onnx_state, to_onnx
from ranvier.export.registry import targets
from ranvier.export.target import ExportError, Target

__all__ = ["CSizes", "ExportError", "Target", "c_sizes", "onnx_state", "targets", "to_c", "to_onnx"]
