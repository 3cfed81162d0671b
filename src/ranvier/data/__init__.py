"""Sets of clips: events, frames, HDF5, the cache, splits, augmentation."""

from ranvier.data.dataset import DataError, SpikeDataset
from ranvier.data.events import Alignment, Grid
from ranvier.data.frames import FrameDataset
from ranvier.data.hdf5 import find_recording, read_recording
from ranvier.data.hdf5_write import write_clips, write_dataset, write_recording
from ranvier.data.subset import Subset

__all__ = [
    "Alignment",
    "DataError",
    "FrameDataset",
    "Grid",
    "SpikeDataset",
    "Subset",
    "find_recording",
    "read_recording",
    "write_clips",
    "write_dataset",
    "write_recording",
]
