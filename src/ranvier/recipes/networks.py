"""Frozen networks and runs by a path or a name."""

from __future__ import annotations

import os

from ranvier.network import Network
from ranvier.recipes.evaluation import read_network
from ranvier.recipes.pretrained import find_run
from ranvier.runs import Run
from ranvier.runs import read_run as read_folder


def load_network(name_or_path: str | os.PathLike[str]) -> Network:
    """Read a frozen network.

    Args:
        name_or_path: a network file, a run folder, or the name of a run that comes with the package (``digits``); a
            folder of that name in the working directory comes first.

    Returns:
        The network; ``Engine(network)`` runs it.

    Raises:
        FileNotFoundError: there is no such file or folder.
        NetworkError: the file is damaged or no network.
        ConfigError: the name is empty, or much like one of the package's.
    """
    return read_network(find_run(os.fspath(name_or_path)))


def read_run(name_or_folder: str | os.PathLike[str]) -> Run:
    """Read a run: its configuration, metrics, result and frozen network, see :class:`ranvier.runs.Run`.

    Args:
        name_or_folder: a run folder, finished or not, or the name of a run that comes with the package (``digits``); a
            folder of that name in the working directory comes first.

    Raises:
        RunError: it is not a run's folder, or a file in it is damaged.
        ConfigError: the name is empty, or much like one of the package's.
    """
    return read_folder(find_run(os.fspath(name_or_folder)))
