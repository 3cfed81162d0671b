"""A data set of clips held on a device, where batches are made without the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ranvier.data.dataset import SpikeDataset, check_clips
from ranvier.data.frames import FrameDataset


class DeviceClips:
    """The cells or frames of a data set on a device, in the small types that hold them.

    :meth:`batch` gives what ``dataset.batch`` gives. Only the clips' indices travel to the device, and nothing is
    waited for.

    Args:
        dataset: the clips.
        device: where they are copied to, :func:`packed_bytes` bytes.
    """

    def __init__(self, dataset: SpikeDataset | FrameDataset, device: torch.device) -> None:
        self.dataset, self.device = dataset, device
        self._columns = [torch.from_numpy(_held(column)).to(device) for column in _columns(dataset)]

    def batch(self, clips: NDArray[Any], *, steps: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Dense tensors of some clips.

        Args:
            clips: ``[batch]`` indices.
            steps: time to pad to; None means the longest of these clips.

        Returns:
            x float32 ``[time, batch, source]`` on the device; lengths int64 ``[batch]`` in steps on the CPU; labels
            int64 ``[batch]`` on the device.
        """
        data, clips = self.dataset, check_clips(clips, len(self.dataset))
        lengths, starts = data.lengths[clips], data.offsets[clips]
        sizes = data.offsets[clips + 1] - starts
        rows, place = self._rows(starts, sizes)
        x = torch.zeros(int(lengths.max()) if steps is None else steps, len(clips), data.sources, device=self.device)
        if isinstance(data, SpikeDataset):
            step, source, count = (column[rows] for column in self._columns)
            x[step.long(), place, source.long()] = count.float()
        else:
            first = self._moved(starts)[place]
            x[rows - first, place] = self._columns[0][rows].float()
        return x, torch.from_numpy(lengths), self._moved(data.labels[clips])

    def _rows(self, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Of every cell or frame of the clips: where it lies, and the clip's place in the batch."""
        total = int(sizes.sum())
        place = torch.repeat_interleave(
            torch.arange(len(sizes), device=self.device), self._moved(sizes), output_size=total
        )
        before = self._moved(starts - (np.cumsum(sizes) - sizes))
        return before[place] + torch.arange(total, device=self.device), place

    def _moved(self, values: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(values).to(self.device, non_blocking=True)


def packed_bytes(dataset: SpikeDataset | FrameDataset) -> int:
    """Memory that :class:`DeviceClips` takes on the device."""
    return sum(column.size * _held_type(column).itemsize for column in _columns(dataset))


def _held(column: NDArray[Any]) -> NDArray[Any]:
    """A copy that torch can index on any device."""
    return np.array(column, _held_type(column))


def _held_type(column: NDArray[Any]) -> np.dtype[Any]:
    """CUDA indexes no unsigned integers of more than 8 bits."""
    if column.dtype.kind != "u" or column.dtype.itemsize == 1:
        return column.dtype
    return np.promote_types(np.int16, np.min_scalar_type(-int(column.max(initial=0))))


def _columns(dataset: SpikeDataset | FrameDataset) -> list[NDArray[Any]]:
    if isinstance(dataset, SpikeDataset):
        return [dataset.step, dataset.source, dataset.count]
    return [dataset.frames]
