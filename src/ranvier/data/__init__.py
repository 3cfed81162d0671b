"""Spike recordings: readers, cache, splits, synthetic tasks. Knows nothing of networks."""

from ranvier.data.dataset import DataError, SpikeDataset
from ranvier.data.events import Alignment, Grid
from ranvier.data.hdf5 import find_recording, read_recording, write_recording

__all__ = [
    "Alignment",
    "DataError",
    "Grid",
    "SpikeDataset",
    "find_recording",
    "read_recording",
    "write_recording",
]
