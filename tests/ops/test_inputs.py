"""What equations take: numbers of another type where nothing is lost, and errors that name the argument."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ranvier.ops import delayed_current, lif
from ranvier.ops.inputs import clip_lengths, over_time
from ranvier.ops.integrator import leaky_integrator
from ranvier.ops.norm import sequence_norm
from ranvier.ops.trace import trace

ONE = torch.tensor(1.0)
FUNCTIONS: dict[str, Any] = {
    "x": lambda x: delayed_current(x, torch.ones(1, 2, 3), torch.ones(1, 2, 3), 1.0, max_delay=4),
    "current": lambda x: lif(x, ONE / 2, ONE)[0],
    "voltage": lambda x: leaky_integrator(x, ONE / 2)[0],
    "spikes": lambda x: trace(x, ONE / 2)[0],
    "norm": lambda x: sequence_norm(x, torch.tensor([7, 4]), torch.ones(3), torch.zeros(3))[0],
}


def whole(low: int = 0, high: int = 3) -> Tensor:
    return torch.randint(low, high, (7, 2, 3), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=list(FUNCTIONS))
@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, np.uint8])
def test_numbers_of_another_type_work_as_their_float(function: Any, dtype: Any) -> None:
    x = torch.from_numpy(whole().numpy().astype(dtype))
    result = function(x)
    assert result.dtype == torch.float32
    assert torch.equal(result, function(x.float()))


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=list(FUNCTIONS))
@pytest.mark.parametrize(
    ("x", "said"),
    [
        (whole().double() * 1e300, "torch.float64 with values that float32 cannot hold"),
        (torch.full((7, 2, 3), torch.nan, dtype=torch.float64), "torch.float64 with values"),
        (whole() + 2**24, "torch.int64 with values"),
        (whole().to(torch.complex64), "torch.complex64"),
        (whole()[:, 0].float(), r"shape \(7, 3\) is not \[time, batch"),
        (whole().tolist(), "list is not allowed"),
        ((whole().float(), None), "tuple is not allowed"),
    ],
)
def test_what_cannot_be_taken_is_named(function: Any, x: Any, said: str) -> None:
    with pytest.raises(ValueError, match=rf"^(x|current|spikes): .*{said}"):
        function(x)


def test_a_lower_precision_takes_what_it_can_hold() -> None:
    half = torch.ones((), dtype=torch.float16)
    assert over_time("x", torch.full((1, 1, 1), 1e4), half, "source").item() == 1e4
    with pytest.raises(ValueError, match=r"^x: torch\.float32 .* float16 cannot hold"):
        over_time("x", torch.full((1, 1, 1), 1e6), half, "source")
    with pytest.raises(ValueError, match=r"^x: torch\.int64 .* float16 cannot hold"):
        over_time("x", torch.full((1, 1, 1), 2049), half, "source")


@pytest.mark.parametrize(
    "lengths", [[7, 4], (7, 4), np.array([7, 4]), torch.tensor([7, 4], dtype=torch.int32), torch.tensor([0, 0])]
)
def test_lengths_may_be_any_whole_numbers(lengths: Any) -> None:
    taken = clip_lengths("lengths", lengths, torch.zeros(7, 2, 3))
    assert taken.dtype == torch.int64
    assert taken.tolist() == [int(n) for n in lengths]


@pytest.mark.parametrize(
    "lengths", [[8, 4], [7, -1], [7.0, 4.0], [True, False], [7], [[7, 4]], 7, "ab", [7, "b"], torch.tensor([1j, 0])]
)
def test_lengths_that_do_not_fit_are_named(lengths: Any) -> None:
    with pytest.raises(ValueError, match=r"^lengths: .* (allowed|is not)"):
        clip_lengths("lengths", lengths, torch.zeros(7, 2, 3))


@pytest.mark.parametrize("steps", [[8, 4], [7], [7.0, 4.0]])
def test_the_steps_of_a_norm_are_checked(steps: Any) -> None:
    with pytest.raises(ValueError, match=r"^steps: "):
        sequence_norm(torch.zeros(7, 2, 3), torch.tensor(steps), torch.ones(3), torch.zeros(3))
