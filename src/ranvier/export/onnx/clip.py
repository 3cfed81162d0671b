"""ONNX of whole clips as an export target."""

from __future__ import annotations

from ranvier.export.onnx.model import write_clip
from ranvier.export.target import Target

TARGET = Target("onnx-clip", "an ONNX model of whole clips, dense [time, source]", "_clip.onnx", write_clip)
