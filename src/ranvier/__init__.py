"""Ranvier: learn when spikes arrive.

Importing this package loads nothing else: no torch, no files, no seeds. Take what you need from its rooms,
for example ``from ranvier.models import feedforward, freeze`` or ``from ranvier.engine import run``.
"""

__version__ = "0.1.0"
