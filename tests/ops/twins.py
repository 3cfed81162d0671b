"""A faster way against its reference: same outputs, same final state and every gradient.

Imported before triton is, which then runs its kernels in an interpreter on a CPU, unless there is a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._library.custom_ops import OPDEFS

INTERPRETED = not torch.cuda.is_available() and find_spec("triton") is not None
if INTERPRETED:
    os.environ.setdefault("TRITON_INTERPRET", "1")

KERNELS = [
    "cpu",
    pytest.param(
        "gpu",
        marks=[
            pytest.mark.skipif(find_spec("triton") is None, reason="triton is made for Linux"),
            pytest.mark.skipif(torch.cuda.is_available(), reason="test_cuda.py runs the kernels on the GPU"),
        ],
    ),
]
"""Whose kernels a test runs on a CPU: its own, or through triton's interpreter those for a GPU."""

Function = Callable[..., Tensor | Sequence[Tensor]]


def _outputs_and_gradients(function: Function, inputs: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    results = function(**inputs)
    outputs = [results] if isinstance(results, Tensor) else list(results)
    found = {f"output {number}": output.detach() for number, output in enumerate(outputs)}
    wanted = [name for name, value in inputs.items() if value.requires_grad]
    differentiable = [output for output in outputs if output.requires_grad]
    if not differentiable:
        return found
    generator = torch.Generator().manual_seed(seed)
    probes = [torch.randn(o.shape, generator=generator, dtype=torch.double).to(o.dtype) for o in differentiable]
    gradients = torch.autograd.grad(differentiable, [inputs[name] for name in wanted], probes, allow_unused=True)
    for name, gradient in zip(wanted, gradients, strict=True):
        found[f"gradient of {name}"] = torch.zeros_like(inputs[name]) if gradient is None else gradient
    return found


def assert_twins(
    fast: Function, reference: Function, inputs: Mapping[str, Tensor], *, tolerance: float, exact: Sequence[str] = ()
) -> None:
    """Both functions of ``inputs`` agree within ``tolerance``, relative to the largest number of each result.

    The reference runs in double precision, except for results named in ``exact``, which must be equal to the bit in
    the inputs' own type.
    """
    ours = _outputs_and_gradients(fast, inputs, 0)
    same_type = _outputs_and_gradients(reference, inputs, 0) if exact else {}
    doubled = {
        name: value.detach().double().requires_grad_(value.requires_grad) if value.is_floating_point() else value
        for name, value in inputs.items()
    }
    theirs = _outputs_and_gradients(reference, doubled, 0)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.isfinite(value).all(), name
        assert value.shape == theirs[name].shape, name
        if name in exact:
            assert torch.equal(value, same_type[name]), name
            continue
        scale = max(float(theirs[name].abs().max()) if value.numel() else 0.0, 1e-3)
        error = float((value - theirs[name]).abs().max()) / scale if value.numel() else 0.0
        assert error <= tolerance, f"{name}: off by {error:.2g} of its largest"


@contextmanager
def poisoned_memory() -> Iterator[None]:
    """New memory is full of NaN, so that what is read before it was written shows."""
    before = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
    try:
        assert torch.empty(3).isnan().all()
        yield
    finally:
        torch.use_deterministic_algorithms(False)
        torch.utils.deterministic.fill_uninitialized_memory = before  # type: ignore[attr-defined]


@contextmanager
def kernels_of(device: str) -> Iterator[None]:
    """Operators on CPU tensors take the kernels of ``KERNELS``."""
    operators = [one for name, one in OPDEFS.items() if name.startswith("ranvier::") and "cuda" in one._backend_fns]
    own = [one._backend_fns["cpu"] for one in operators]
    assert len(operators) > 3
    if device == "gpu":
        for one in operators:
            one._backend_fns["cpu"] = one._backend_fns["cuda"]
    try:
        with np.errstate(invalid="ignore", over="ignore"):  # the interpreter computes with NumPy, which would warn
            yield
    finally:
        for one, kernel in zip(operators, own, strict=True):
            one._backend_fns["cpu"] = kernel
