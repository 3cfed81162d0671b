"""Frozen networks by a file, a run or a name."""

from __future__ import annotations

import os

from ranvier.network import Network
from ranvier.recipes.evaluate import read_network
from ranvier.recipes.pretrained import find_run


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
