"""What rounding the delays to whole time steps costs."""

from __future__ import annotations

from ranvier.analysis.intervals import clip_accuracy
from ranvier.corpora.splits import Splits
from ranvier.models import Stack
from ranvier.nn import DelayLayer
from ranvier.recipes.predict import predict
from ranvier.runs import Accuracy


def accuracy_before_rounding(model: Stack, splits: Splits, padded_batch: int | None) -> Accuracy | None:
    """Accuracy on the validation clips with the delays, and their widths, as they were trained.

    None where there is no validation split or nothing to round. The model is left in ``eval()``.
    """
    learned = [module for module in model.modules() if isinstance(module, DelayLayer) and module.delay.requires_grad]
    if splits.validation is None or not learned:
        return None
    part = splits.validation
    right = predict(model, part, padded_batch=padded_batch, as_trained=learned) == part.dataset.labels[part.clips]
    return clip_accuracy(right)
