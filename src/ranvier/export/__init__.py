"""Hands a frozen network on. Each target is a file; its package is imported when it is used."""

from ranvier.export.registry import targets
from ranvier.export.target import ExportError, Target

__all__ = ["ExportError", "Target", "targets"]
