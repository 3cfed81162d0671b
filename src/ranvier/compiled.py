"""How loops are compiled: without the interpreter's lock, and kept on disk so that only a first run waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """``function`` as machine code; ``/`` follows NumPy's rules, so that a loop with a division is still vectorised."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        result: Any = njit(cache=True, **options)(function)
    except RuntimeError:  # no folder can be written to: compile anew in every process
        result = njit(**options)(function)
    return cast(F, result)
