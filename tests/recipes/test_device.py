"""Where a network is trained: the device's name, batches on it, its checkpoint, and that nothing leaves it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ranvier.data import FrameDataset, SpikeDataset
from ranvier.data.device_clips import DeviceClips, packed_bytes
from ranvier.models import Stack
from ranvier.nn import SequenceBatchNorm
from ranvier.nn.ranges import WithRanges
from ranvier.recipes.checkpoint import checkpoint_file, load_checkpoint, save_checkpoint
from ranvier.recipes.config import Config, ConfigError
from ranvier.recipes.device import find_device, matmul_precision, to_cpu
from ranvier.recipes.rate_penalty import rate_penalty
from ranvier.recipes.splits import build_splits
from ranvier.recipes.train_run import resume, train
from ranvier.recipes.training import Training
from ranvier.runs import read_metrics

from .conftest import Quiet

Make = Callable[..., Config]
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, small: Make, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert find_device("auto") == find_device("cpu") == torch.device("cpu")
    for name in ("cuda", "cuda:1", "mps", "gpu", ""):
        with pytest.raises(ConfigError, match=r"train\.device"):
            find_device(name)
    for name in ("gpu", "cuda:x", "cpu:0"):
        with pytest.raises(ConfigError, match=r"train\.device"):
            small(train__device=name)
    with pytest.raises(ConfigError, match="cuda"):
        train(small(train__device="cuda"), tmp_path / "run", Quiet())
    assert not (tmp_path / "run").exists()


def test_a_device_that_does_not_work_is_not_taken_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Tensor:
        raise RuntimeError("no kernel image is available for execution on the device\nCUDA kernel errors ...")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", fails)
    assert find_device("auto") == torch.device("cpu")
    with pytest.raises(ConfigError, match="no kernel image") as refused:
        find_device("cuda")
    assert "\n" not in str(refused.value)


def spike_clips(clips: int) -> SpikeDataset:
    generator = np.random.default_rng(0)
    packed = []
    for clip in range(clips):
        cells = np.sort(generator.choice(300 * 20, 0 if clip == 3 else 40 + clip, replace=False))
        packed.append((cells // 20, cells % 20, generator.integers(1, 300, len(cells))))
    return SpikeDataset.pack(
        packed, labels=np.arange(clips) % 3, speakers=None, classes=("a", "b", "c"), sources=20, dt_ms=10.0
    )


def frame_clips(clips: int) -> FrameDataset:
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 30, clips)
    frames = generator.normal(size=(lengths.sum(), 5)).astype(np.float16)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return FrameDataset(frames, offsets, np.arange(clips) % 3, np.full(clips, -1), ("a", "b", "c"), 10.0)


@pytest.mark.parametrize("make", [spike_clips, frame_clips])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
def test_batches_on_a_device_are_those_of_the_data_set(
    make: Callable[[int], SpikeDataset | FrameDataset], device: str
) -> None:
    data = make(11)
    held = DeviceClips(data, torch.device(device))
    # CUDA has no kernels for the others
    assert {column.dtype for column in held._columns} <= {torch.uint8, torch.int16, torch.int32, torch.float16}
    assert packed_bytes(data) == sum(column.nbytes for column in held._columns)
    assert packed_bytes(data) < 20_000
    for clips in (np.array([4]), np.array([3, 9, 3, 0]), np.arange(11)[::-1]):
        x, lengths, labels = held.batch(clips)
        assert x.device.type == labels.device.type == device
        for ours, theirs in zip((x, lengths, labels), data.batch(clips), strict=True):
            assert ours.dtype == theirs.dtype
            assert torch.equal(ours.cpu(), theirs)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model__neuron": "plif"},
        {"model__neuron": "adlif"},
        {"model__synapse_tau_ms": "20", "model__learn_synapse_tau": "true"},
        {"model__fan_in": "4", "model__delay_type": "axonal"},
        {"model__delays": "fixed", "model__tail": "per_layer"},
        {"model__delays": "dense", "model__max_delay_ms": "60"},
        {"train__class_weights": "balanced", "train__padding": "counted"},
        {"train__rate_penalty": "1", "train__rate_max_hz": "10", "train__ema_decay": "0.9", "model__tail": "per_layer"},
        {"model__recurrent": "axonal", "model__recurrent_dropout": "0.1", "model__round_delay": "true"},
    ],
    ids=lambda changes: ",".join(changes) or "published",
)
def test_a_step_stays_on_its_device(small: Make, changes: dict[str, str]) -> None:
    """The meta device refuses what a GPU would: a tensor of the CPU in the middle of its computation."""
    config = small(**changes)
    training = Training(config, build_splits(config))
    model = training.model.to("meta")
    optimisers, _ = training._optimisers()
    x, lengths, labels = (
        tensor[:, :8] if tensor.ndim == 3 else tensor[:8] for tensor in training.batches(np.arange(8))
    )
    weights = None if training.class_weights is None else training.class_weights.to("meta")
    model.set_sigma(3.0)
    rasters, scores = training._forward(x.to("meta"), lengths)
    loss = F.cross_entropy(scores, labels.to("meta"), weight=weights)
    if rasters:
        loss = loss + rate_penalty(rasters, lengths, model.decoding, training.config)
    loss.backward()
    for optimiser in optimisers:
        optimiser.step()
    assert {p.grad.device.type for p in model.parameters() if p.requires_grad and p.grad is not None} == {"meta"}
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    assert model.eval().scores(x.to("meta"), lengths).shape == (8, 3)
    # the optimisers' hook still knows which parameters have a range
    ranged = [module for module in model.modules() if isinstance(module, WithRanges)]
    kept = [getattr(module, name) for module in ranged for name in module.ranges()]
    more = 2 if "model__recurrent" in changes else 2 * 4 if changes.get("model__neuron") == "adlif" else 0
    assert len(kept) == 3 + more
    assert all(hasattr(parameter, "_ranvier_range") for parameter in kept)


def test_the_meta_device_refuses_a_tensor_of_the_cpu(small: Make) -> None:
    """The test above can fail."""
    config = small()
    training = Training(config, build_splits(config))
    x, lengths, _ = training.batches(np.arange(4))
    model = training.model.to("meta")
    norm = next(module for module in model.modules() if isinstance(module, SequenceBatchNorm))
    norm.bias = torch.nn.Parameter(torch.zeros(12))
    with pytest.raises((RuntimeError, ValueError)):
        model.scores(x.to("meta"), lengths).sum().backward()


def test_a_checkpoint_holds_no_tensor_of_a_device() -> None:
    meta = torch.ones(3, device="meta")
    with pytest.raises(NotImplementedError):  # a meta tensor holds nothing: that it was asked for is what is seen
        to_cpu({"a": [1, (meta,)]})
    assert to_cpu({"a": [1, (torch.ones(2),)]})["a"][1][0].tolist() == [1, 1]


def test_a_run_of_another_device_is_not_continued(small: Make, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(small(train__epochs="2"), folder, Quiet())
    (folder / "result.json").unlink()
    state = load_checkpoint(checkpoint_file(folder))
    assert state is not None
    assert (state["device"], state["device_name"]) == ("cpu", state["device_name"])
    save_checkpoint(checkpoint_file(folder), {**state, "device": "cuda", "device_name": "NVIDIA H100"})
    with pytest.raises(ConfigError, match="NVIDIA H100"):
        resume(folder, Quiet())
    # of before there were devices
    save_checkpoint(checkpoint_file(folder), {k: v for k, v in state.items() if not k.startswith("device")})
    assert resume(folder, Quiet()).epochs == 2


def test_out_of_memory_names_the_setting_to_lower(small: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(Stack, "scores", full)
    with pytest.raises(ConfigError, match=r"train\.batch_size: 16") as refused:
        train(small(), tmp_path / "run", Quiet())
    assert "\n" not in str(refused.value)


def test_precision_is_that_of_training_alone(small: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[bool, set[str]] = {True: set(), False: set()}
    scores = Stack.scores

    def spied(self: Stack, *arguments: Any) -> Tensor:
        seen[self.training].add(torch.get_float32_matmul_precision())
        return scores(self, *arguments)

    monkeypatch.setattr(Stack, "scores", spied)
    before = torch.get_float32_matmul_precision()
    train(small(train__precision="bfloat16", train__epochs="1"), tmp_path / "run", Quiet())
    assert seen == {True: {"medium"}, False: {before}}
    with matmul_precision("tf32"):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before


@needs_cuda
def test_a_gpu_learns_what_a_cpu_learns_and_resumes_bit_exactly(small: Make, tmp_path: Path) -> None:
    results = {name: train(small(train__device=name), tmp_path / name, Quiet()) for name in ("cpu", "cuda")}
    assert results["cuda"].device == torch.cuda.get_device_name()
    losses = {name: [row.loss for row in read_metrics(tmp_path / name)] for name in results}
    np.testing.assert_allclose(losses["cuda"], losses["cpu"], rtol=0.02)

    class Stop(Quiet):
        def epoch(self, row: Any) -> None:
            if row.epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(small(train__device="cuda"), tmp_path / "stopped", Stop())
    resume(tmp_path / "stopped", Quiet())
    assert [row.loss for row in read_metrics(tmp_path / "stopped")] == losses["cuda"]


@needs_cuda
def test_a_step_on_a_gpu_waits_for_nothing(small: Make) -> None:
    config = small(train__device="cuda")
    training = Training(config, build_splits(config))
    for _ in range(2):  # kernels are compiled
        training.update(*training.batches(np.arange(16)))
    before = [parameter.clone() for parameter in training.model.parameters()]
    torch.cuda.set_sync_debug_mode("error")
    try:
        training.update(*training.batches(np.arange(16)))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert any((one != other).any() for one, other in zip(before, training.model.parameters(), strict=True))
