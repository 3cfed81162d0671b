"""Which neurons a recipe may name: ours, and those that installed packages bring."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from ranvier.errors import ConfigError

if TYPE_CHECKING:  # names alone must not load torch
    from torch import nn

GROUP = "ranvier.neurons"
"""Entry points by which an installed package names its neurons: ``NAME = "module:Class"``."""

_OWN = ("lif", "plif", "adlif")


def neuron_names() -> list[str]:
    """Names of all neurons, those of this package first."""
    return [*_OWN, *sorted({entry.name for entry in entry_points(group=GROUP)} - set(_OWN))]


def check_neuron(name: str) -> str:
    """The name, if there is a neuron of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in _OWN and name not in neuron_names():
        raise ValueError(", ".join(neuron_names()))  # what is allowed
    return name


def neuron_class(name: str) -> Callable[..., nn.Module]:
    """What makes the neurons of that name, called as docs/contributing/neuron.md says.

    Raises:
        ConfigError: there is none, or the package that brings it fails.
    """
    if name in _OWN:
        from ranvier.nn import LIF, AdaptiveLIF

        return AdaptiveLIF if name == "adlif" else LIF
    (entry, *_) = entry_points(group=GROUP, name=name)
    try:
        made: Callable[..., nn.Module] = entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"model.neuron: {name!r} cannot be used ({error})") from None
    return made
