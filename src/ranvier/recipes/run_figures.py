"""What a finished training draws, and the delays that it found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.analysis import figures
from ranvier.analysis.delays import found_delays
from ranvier.corpora.splits import Splits
from ranvier.network import Dense, Network
from ranvier.runs import (
    DelaysFound,
)


def count_found_delays(
    network: Network, before: list[NDArray[Any]], offsets: NDArray[Any] | None
) -> DelaysFound | None:
    if offsets is None:
        return None
    delays = (_detector_delays(network), before[0].reshape(offsets.shape))
    found, at_start = (int(found_delays(each, offsets).sum()) for each in delays)
    return DelaysFound(found=found, at_start=at_start, decisive=offsets.size)


def _detector_delays(network: Network) -> NDArray[np.int16]:
    """Delays ``[class, channel]`` of the detectors, in time steps."""
    detectors = network.layers[0].inputs[0]
    assert isinstance(detectors, Dense)  # as ranvier.models builds them
    delays: NDArray[np.int16] = detectors.full_delay_steps[0]
    return delays


def draw_figures(
    folder: Path, splits: Splits, network: Network, before: list[NDArray[Any]], after: list[NDArray[Any]]
) -> None:
    """``before`` and ``after``: delays in time steps of each connection's synapses, in one order."""
    if splits.offsets is None:
        # a dense convolution has a connection for each delay
        names = dict.fromkeys(f"{made.source} → {layer.name}" for layer in network.layers for made in layer.inputs)
        figures.save(figures.plot_delays(before, after, network.dt_ms, [*names]), folder / "delays.png")
    else:
        begun, ended = before[0].reshape(splits.offsets.shape), _detector_delays(network)
        drawn = figures.plot_detectors(begun, ended, splits.offsets, network.dt_ms)
        figures.save(drawn, folder / "delays.png")
    part = splits.validation or splits.train
    clip, dataset = int(part.clips[0]), part.dataset
    label = dataset.classes[dataset.labels[clip]]
    raster = figures.plot_raster(network, dataset.clip(clip), int(dataset.lengths[clip]), label)
    figures.save(raster, folder / "raster.png")
