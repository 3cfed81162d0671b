"""A run's folder as values and arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.network import Network
from ranvier.runs.folder import read_values
from ranvier.runs.metrics import EpochRow, read_metrics
from ranvier.runs.result import RunResult, read_result
from ranvier.runs.versioned import RunError


@dataclass(frozen=True, eq=False)
class Run:
    """What a training left in its folder.

    Attributes:
        folder: where it is.
        config: the values of ``config.toml``, by section.
        epochs: the metrics of every epoch, in order.
        result: None while the training has not ended.
        network: the frozen network; None while the training has not ended.
    """

    folder: Path
    config: Mapping[str, Any]
    epochs: tuple[EpochRow, ...]
    result: RunResult | None
    network: Network | None

    def metric(self, name: str) -> NDArray[np.float64]:
        """A metric ``[epoch]``, NaN where an epoch has none.

        Args:
            name: a number of :class:`EpochRow`: ``loss``, ``train_accuracy``, ``validation_accuracy``, ``sigma_ms`` ...

        Raises:
            RunError: there is none of that name.
        """
        numbers = [field for field in EpochRow.model_fields if self._is_number(field)]
        if name not in numbers:
            raise RunError(
                f"{self.folder}: metric {name!r} is not there ({', '.join(numbers) or 'no epoch has ended'})"
            )
        values = [getattr(row, name) for row in self.epochs]
        return np.array([np.nan if value is None else value for value in values], np.float64)

    def _is_number(self, field: str) -> bool:
        return any(isinstance(getattr(row, field), int | float) for row in self.epochs)

    def delays_ms(self) -> dict[str, NDArray[np.float64]]:
        """Frozen delays in ms ``[synapse]``, of the synapses (convolutions: kernel elements) that there are, by layer.

        Raises:
            RunError: the training has not ended.
        """
        if self.network is None:
            raise RunError(f"{self.folder}: has no network yet (the training has not ended)")
        return {
            layer.name: np.concatenate([connection.delays() for connection in layer.inputs]) * self.network.dt_ms
            for layer in self.network.layers
        }


def read_run(folder: str | os.PathLike[str]) -> Run:
    """Read a run's folder.

    Args:
        folder: of the run, finished or not.

    Raises:
        RunError: it is not a run's, or a file in it is damaged.
        NetworkError: the network's file is damaged.
    """
    folder = Path(folder)
    file = folder / "network.safetensors"
    return Run(
        folder=folder,
        config=read_values(folder),
        epochs=tuple(read_metrics(folder)),
        result=read_result(folder),
        network=Network.read(file) if file.exists() else None,
    )
