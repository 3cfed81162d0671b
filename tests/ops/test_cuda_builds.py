"""Every GPU kernel is built to machine code, without a GPU, in every form in which the code launches it."""

from __future__ import annotations

import ast
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import ranvier.ops

# not imported here: other files of this process run its interpreter, which is chosen before the first import
pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is made for Linux")

OPS = Path(ranvier.ops.__file__).parent
FREE = {"BLOCK", "TILE", "ALPHA"}  # constants that stand for any number


def jitted(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and any("triton.jit" in ast.unparse(d) for d in node.decorator_list):
            yield node


def kernels() -> set[str]:
    """Functions of the CUDA files that a GPU is given; not those that only other such functions call."""
    found, called = set(), set()
    for path in OPS.glob("**/*_cuda.py"):
        module = ".".join(path.relative_to(OPS.parents[1]).with_suffix("").parts)
        for function in jitted(ast.parse(path.read_text(encoding="utf-8"))):
            found.add(f"{module}.{function.name}")
            called |= {
                n.func.id for n in ast.walk(function) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
            }
    return {name for name in found if name.rpartition(".")[2] not in called}


@pytest.fixture(scope="module")
def built() -> list[dict[str, Any]]:
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-m", "tests.ops.build_kernels"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_every_kernel_is_built_for_both_precisions_and_gpus(built: list[dict[str, Any]]) -> None:
    assert len(kernels()) > 3
    there = {(b["kernel"], b["capability"], kind) for b in built for kind in b["types"] if "float" in kind}
    assert there == set(itertools.product(kernels(), (80, 90), ("torch.float32", "torch.float64")))
    assert all(b["machine_code"] > 1000 for b in built)


def test_every_kernel_is_built_with_every_constant(built: list[dict[str, Any]]) -> None:
    for kernel in kernels():
        of_kernel = [{k: v for k, v in b["constants"].items() if k not in FREE} for b in built if b["kernel"] == kernel]
        domains: dict[str, list[Any]] = {key: sorted({b[key] for b in of_kernel}) for key in of_kernel[0]}
        for key, values in domains.items():
            assert len(values) > 1, f"{kernel}: {key} is always {values}"
        assert {tuple(b.values()) for b in of_kernel} == set(itertools.product(*domains.values())), kernel


def test_what_other_threads_have_stored_is_waited_for(built: list[dict[str, Any]]) -> None:
    """After every store of what other threads of a program load; the interpreter has one thread."""
    recurrent = [b for b in built if ".recurrent_lif." in b["kernel"]]
    there = {(b["kernel"].rpartition(".")[2], b["constants"]["ORDER"], b["barriers"]) for b in recurrent}
    barriers = {0: 1, 1: 2, 2: 2}  # by order: axonal and dendritic delays send, then receive
    assert there == {(kernel, *each) for kernel in ("_scan", "_scan_backward") for each in barriers.items()}


def test_places_in_memory_have_64_bits_and_products_are_neither_fused_nor_rounded(built: list[dict[str, Any]]) -> None:
    for b in built:
        assert b["offsets"] == b["products"] == ["i64"], b
        assert b["fused"] is False, b
        assert b["tf32"] is False, b
