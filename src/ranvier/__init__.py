"""Ranvier: train the synaptic delays of spiking neural networks, and run the frozen networks.

Importing this package loads nothing else, no torch and no files: :func:`load_network` and :func:`read_run` are imported
when they are first asked for. Everything else is in the rooms, for example ``from ranvier.models import feedforward,
freeze`` or ``from ranvier.engine import Engine``.
"""

__version__ = "0.1.0"

_EXPORTS = {
    "load_network": "ranvier.recipes.networks",
    "read_run": "ranvier.recipes.networks",
}  # where each name is defined; __init__.pyi says the same to type checkers
__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
