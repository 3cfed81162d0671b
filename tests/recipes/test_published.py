"""The recipes *-published against the official code: dcls, SpikingJelly, torch's optimisers; in double precision.

``Official`` is written from the official code's formulas (Thvnvtos/SNN-delays, d169b4e) and shares nothing with
Ranvier. Both start from the same numbers, draw the same dropout and see the same ragged batches.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from DCLS.construct.modules import Dcls1d
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ranvier.corpora import Splits
from ranvier.data import DataError, SpikeDataset, Subset
from ranvier.models import Stack
from ranvier.recipes.config import Config, ConfigError, build_config, flat_values
from ranvier.recipes.fit import run_epoch
from ranvier.recipes.predict import predict
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.splits import build_splits
from ranvier.recipes.train_run import train
from ranvier.recipes.training import Training

from .conftest import SMALL, Quiet, write_small_recording

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # this SpikingJelly compiles by torch.jit, which torch no longer recommends
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

SOURCES, HIDDEN, CLASSES = 14, 12, 5
EPOCHS, TRAINED_EPOCHS, BATCH = 10, 5, 6  # the width stops after epoch 2, as 10 // 4 has it
MOST = 1e-12  # of the largest number of a tensor


@dataclass(frozen=True)
class Settings:
    """What the official configurations set, in milliseconds; the rest is the same in all three."""

    longest_ms: int
    tau_ms: float
    dropout: float
    layers: int
    plif: bool = False
    synapse_tau_ms: float | None = None
    kernels: int = 1
    step_ms: int = 10

    @property
    def taps(self) -> int:
        steps = self.longest_ms // self.step_ms
        return steps if steps % 2 == 1 else steps + 1


SHD = Settings(250, 10.05, 0.4, 2)
SSC = Settings(300, 15.0, 0.25, 3)


class Official(nn.Module):
    """The official network and its training."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        tau = (settings.tau_ms + 1e-9) / settings.step_ms
        kind = neuron.ParametricLIFNode if settings.plif else neuron.LIFNode
        options = {
            **{"init_tau" if settings.plif else "tau": tau, "surrogate_function": surrogate.ATan(alpha=5.0)},
            **{"detach_reset": True, "step_mode": "m", "decay_input": False, "store_v_seq": True},
        }
        sizes = [SOURCES, *[HIDDEN] * settings.layers, CLASSES]
        self.delays: Any = nn.ModuleList(
            Dcls1d(a, b, settings.kernels, dilated_kernel_size=settings.taps, bias=False, version="gauss")
            for a, b in pairwise(sizes)
        )
        self.norms: Any = nn.ModuleList(layer.BatchNorm1d(HIDDEN, step_mode="m") for _ in range(settings.layers))
        self.neurons: Any = nn.ModuleList(kind(v_threshold=1.0, **options) for _ in range(settings.layers))
        self.drops: Any = nn.ModuleList(layer.Dropout(settings.dropout, step_mode="m") for _ in range(settings.layers))
        self.synapses: Any = nn.ModuleList()
        if settings.synapse_tau_ms is not None:
            synapse_tau = (settings.synapse_tau_ms + 1e-9) / settings.step_ms
            # learnable, and in no optimiser: it stays where it is
            self.synapses.extend(
                layer.SynapseFilter(tau=synapse_tau, learnable=True, step_mode="m") for _ in range(settings.layers)
            )
        self.last: Any = kind(v_threshold=1e9, **options)
        self.first_width = settings.taps // 2
        self._start()
        self.optimisers, self.schedules = self._optimisers()

    def _start(self) -> None:
        for delays in self.delays:
            nn.init.kaiming_uniform_(delays.weight, nonlinearity="relu")
            # the minus binds first: -13 ... 12 for 25 taps
            nn.init.uniform_(delays.P, -self.settings.taps // 2, self.settings.taps // 2)
            delays.clamp_parameters()
            nn.init.constant_(delays.SIG, self.first_width).requires_grad_(False)
        for norm in self.norms:  # the official ones start at 1 and 0, where a network this small hardly spikes
            nn.init.uniform_(norm.weight, 1.0, 2.0)
            nn.init.uniform_(norm.bias, 0.0, 0.5)
            norm.running_var.fill_(0.1)

    def _optimisers(self) -> tuple[list[Any], list[Any]]:
        norms = [p for norm in self.norms for p in (norm.weight, norm.bias)]
        plif = [node.w for node in [*self.neurons, self.last]] if self.settings.plif else []
        weights = torch.optim.Adam(
            [
                {"params": [delays.weight for delays in self.delays], "lr": 1e-3, "weight_decay": 1e-5},
                {"params": plif, "lr": 1e-3, "weight_decay": 1e-5},
                {"params": norms, "lr": 1e-3, "weight_decay": 0},
            ]
        )
        positions = torch.optim.Adam([delays.P for delays in self.delays], lr=0.1, weight_decay=0)
        return [weights, positions], [
            torch.optim.lr_scheduler.OneCycleLR(weights, max_lr=5e-3, total_steps=EPOCHS),
            torch.optim.lr_scheduler.CosineAnnealingLR(positions, T_max=EPOCHS),
        ]

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """What the hidden neurons spike, dropped as the next layer gets it, and the voltages of the readout."""
        rasters = []
        for number, norm in enumerate(self.norms):
            x = norm(self._delayed(x, number).unsqueeze(3)).squeeze(3)
            x = self.drops[number](self.neurons[number](x))
            rasters.append(x)
            if len(self.synapses):
                x = self.synapses[number](x)
        self.last(self._delayed(x, len(self.norms)))
        voltage = self.last.v_seq
        functional.reset_net(self)
        return rasters, voltage

    def _delayed(self, x: Tensor, number: int) -> Tensor:
        taps = self.settings.taps
        x = F.pad(x.permute(1, 2, 0), (taps - 1, (taps - 1) // 2), "constant", 0)
        y: Tensor = self.delays[number](x).permute(2, 0, 1)
        return y

    def update(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """An optimiser step; loss and voltages before it."""
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        voltage = self(x)[1]
        scores = nn.Softmax(dim=2)(voltage).sum(0)
        loss = nn.CrossEntropyLoss()(scores, F.one_hot(labels, CLASSES).double())
        loss.backward()
        for optimiser in self.optimisers:
            optimiser.step()
        for delays in self.delays:
            delays.clamp_parameters()
        return loss.detach(), voltage.detach()

    def end_epoch(self, epoch: int) -> None:
        """The schedules' step, and the width's."""
        for schedule in self.schedules:
            schedule.step()
        width, last = float(self.delays[-1].SIG[0, 0, 0, 0]), EPOCHS // 4
        if epoch < last and width > 0.23:
            for delays in self.delays:
                delays.SIG.data *= (0.23 / self.first_width) ** (1 / last)

    @torch.no_grad()
    def evaluate(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Spikes and voltages with rounded positions; the network is left as it was."""
        rounded = copy.deepcopy(self).eval()
        for delays in rounded.delays:
            delays.SIG *= 0
            delays.version = delays.DCK.version = "max"
            delays.P.round_()
            delays.clamp_parameters()
            delays.weight *= 1 + 1e-7  # dcls makes a whole tap 1 / (1 + 1e-7), where ours is 1
        return rounded(x)  # type: ignore[no-any-return]

    def named(self, *, gradient: bool = False) -> Iterator[tuple[str, Tensor]]:
        """Every learned tensor, or its gradient, in Ranvier's layout and under Ranvier's names."""

        def of(parameter: Tensor) -> Tensor:
            value = parameter.grad if gradient else parameter.detach()
            assert value is not None
            return value

        half, taps = self.settings.taps // 2, self.settings.taps
        for number, delays in enumerate(self.delays):
            name = f"blocks.{number}." if number < len(self.norms) else ""
            position = of(delays.P)[0].permute(2, 0, 1)
            yield f"{name}linear.weight", of(delays.weight).permute(2, 0, 1)
            yield f"{name}linear.delay", -position if gradient else (taps - 1) - (position + half)
            if number < len(self.norms):
                yield f"{name}norm.weight", of(self.norms[number].weight)
                yield f"{name}norm.bias", of(self.norms[number].bias)
            if self.settings.plif:
                node, owner = (self.neurons[number], "neuron") if name else (self.last, "readout")
                yield f"{name}{owner}.parametrizations.decay.original", of(node.w)


class DoubleClips(SpikeDataset):
    """Batches in double precision."""

    def batch(self, clips: NDArray[Any], *, steps: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        x, lengths, labels = super().batch(clips, steps=steps)
        return x.double(), lengths, labels


def draw_clips(count: int, seed: int, steps: tuple[int, int]) -> tuple[list[Tensor], NDArray[np.int64]]:
    """Dense clips ``[time, source]`` whose last step has an event, and labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, CLASSES, count)
    clips = []
    for label in labels:
        rate = np.full(SOURCES, 0.3)
        rate[2 * label : 2 * label + 3] = 1.0
        clip = generator.poisson(rate, (generator.integers(*steps, endpoint=True), SOURCES))
        clip[-1, label] += 1
        clips.append(torch.from_numpy(clip).double())
    return clips, labels


def pack(clips: list[Tensor], labels: NDArray[np.int64]) -> Subset:
    cells = []
    for clip in clips:
        step, source = np.nonzero(clip.numpy())
        cells.append((step, source, clip.numpy()[step, source].astype(np.int64)))
    names = [str(number) for number in range(CLASSES)]
    dataset = DoubleClips.pack(cells, labels=labels, speakers=None, classes=names, sources=SOURCES, dt_ms=10.0)
    return Subset(dataset, np.arange(len(clips)))


def recipe(name: str, settings: Settings) -> Config:
    """The published recipe at reduced width; its own values otherwise."""
    changes = {
        "model.hidden": ",".join([str(HIDDEN)] * settings.layers),
        "model.synapses_per_pair": str(settings.kernels),
    }
    if settings.plif:
        changes["model.neuron"] = "plif"
    if settings.synapse_tau_ms is not None:
        changes["model.synapse_tau_ms"] = str(settings.synapse_tau_ms + 1e-9)
    return build_config(load_values(name), {**changes, "train.epochs": str(EPOCHS), "train.batch_size": str(BATCH)})


def assert_close(name: str, ours: Tensor, theirs: Tensor, scale: float | None = None) -> None:
    assert ours.dtype == theirs.dtype == torch.double, name
    assert ours.shape == theirs.shape, name
    assert theirs.any(), name
    scale = float(theirs.abs().max()) if scale is None else scale
    error = float((ours - theirs).abs().max()) / scale
    assert error <= MOST, f"{name}: {error:.1e} of its scale"


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.double)
    yield
    torch.set_default_dtype(torch.float)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("name", "settings", "steps"),
    [
        ("shd-published", SHD, (3, 30)),
        ("shd-published", Settings(250, 10.05, 0.4, 2, plif=True), (3, 30)),
        ("shd-published", Settings(250, 10.05, 0.4, 2, synapse_tau_ms=200.0), (3, 30)),
        ("shd-published", Settings(250, 10.05, 0.4, 2, kernels=2), (3, 30)),
        ("ssc-published", SSC, (3, 40)),
        ("ssc-published", Settings(300, 15.0, 0.25, 3, plif=True, synapse_tau_ms=200.0, kernels=2), (3, 40)),
        ("gsc-published", SSC, (25, 25)),
    ],
    ids=["shd", "shd-plif", "shd-stateful", "shd-2kc", "ssc", "ssc-all", "gsc"],
)
def test_twenty_steps_equal_the_official_codes(
    name: str, settings: Settings, steps: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    clips, labels = draw_clips(22, 0, steps)
    held_out, held_out_labels = draw_clips(10, 1, steps)
    training_part, validation = pack(clips, labels), pack(held_out, held_out_labels)
    training = Training(recipe(name, settings), Splits(training_part, validation, None, lambda: None))
    official, model = Official(settings), training.model
    start = {key: value.clone() for key, value in official.named()}
    learned = {key: parameter for key, parameter in model.named_parameters() if parameter.requires_grad}
    assert start.keys() == learned.keys()
    with torch.no_grad():
        for key, parameter in learned.items():
            parameter.copy_(start[key])
        for block in model.blocks:
            block.norm.running_var.fill_(0.1)
    voltages: list[Tensor] = []
    model.readout.register_forward_hook(lambda module, inputs, output: voltages.append(output[0].detach()))
    iteration, ours_update = 0, training.update

    def gradients_at(numbers: dict[str, Tensor], x: Tensor, lengths: Tensor, y: Tensor) -> dict[str, Tensor]:
        # in a copy, at the official numbers: steep surrogates magnify a hundredfold what two trainings differ by
        apart = copy.deepcopy(training)
        apart.schedules = []
        for key, parameter in apart.model.named_parameters():
            if key in numbers:
                parameter.data.copy_(numbers[key])
        torch.manual_seed(iteration)
        Training.update(apart, x, lengths, y)
        return {key: p.grad for key, p in apart.model.named_parameters() if p.grad is not None}

    def both(x: Tensor, lengths: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal iteration
        assert len(set(lengths.tolist())) > 1 or steps[0] == steps[1]
        theirs_x = pad_sequence([clip[:length] for clip, length in zip(x.unbind(1), lengths, strict=True)])
        before = {key: value.clone() for key, value in official.named()}
        torch.manual_seed(iteration)
        official.train()
        loss, voltage = official.update(theirs_x, y)
        gradients = gradients_at(before, x, lengths, y)
        torch.manual_seed(iteration)
        our_loss, right = ours_update(x, lengths, y)
        assert_close(f"loss {iteration}", our_loss.view(1), loss.view(1))
        assert_close(f"voltage {iteration}", voltages[-1], voltage)
        for key, now in official.named():
            assert_close(f"{key} after step {iteration}", learned[key].detach(), now)
        assert_same_gradients(official, gradients)
        iteration += 1
        return our_loss, right

    monkeypatch.setattr(training, "update", both)
    for epoch in range(TRAINED_EPOCHS):
        row = run_epoch(training, Splits(training_part, validation, None, lambda: None), Quiet())
        official.end_epoch(epoch)
        predicted = assert_same_evaluation(official, model, held_out)
        right = np.mean(predicted == held_out_labels)
        assert row.validation_accuracy == pytest.approx(float(right))
        assert (predict(model, validation, padded_batch=BATCH) == predicted).all()
    assert iteration == 20
    assert all(0.01 < raster.mean() < 0.9 for raster in official.evaluate(pad_sequence(held_out))[0]), "a silent layer"
    moved = dict(official.named())
    assert all(not torch.equal(moved[key], start[key]) for key in start)
    assert any((moved[key] == settings.taps - 1).any() for key in start if key.endswith("delay")), "none was clamped"


def assert_same_gradients(official: Official, ours: dict[str, Tensor]) -> None:
    gradients = dict(official.named(gradient=True))
    assert ours.keys() == gradients.keys()
    for key, gradient in gradients.items():
        # a decay's is one number, whose terms all but cancel in some layers: weighed against the other layers'
        same = [other for name, other in gradients.items() if name.endswith(key.rpartition(".")[2])]
        assert_close(f"gradient of {key}", ours[key], gradient, max(float(other.abs().max()) for other in same))


def assert_same_evaluation(official: Official, model: Stack, clips: list[Tensor]) -> NDArray[np.int64]:
    """Rounded delays, running statistics, batches in order; returns what the official code predicts."""
    predictions = []
    model.eval()
    for start in range(0, len(clips), BATCH):
        x = pad_sequence(clips[start : start + BATCH])
        rasters, voltage = official.evaluate(x)
        with torch.no_grad():
            ours, our_voltage = model.forward_with_spikes(x, torch.full(x.shape[1:2], len(x)))
            scores = model.scores(x)
        for number, (mine, theirs) in enumerate(zip(ours, rasters, strict=True)):
            assert torch.equal(mine, theirs), f"spikes of layer {number}"
        assert_close("voltage in evaluation", our_voltage, voltage)
        assert_close("scores in evaluation", scores, voltage.softmax(2).sum(0))
        predictions.append(voltage.softmax(2).sum(0).argmax(1))
    return torch.cat(predictions).numpy()


@pytest.mark.parametrize(
    ("published", "ours"), [("shd", "shd"), ("ssc", "ssc-3l-1kc"), ("gsc", "gsc-3l-1kc")], ids=["shd", "ssc", "gsc"]
)
def test_the_page_has_a_row_for_every_field_that_differs(published: str, ours: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "published.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\|.*\| `([\w.]+)` \|[^|]*\|$", page, re.MULTILINE))
    before, after = (flat_values(build_config(load_values(name))) for name in (ours, f"{published}-published"))
    differ = {field for field, value in after.items() if before[field] != value}
    assert differ - {"name", "summary", "model.tail_ms"} <= rows
    assert {"train.padding", "train.schedule_per", "train.sigma_schedule", "model.max_init_delay_ms"} <= differ
    assert rows <= set(after) | {"protocol", "data.alignment", "data.input"}


def test_delays_start_where_the_official_positions_do(small_root: Path) -> None:
    config = build_config(load_values("shd-published"), {"protocol": "honest", "data.root": str(small_root)})
    splits = build_splits(build_config(load_values("shd"), {**SMALL, "data.root": str(small_root)}))
    delay = Training(config, splits).model.delay_layers[1].delay.detach().flatten()
    position = torch.empty(len(delay)).uniform_(-13, 12, generator=torch.Generator().manual_seed(0)).clamp(-12, 12)
    ours, theirs = (d.round().long().bincount(minlength=25) / len(d) for d in (delay, 24 - (position + 12)))
    five_sigma = 5 * (2 * 0.06 / len(delay)) ** 0.5
    assert float((ours - theirs).abs().max()) < five_sigma
    assert float((delay == 24).float().mean()) == pytest.approx(1 / 25, abs=five_sigma)


def test_predictions_depend_on_the_batch_only_where_padding_counts(small_root: Path) -> None:
    config = build_config(load_values("shd"), {**SMALL, "data.root": str(small_root)})
    splits = build_splits(config)
    model = Training(config, splits).model.eval()
    x, lengths, _ = splits.train.dataset.batch(splits.train.clips)
    short = int(lengths.argmin())
    with torch.no_grad():
        alone, padded = model.scores(x[: lengths[short], short : short + 1]), model.scores(x)[short]
        masked = model.scores(x, lengths)[short]
    assert float(padded.sum()) == pytest.approx(len(x) + 6)
    torch.testing.assert_close(masked, alone[0])


def test_the_published_protocol_needs_the_test_recording_and_names_the_other(small_root: Path) -> None:
    values = {**SMALL, "data.root": str(small_root), "model.max_init_delay_ms": "70"}
    with pytest.raises(DataError, match=r"shd_test\.h5\.gz is there .*--protocol honest"):
        build_splits(build_config(load_values("shd-published"), values))
    assert build_splits(build_config(load_values("shd-published"), {**values, "protocol": "honest"})).validation


def test_a_published_run_ends_and_says_what_it_was(small_root: Path, tmp_path: Path) -> None:
    write_small_recording(small_root / "shd_test.h5", 30, 1)
    values = {**SMALL, "data.root": str(small_root), "model.max_init_delay_ms": "70", "train.epochs": "4"}
    result = train(build_config(load_values("shd-published"), values), tmp_path / "run", Quiet())
    assert result.protocol == "paper"
    assert result.clips == {"train": 90, "validation": 30, "seen": 0, "test": 30}
    assert set(result.accuracy) == {"validation", "test"}


@pytest.mark.parametrize("field", ["sigma_start_ms", "sigma_end_ms"])
def test_a_width_at_its_floor_is_refused(field: str) -> None:
    with pytest.raises(ConfigError, match=rf"^train\.{field}: 2\.7 is not allowed with sigma_schedule = dcls"):
        build_config(load_values("shd-published"), {f"train.{field}": "2.7"})
