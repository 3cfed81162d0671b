"""Compiled loops over pieces of a range, on as many threads as torch uses."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from itertools import pairwise
from threading import Thread
from typing import Any

import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor


def in_parallel(kernel: Callable[..., None], total: int, *arguments: Any) -> None:
    """``kernel(*arguments, start, stop)`` over pieces of 0 ... total, one per thread of torch, and wait for all.

    ``kernel`` has to let go of the interpreter's lock and to write only what belongs to its own piece.
    """
    # threads of our own: a pool of numba's allows one caller at a time, and no pool outlives a fork
    threads = max(1, min(torch.get_num_threads(), total))
    edges = [total * number // threads for number in range(threads + 1)]
    faults: list[BaseException] = []

    def piece(start: int, stop: int) -> None:
        try:
            kernel(*arguments, start, stop)
        except BaseException as fault:  # a thread would only print it, and half a result would go on
            faults.append(fault)

    others = [Thread(target=piece, args=ends) for ends in pairwise(edges[1:])]
    for thread in others:
        thread.start()
    piece(0, edges[1])
    for thread in others:
        thread.join()
    if faults:
        raise faults[0]


def one_blas_thread() -> AbstractContextManager[object]:
    """Matrix products within compiled loops take the thread that calls them: threads of their own would wait for one
    another, which on a busy machine takes longer than the product."""
    limit: AbstractContextManager[object] = _blas().limit(limits=1)
    return limit


@cache
def _blas() -> ThreadpoolController:
    import scipy.linalg.cython_blas  # noqa: F401 - what numba calls; must be loaded to be found

    return ThreadpoolController().select(internal_api="openblas")


def arrays(*tensors: Tensor) -> list[Any]:
    """Tensors on the CPU as NumPy arrays for such a loop: the same memory, or a copy where it is not contiguous."""
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


def scalar(like: Tensor, value: float) -> Any:
    """A number for such a loop, of a tensor's own type: a double would widen every operation of the loop."""
    return torch.tensor(value, dtype=like.dtype).numpy()[()]
