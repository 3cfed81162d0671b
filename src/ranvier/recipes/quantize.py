"""A network in integers, and what that costs in accuracy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ranvier.data import DataError, FrameDataset, SpikeDataset
from ranvier.engine import Clip, activity
from ranvier.engine.cost import cost
from ranvier.network import Network, WeightBits, quantize
from ranvier.network.quantize import with_delay_bits
from ranvier.recipes.evaluation import Evaluation, evaluate

CALIBRATION_CLIPS = 200


@dataclass(frozen=True)
class QuantizeResult:
    """A network before and after.

    Attributes:
        network: in integers.
        before, after: on the same clips.
        delays_alone: of the network of floats with the delays of the integer one; None where no delay changed.
        bytes_before, bytes_after: of weights and delays.
    """

    network: Network
    before: Evaluation
    after: Evaluation
    delays_alone: Evaluation | None
    bytes_before: int
    bytes_after: int


def quantize_network(
    network: Network,
    dataset: SpikeDataset | FrameDataset,
    clips: NDArray[np.int64],
    weight_bits: WeightBits,
    delay_bits: int | None,
    progress: Callable[[int, int], None] | None = None,
) -> QuantizeResult:
    """Quantise a network and run it before and after.

    Args:
        network: of floats.
        dataset, clips: to evaluate on; how much sources send is measured on up to 200 of them, without labels.
        weight_bits, delay_bits: as in :func:`ranvier.network.quantize`.
        progress: as in :func:`~ranvier.recipes.evaluation.evaluate`, for each of two or three evaluations.

    Raises:
        NetworkError: a part has no integer form.
        DataError: the clips do not fit, or their sizes are no whole numbers in [0, 255].
    """
    some = clips[:: max(1, len(clips) // CALIBRATION_CLIPS)][:CALIBRATION_CLIPS]
    given: list[Clip] = [(dataset.clip(clip), int(dataset.lengths[clip])) for clip in some]
    made = quantize(network, weight_bits=weight_bits, delay_bits=delay_bits, activity=activity(network, given))
    rounded = with_delay_bits(network, delay_bits)
    changed = any(
        not np.array_equal(one.synapses().delay_steps, other.synapses().delay_steps)
        for mine, theirs in zip(network.layers, rounded.layers, strict=True)
        for one, other in zip(mine.inputs, theirs.inputs, strict=True)
    )
    try:
        after = evaluate(made, dataset, clips, progress=progress)
    except ValueError as error:
        raise DataError(str(error)) from None
    sizes = [cost(each, given[:1]).total for each in (network, made)]
    return QuantizeResult(
        network=made,
        before=evaluate(network, dataset, clips, progress=progress),
        after=after,
        delays_alone=evaluate(rounded, dataset, clips, progress=progress) if changed else None,
        bytes_before=sizes[0].weight_bytes + sizes[0].delay_bytes,
        bytes_after=sizes[1].weight_bytes + sizes[1].delay_bytes,
    )


def check_out(out: Path, *, force: bool) -> None:
    """Refuse a place where a network file cannot be written, before anything is computed.

    Raises:
        DataError: it is no .safetensors name in a folder that is there, or it exists and ``force`` is not given.
    """
    if out.suffix != ".safetensors":
        raise DataError(f"--out: {out} is not allowed (a name that ends in .safetensors)")
    if not out.absolute().parent.is_dir():
        raise DataError(f"--out: {out.parent} is no folder (one that exists allowed)")
    if out.exists() and not force:
        raise DataError(f"--out: {out} exists already (--force replaces it)")
