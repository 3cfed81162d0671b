"""Clips for a ``torch.utils.data.DataLoader`` of one's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from ranvier.data.dataset import SpikeDataset
from ranvier.data.frames import FrameDataset
from ranvier.data.subset import Subset


def torch_dataset(dataset: SpikeDataset | FrameDataset | Subset) -> Dataset[tuple[Tensor, int]]:
    """The clips as a map-style data set of torch's, for samplers and ``DataLoader(..., collate_fn=collate)``.

    Args:
        dataset: a data set, or some clips of one.

    Returns:
        Clip by clip ``(x, label)``: x float32 ``[time, source]``, of the clip's own length, and its label. The clips
        are not copied; it can be pickled, so that a DataLoader may have workers.
    """
    return _Clips(dataset if isinstance(dataset, Subset) else Subset.every(dataset))


def collate(items: Sequence[tuple[Tensor, int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Join clips into a batch, padded with silence at their ends.

    Args:
        items: ``(x, label)`` of each clip, x ``[time, source]``.

    Returns:
        x ``[time, batch, source]``, lengths int64 ``[batch]`` in time steps, labels int64 ``[batch]``: what
        :meth:`ranvier.data.SpikeDataset.batch` gives.
    """
    clips = [x for x, _ in items]
    return pad_sequence(clips), torch.tensor([len(x) for x in clips]), torch.tensor([label for _, label in items])


class _Clips(Dataset[tuple[Tensor, int]]):
    def __init__(self, subset: Subset) -> None:
        self._subset = subset

    def __len__(self) -> int:
        return len(self._subset)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        x, _, labels = self._subset.dataset.batch(np.array([self._subset.clips[index]]))
        return x[:, 0], int(labels[0])
