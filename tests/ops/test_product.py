"""The matrix product under the spectral way, and loops shared among threads."""

from __future__ import annotations

import threading

import pytest
import torch

from ranvier.ops import product as module
from ranvier.ops.parallel import arrays, in_parallel
from ranvier.ops.product import product, uses_onednn


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("by_columns", [False, True])
@pytest.mark.parametrize(("rows", "columns", "inner"), [(1, 1, 1), (3, 5, 2), (124, 640, 100), (0, 4, 3), (4, 3, 0)])
def test_product_is_the_matrix_product(
    rows: int, columns: int, inner: int, by_columns: bool, dtype: torch.dtype
) -> None:
    a, b = torch.randn(rows, inner, dtype=dtype), torch.randn(columns, inner, dtype=dtype)
    if by_columns:
        a, b = a.t().contiguous().t(), b.t().contiguous().t()
    torch.testing.assert_close(product(a, b), a @ b.t(), rtol=1e-5, atol=1e-5)


def test_product_uses_onednn_only_where_it_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    a = torch.rand(2, 2)
    assert uses_onednn(a) == torch.backends.mkldnn.is_available()
    assert not uses_onednn(a.double())
    assert not uses_onednn(a.to("meta"))
    monkeypatch.setattr(module, "_linear", lambda a, b: a @ b.t() + 1e-3)
    module._onednn.cache_clear()
    try:
        assert not uses_onednn(a)
        assert torch.equal(product(a, a), a @ a.t())
    finally:
        module._onednn.cache_clear()


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("total", [0, 1, 2, 5, 100])
def test_loops_take_every_piece_once(total: int, threads: int) -> None:
    torch.set_num_threads(threads)
    pieces, lock = [], threading.Lock()

    def kernel(word: str, start: int, stop: int) -> None:
        with lock:
            pieces.append((word, start, stop))

    in_parallel(kernel, total, "given")
    assert {word for word, _, _ in pieces} == {"given"}
    taken = sorted(i for _, start, stop in pieces for i in range(start, stop))
    assert taken == list(range(total))
    assert len(pieces) == max(1, min(threads, total))


def test_arrays_share_memory_with_contiguous_tensors() -> None:
    tensor = torch.zeros(2, 3, requires_grad=True)
    array, turned = arrays(tensor, tensor.mT)
    array[0, 0] = 1
    assert tensor[0, 0] == 1
    assert turned.shape == (3, 2)
    assert turned.flags.c_contiguous


def test_a_fault_in_any_piece_is_raised() -> None:
    torch.set_num_threads(3)

    def kernel(start: int, stop: int) -> None:
        if start > 0:
            raise MemoryError(start)

    with pytest.raises(MemoryError):
        in_parallel(kernel, 9)
