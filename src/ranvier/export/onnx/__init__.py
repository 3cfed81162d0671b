"""ONNX models of one time step or of whole clips."""

from ranvier.export.onnx.model import TARGET, onnx_state, to_onnx

__all__ = ["TARGET", "onnx_state", "to_onnx"]
