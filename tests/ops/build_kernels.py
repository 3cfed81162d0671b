"""Build every GPU kernel as the package launches it, without a GPU, for two compute capabilities.

A program, which test_cuda_builds.py runs: its own process would have triton's interpreter.

Tensors are on "meta", so that sizes cost nothing, no value can be read and none may come from the CPU; a launch ends
after its compilation.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver
from triton.runtime.jit import JITFunction, MockTensor

from ranvier.ops.adaptive_lif import scan_cuda as adaptive_lif
from ranvier.ops.dense import taps_cuda
from ranvier.ops.integrator import scan_cuda as integrator
from ranvier.ops.lif import scan_cuda as lif
from ranvier.ops.norm import passes_cuda
from ranvier.ops.normed_lif import scan_cuda as normed_lif
from ranvier.ops.recurrent_lif import scan_cuda as recurrent_lif
from ranvier.ops.trace import scan_cuda as trace

CAPABILITIES = (80, 90)  # A100, H100
SMALL, HUGE = (5, 2, 16), (1, 2**16, 2**15)  # time, batch, neurons; the width of the latter has 64 bits
BOTH = (False, True)


def calls(new: Callable[..., Tensor], size: tuple[int, int, int]) -> Iterator[Any]:
    """Every public function of the CUDA files with every option, on tensors of ``size``."""
    time, batch, neurons = size
    x, state, per_neuron = new(time, batch, neurons), new(batch, neurons), new(neurons)
    for keep, subtract in itertools.product(BOTH, BOTH):
        yield lif.lif(x, per_neuron, per_neuron, state, keep, subtract)
    for surrogate, learned, subtract in itertools.product(lif.SURROGATES, BOTH, BOTH):
        yield lif.lif_backward(x, state, x, per_neuron, per_neuron, state, surrogate, 5.0, learned, subtract)
    values, states = new(5, neurons), new(batch, 3, neurons)
    for symplectic, keep in itertools.product(BOTH, BOTH):
        yield adaptive_lif.adaptive_lif(x, values, states, symplectic, keep)
    for surrogate, symplectic in itertools.product(lif.SURROGATES, BOTH):
        yield adaptive_lif.adaptive_lif_backward((x, states, x, x, values, states), symplectic, surrogate, 5.0)
    for kind, neuron in itertools.product(("synaptic", "axonal", "dendritic"), ("zero", "forward")):
        of_neurons = (values, states) if neuron == "forward" else (values[:2], states[:, :1])
        taps = new(time, neurons, neurons) if kind == "synaptic" else new(neurons, time)
        square = new(neurons, neurons)
        yield recurrent_lif.scan(x, square, taps, state, *of_neurons, kind, neuron)
        given = (x, of_neurons[1], x, x, square, taps, state, of_neurons[0])
        yield recurrent_lif.scan_backward(*given, kind, neuron)
    yield integrator.integrate(x, per_neuron, state)
    yield integrator.integrate_backward(x, x, per_neuron, state)
    yield trace.trace(x, per_neuron, state)
    yield trace.trace_backward(x, x, x, per_neuron, state)
    steps = torch.empty(batch, dtype=torch.int64, device=x.device)
    yield passes_cuda.sums(x, steps)
    yield passes_cuda.backward_sums(x, x, steps, per_neuron)
    normed = (x, steps, per_neuron, per_neuron, per_neuron)
    yield passes_cuda.scale_and_shift(*normed)
    yield passes_cuda.combine(x, x, steps, per_neuron, (per_neuron,) * 3, in_place=True)
    yield normed_lif.spikes(*normed, per_neuron, per_neuron, state)
    for surrogate in lif.SURROGATES:
        yield normed_lif.backward(x, *normed, per_neuron, per_neuron, state, surrogate, 5.0)
    weight, sigma = new(1, batch, neurons), torch.empty((), dtype=torch.float64, device=x.device)
    for kernel, width in (("gaussian", sigma), ("triangle", sigma), ("gaussian", None)):
        yield taps_cuda.weighted_taps(weight, weight, width, kernel, time, time)
        yield taps_cuda.weighted_taps_backward(new(batch, neurons, time), weight, weight, width, kernel, time)


class NoGpu:
    """A driver that names a GPU and has none."""

    def __init__(self, capability: int) -> None:
        self.capability = capability

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.capability, 32)


def build(capability: int) -> list[dict[str, Any]]:
    """What was built: kernel, types of its arguments, constants, size of its machine code, width of its offsets."""
    built: dict[str, dict[str, Any]] = {}
    run = JITFunction.run
    driver.set_active(NoGpu(capability))

    def only_compile(self: Any, *arguments: Any, grid: Any, warmup: bool, **constants: Any) -> None:
        on = {argument.device.type for argument in arguments if isinstance(argument, Tensor)}
        assert on == {"meta"}, f"{self.__name__}: arguments on {on}"
        name = f"{self.__module__}.{self.__name__}"
        arguments = tuple(MockTensor(a.dtype) if isinstance(a, Tensor) else a for a in arguments)
        huge = HUGE[1] * HUGE[2] in arguments
        if huge and any(b["kernel"] == name and b["huge"] for b in built.values()):
            return  # once is enough to see that it takes such a number
        kernel = run(self, *arguments, grid=grid, warmup=True, **constants)
        built[kernel.hash] = {
            "capability": capability,
            "kernel": name,
            "huge": huge,
            "types": sorted({str(a.dtype) for a in arguments if isinstance(a, MockTensor)}),
            "constants": {key: value for key, value in constants.items() if key != "enable_fp_fusion"},
            "fused": kernel.metadata.enable_fp_fusion,
            "tf32": "tf32" in kernel.asm["ptx"],
            "barriers": len(re.findall(r"\b(?:gpu|ttg)\.barrier\b", kernel.asm["ttir"])),
            "machine_code": len(kernel.asm["cubin"]),
            "offsets": sorted(set(re.findall(r"tt\.addptr .*, tensor<(?:\d+x)+(i\d+)>", kernel.asm["ttir"]))),
            "products": sorted(set(re.findall(r"arith\.muli .* : (?:tensor<(?:\d+x)+)?(i\d+)", kernel.asm["ttir"]))),
        }

    with mock.patch.object(JITFunction, "run", only_compile):
        for dtype in (torch.float32, torch.float64):
            list(calls(partial(torch.empty, dtype=dtype, device="meta"), SMALL))
        if capability == CAPABILITIES[0]:
            list(calls(partial(torch.empty, device="meta"), HUGE))
    return list(built.values())


if __name__ == "__main__":
    assert "TRITON_INTERPRET" not in os.environ
    with multiprocessing.get_context("fork").Pool(2) as pool:  # forked, torch is loaded once
        json.dump([one for found in pool.map(build, CAPABILITIES) for one in found], sys.stdout)
