"""Batches of clips on the device that a network is trained on."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ranvier.data import FrameDataset, SpikeDataset
from ranvier.data.device_clips import DeviceClips, packed_bytes

_SHARE = 0.5  # of the free memory of a GPU that clips may take


class Batches:
    """Dense batches of a data set on a device.

    A GPU holds the whole data set, packed, where half of its free memory takes that; elsewhere batches are made on the
    CPU and copied.

    Attributes:
        lengths, labels: those of the data set.

    Args:
        dataset: the clips.
        device: where batches are wanted.
        augmented: batches are changed on the CPU before they are copied, so the device holds no clips.
    """

    def __init__(self, dataset: SpikeDataset | FrameDataset, device: torch.device, *, augmented: bool = False) -> None:
        self.lengths, self.labels = dataset.lengths, dataset.labels
        self._clips: SpikeDataset | FrameDataset | DeviceClips = dataset
        self.device = torch.device("cpu") if augmented else device
        if self.device.type == "cuda" and packed_bytes(dataset) <= _SHARE * torch.cuda.mem_get_info(device)[0]:
            self._clips = DeviceClips(dataset, device)

    def __call__(self, clips: NDArray[Any], *, steps: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Some clips.

        Args:
            clips: ``[batch]`` indices.
            steps: time to pad to; None means the longest of these clips.

        Returns:
            x float32 ``[time, batch, source]`` on the device, lengths int64 ``[batch]`` in steps on the CPU, labels
            int64 ``[batch]`` on the device.
        """
        x, lengths, labels = self._clips.batch(clips, steps=steps)
        return x.to(self.device), lengths, labels.to(self.device)
