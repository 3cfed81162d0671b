"""The delayed convolution as the equation says it: one kernel element and one time step of delay after the other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ranvier.ops.conv.places import Places
from ranvier.ops.dense.reference import tap_kernel


def delayed_convolution(
    x: Tensor,
    weight: Tensor,
    delay: Tensor,
    sigma: Tensor | float | None,
    places: Places,
    *,
    max_delay: int,
    kernel: str,
    bias: Tensor | None,
    history: Tensor | None,
) -> Tensor:
    taps = weight.unsqueeze(-1) * tap_kernel(delay, sigma, max_delay=max_delay, kernel=kernel)
    history = x.new_zeros(max_delay, *x.shape[1:]) if history is None else history
    above, beside = places.padding
    padded = F.pad(places.pictures(torch.cat([history, x])), (beside, beside, above, above))
    rows, columns = weight.shape[2:]
    out_rows, out_columns = places.out_size((rows, columns))
    down, right = places.stride
    current = x.new_zeros(*x.shape[:2], len(weight), out_rows, out_columns)
    for m in range(max_delay + 1):
        earlier = padded[max_delay - m : len(padded) - m]
        for u in range(rows):
            for v in range(columns):
                seen = earlier[..., u : u + down * out_rows : down, v : v + right * out_columns : right]
                current = current + torch.einsum("tbcyx,oc->tboyx", seen, taps[:, :, u, v, m])
    if bias is not None:
        current = current + bias.view(-1, 1, 1)
    return current.flatten(2)
