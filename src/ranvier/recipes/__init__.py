"""What you run: configs, training, evaluation.

Importing this package loads nothing else: a name is imported when it is first asked for, and torch with ``train``,
``resume`` and ``ProgressCallback`` alone.
"""

_EXPORTS = {
    "Config": "config",
    "ConfigError": "config",
    "Evaluation": "evaluation",
    "ProgressCallback": "fit",
    "build_config": "config",
    "evaluate": "evaluation",
    "evaluate_file": "evaluation",
    "load_network": "networks",
    "load_values": "recipe_files",
    "read_run": "networks",
    "recipe_names": "recipe_files",
    "resume": "train_run",
    "train": "train_run",
    "write_report": "report",
}  # where each name is defined; __init__.pyi says the same to type checkers
__all__ = list(_EXPORTS)


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
