"""What an export target is, and what is raised where a network cannot go there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from ranvier.errors import RuleError
from ranvier.network import Network


class ExportError(RuleError):
    """A network, or a file to read one from, has what a target does not; the message names the place."""


@dataclass(frozen=True)
class Target:
    """Somewhere a frozen network can go.

    Attributes:
        name: as ``ranvier export --to`` takes it.
        words: what is written, in a line.
        suffix: what follows the network's name in that of the file; empty for a folder.
        write: ``write(network, path)`` writes it, whole or not at all; :class:`ExportError` names what cannot go.
        summary: what a network takes there, in a line; None where there is nothing to say.
    """

    name: str
    words: str
    suffix: str
    write: Callable[[Network, Path], None]
    summary: Callable[[Network], str] | None = None


def needed(module: str, extra: str) -> ModuleType:
    """The module of a target's package, imported.

    Raises:
        ExportError: it is not installed; the message names the extra.
    """
    try:
        return import_module(module)
    except ImportError:
        fault = f"is not installed (pip install 'ranvier[{extra}]')"
        raise ExportError(module, fault=fault) from None
