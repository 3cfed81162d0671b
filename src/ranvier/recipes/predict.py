"""What a model in training says of clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ranvier.data import Subset
from ranvier.models import Stack


@torch.no_grad()
def predict(
    model: Stack,
    part: Subset,
    *,
    padded_batch: int | None = None,
    as_trained: Sequence[nn.Module] = (),
) -> NDArray[np.int64]:
    """Predicted class of every clip, with rounded delays; the model is left in ``eval()``.

    ``padded_batch`` takes batches of so many clips, in their order, and counts their padding as silence of the clip:
    then a prediction depends on the other clips of its batch. None counts no padding.
    Modules of ``as_trained`` compute as in training: delays of theirs are not rounded.
    """
    model.eval()
    device = next(model.parameters()).device
    for module in as_trained:
        module.train()
    batch_size = padded_batch or 256
    predictions = []
    for start in range(0, len(part), batch_size):
        x, lengths, _ = part.dataset.batch(part.clips[start : start + batch_size])
        predictions.append(model.scores(x.to(device), lengths if padded_batch is None else None).argmax(1))
    model.eval()
    return torch.cat(predictions).cpu().numpy()
