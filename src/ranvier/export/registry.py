"""All export targets by name."""

from __future__ import annotations

from importlib import import_module

from ranvier.export.target import Target

_MODULES: tuple[str, ...] = (  # of this package, each with a TARGET
    "c",
    "onnx",
    "onnx.clip",
    "nir",
    "nest",
    "brian2",
    "lava",
    "snn_delays",
)


def targets() -> dict[str, Target]:
    """Every target by name, in the order in which they are listed."""
    found = [import_module(f"ranvier.export.{module}").TARGET for module in _MODULES]
    return {target.name: target for target in found}
