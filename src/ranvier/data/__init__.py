"""Sets of clips: events, frames, HDF5, the cache, splits, augmentation."""

from typing import TYPE_CHECKING

from ranvier.data.dataset import DataError, SpikeDataset
from ranvier.data.event_clips import events_dataset
from ranvier.data.events import Alignment, Grid
from ranvier.data.frames import FrameDataset
from ranvier.data.hdf5 import find_recording, read_recording
from ranvier.data.hdf5_write import write_clips, write_dataset, write_recording
from ranvier.data.subset import Subset

if TYPE_CHECKING:
    from ranvier.data.torch_clips import collate, torch_dataset

__all__ = [
    "Alignment",
    "DataError",
    "FrameDataset",
    "Grid",
    "SpikeDataset",
    "Subset",
    "collate",
    "events_dataset",
    "find_recording",
    "read_recording",
    "torch_dataset",
    "write_clips",
    "write_dataset",
    "write_recording",
]


def __getattr__(name: str) -> object:
    if name not in ("collate", "torch_dataset"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ranvier.data import torch_clips  # imports torch

    return getattr(torch_clips, name)
