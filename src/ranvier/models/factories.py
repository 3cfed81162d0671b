"""Calls what makes a network's parts, and says what is wrong with one that cannot be called so."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from torch import nn

Made = TypeVar("Made")


def make(argument: str, factory: Callable[..., Made], *values: Any, **options: Any) -> Made:
    """``factory(*values, **options)``.

    Args:
        argument: what the caller was given the factory as, for messages.

    Raises:
        ValueError: it is a module and no class, or has options that are given here, which would silently win.
        TypeError: it does not take these arguments.
    """
    if isinstance(factory, nn.Module) or not callable(factory):
        raise ValueError(
            f"{argument}: {type(factory).__name__} object is not allowed (a class, or functools.partial of one)"
        )
    if isinstance(factory, partial):
        if values and factory.args:
            raise ValueError(f"{argument}: options by position are not allowed (partial(LIF, threshold=0.5), by name)")
        if twice := sorted(set(factory.keywords) & set(options)):
            raise ValueError(f"{argument}: option {twice[0]} is not allowed (it is an argument of the network)")
    try:
        return factory(*values, **options)
    except TypeError as error:
        named = ", ".join([*("value" for _ in values), *(f"{name}=..." for name in options)])
        raise TypeError(f"{argument}: cannot be called as {argument}({named}): {error}") from error
