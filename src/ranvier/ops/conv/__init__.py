"""Delayed convolutions: x, weight, delay, sigma -> current."""

from ranvier.ops.conv.dense import dense_convolution
from ranvier.ops.conv.op import delayed_convolution
from ranvier.ops.conv.places import Places

__all__ = ["Places", "delayed_convolution", "dense_convolution"]
