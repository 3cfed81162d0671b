"""Options of a training: rounded delays, how delays start, penalties on rates, the moving average of parameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ranvier.engine import Engine
from ranvier.models import Stack, feedforward, freeze
from ranvier.network import Decoding, Input, Network, Scores, quantize
from ranvier.nn import LIF, DelayLinear, Integrator
from ranvier.recipes.build import build_model
from ranvier.recipes.comparison import compared_with
from ranvier.recipes.config import Config, ConfigError, build_config, flat_values
from ranvier.recipes.rate_penalty import rate_penalty
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.run_config import config_values, read_config
from ranvier.recipes.splits import build_splits
from ranvier.recipes.train_run import resume, train
from ranvier.recipes.training import Training
from ranvier.runs import write_values
from tests.networks import dense

from .conftest import Quiet, stop_after_an_epoch

Make = Callable[..., Config]
NARROW = {"train__sigma_start_ms": "50"}


def training(config: Config) -> Training:
    return Training(config, build_splits(config))


def batches(made: Training, count: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    clips = build_splits(made.config).train.clips
    return [generator.choice(clips, 16, replace=False) for _ in range(count)]


@pytest.mark.parametrize("scores", ["sum", "max", "last", "count"])
def test_scores_of_every_kind_are_trained_and_frozen(small: Make, scores: Scores) -> None:
    made = training(small(model__scores=scores, model__dropout="0", train__weight_lr="0.03"))
    (clips,) = batches(made, 1)
    losses = [float(made.iterate(clips)[0]) for _ in range(12)]
    assert losses[0] < 3  # of three classes, so of logits that do not grow with time
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])
    model = made.model.eval()
    network = freeze(model, dt_ms=10.0, input=Input(10), classes=("a", "b", "c"))
    assert network.decoding.scores == scores
    x = (torch.rand(30, 1, 10) < 0.3).float()
    with torch.no_grad():
        for layer in model.delay_layers:
            layer.set_sigma(0.12)
        found = Engine(network).run(x[:, 0].numpy()).scores
        voltage = model.forward_sequence(x)
    sums = voltage.sum(0)  # of spikes, where they are counted
    expected = {"sum": sums, "count": sums, "max": voltage.amax(0), "last": voltage[-1]}[scores]
    np.testing.assert_allclose(found, expected[0], rtol=1e-4, atol=1e-4)


def test_the_loss_of_counted_spikes_takes_their_rates(small: Make) -> None:
    made = training(small(model__scores="count", model__dropout="0", model__threshold="0.3"))
    (clips,) = batches(made, 1)
    x, lengths, labels = made.batches(clips)
    lengths[::2] = 8
    x[8:, ::2] = 0
    with torch.no_grad():
        made.model.set_sigma(12.27)  # where the recipe starts
        spikes = made.model.train().forward_sequence(x, lengths)
        steps = lengths + made.model.tail_steps
        rows = [10 * spikes[:end, clip].mean(0) for clip, end in enumerate(steps.tolist())]
        expected = torch.nn.functional.cross_entropy(torch.stack(rows), labels)
    assert abs(float(expected) - np.log(3)) > 0.1  # classes fire
    assert float(made.update(x, lengths, labels)[0]) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("recurrent", ["none", "axonal"])
def test_taps_at_rounded_delays_leave_nothing_to_round(small: Make, recurrent: str) -> None:
    made = training(small(model__round_delay="true", model__recurrent=recurrent, train__delay_lr_ms="3"))
    for clips in batches(made, 3):
        made.iterate(clips)
    layers = made.model.delay_layers
    assert all(layer.round_delay for layer in layers)
    delays = torch.cat([layer.delay.detach().flatten() for layer in layers])
    assert float((delays - delays.round()).abs().max()) > 0.1  # what is learned is not rounded
    x = 8 * torch.rand(30, 4, 10)
    made.model.eval()
    for layer in layers:
        layer.set_sigma(0.12)  # narrow: a tap of a rounded delay is one step
        layer.train()
    with torch.no_grad():
        trained = made.model.scores(x)
        for layer in layers:
            layer.eval()
        torch.testing.assert_close(trained, made.model.scores(x))
        for layer in layers:
            layer.train().round_delay = False
        assert float((made.model.scores(x) - trained).abs().max()) > 1e-3


def test_the_gradient_goes_straight_through_the_rounding() -> None:
    torch.manual_seed(0)
    layers = [DelayLinear(5, 4, 6, sigma=1.0, round_delay=rounded) for rounded in (True, False)]
    layers[1].load_state_dict(layers[0].state_dict())
    with torch.no_grad():
        layers[1].delay.copy_(layers[0].delay.round())
    x = torch.rand(20, 3, 5)
    for layer in layers:
        layer(x)[0].pow(2).sum().backward()
    assert layers[0].delay.grad is not None
    torch.testing.assert_close(layers[0].delay.grad, layers[1].delay.grad)
    assert float(layers[0].delay.grad.abs().max()) > 0


@pytest.mark.parametrize("learn_sigma", ["layer", "synapse"])
def test_widths_are_learned_from_their_start(learn_sigma: str, small: Make, tmp_path: Path) -> None:
    config = small(
        model__learn_sigma=learn_sigma, model__recurrent="axonal", train__sigma_start_ms="30", train__delay_lr_ms="5"
    )
    made = training(config)
    layers = made.model.delay_layers
    assert [layer.sigma.numel() for layer in layers] == ([1] * 5 if learn_sigma == "layer" else [120, 12, 120, 10, 30])
    assert all(torch.equal(layer.sigma, torch.full_like(layer.sigma, 3.0)) for layer in layers)
    of_delays = {id(parameter) for group in made.optimisers[1].param_groups for parameter in group["params"]}
    assert of_delays == {id(p) for layer in layers for p in (layer.delay, layer.sigma)}
    made.model.set_sigma(6.0)
    (clips,) = batches(made, 1)
    made.iterate(clips)  # by 0.5 steps, and not to a schedule's 3
    assert all(0.4 < float((layer.sigma.detach() - 6).abs().max()) < 0.6 for layer in layers)
    quiet = Quiet()
    train(config, tmp_path / "run", quiet)
    widths = [row.sigma_ms for row in quiet.rows]
    assert len({*widths, 30.0}) == len(widths) + 1  # a mean that no schedule holds


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__learn_sigma": "layer", "model__delays": "fixed"}, r"^model.learn_sigma: layer .*delays = fixed"),
        (
            {"model__learn_sigma": "synapse", **NARROW, "train__rewire": "rigl", "train__density": "0.5"},
            r"^model.learn_sigma",
        ),
        ({"model__learn_sigma": "layer"}, r"^train.sigma_start_ms: 122.7 .*\(up to 70 ms"),
        ({"model__delay_bits": "3", "model__delays": "none"}, r"^model.delay_bits: 3 .*model.delays = none"),
        ({"train__prune": "delay", "train__density": "0.5", "compare": "none"}, r"^compare: none .*train.prune: delay"),
    ],
)
def test_options_of_delays_need_them(changes: dict[str, str], message: str, small: Make) -> None:
    with pytest.raises(ConfigError, match=message):
        small(**changes)


def test_a_run_that_had_delay_bits_without_delays_is_still_read(small: Make, tmp_path: Path) -> None:
    values = config_values(small(model__delays="none"))
    write_values(tmp_path, {**values, "model": {**values["model"], "delay_bits": 3}})
    assert flat_values(read_config(tmp_path))["model.delay_bits"] == "none"


def test_a_comparison_has_none_of_the_options_of_learned_delays(small: Make) -> None:
    config = small(model__learn_sigma="layer", model__delay_bits="3", compare="fixed,none", **NARROW)
    made = [flat_values(compared_with(config, delays)) for delays in config.compare]
    assert [values["model.learn_sigma"] for values in made] == ["none", "none"]
    assert [values["model.delay_bits"] for values in made] == ["3", "none"]


@pytest.mark.parametrize(("init", "median"), [("uniform", 30.5), ("log_uniform", 60**0.5), ("shortest", 1.0)])
def test_how_delays_start(init: Any, median: float) -> None:
    layer = DelayLinear(
        60, 60, 100, min_delay=1, max_init_delay=60, init_delay=init, generator=torch.Generator().manual_seed(0)
    )
    delay = layer.delay.detach()
    assert float(delay.min()) >= 1
    assert float(delay.max()) <= 60
    assert float(delay.median()) == pytest.approx(median, rel=0.05)
    if init == "log_uniform":
        log = torch.log(delay).flatten().sort().values / np.log(60)
        assert float((log - torch.linspace(0, 1, log.numel())).abs().max()) < 0.05
    with pytest.raises(ValueError, match=r"^init_delay: "):
        DelayLinear(2, 2, 3, init_delay="long")  # type: ignore[arg-type]


def test_a_recipe_says_how_delays_start(small: Make) -> None:
    config = small(model__init_delay="shortest", model__recurrent="axonal")
    model = build_model(config, build_splits(config), torch.Generator().manual_seed(0))
    assert [float(layer.delay.detach().max()) for layer in model.delay_layers] == [0, 1, 0, 1, 0]


def test_a_comparison_with_random_delays_needs_random_delays() -> None:
    values = load_values("shd")
    with pytest.raises(ConfigError, match=r"^compare: fixed "):
        build_config(values, {"model.init_delay": "shortest", "compare": "fixed,none"})
    assert build_config(values, {"model.init_delay": "log_uniform", "compare": "fixed"}).compare == ("fixed",)


def test_the_penalty_is_the_squared_distance_to_the_range(small: Make) -> None:
    config = small(train__rate_penalty="2", train__rate_min_hz="10", train__rate_max_hz="40")  # 0.1 and 0.4 a step
    first, second = torch.zeros(20, 2, 3), torch.zeros(20, 2, 1)
    first[:8, 0, 0] = 1  # 8 of 16 steps: 0.5
    first[:4, 0, 1] = 1  # 0.25: within
    first[18:, 0, 2] = 1  # after the clip's tail: silent
    second[:4, 1, 0] = 1  # 4 of 20 steps: 0.2
    lengths = torch.tensor([10, 14])
    assert config.model.tail_ms == 60
    found = rate_penalty([first, second], lengths, Decoding(6), config)
    expected = 2 * ((0.1**2 + 0 + 0.1**2 + 0.1**2) / 4 + (3 * 0.1**2 + 0) / 4)
    assert float(found) == pytest.approx(expected, rel=1e-6)
    late = torch.zeros(30, 2, 1)
    late[20:22, 1] = 1  # in the second layer's own tail, where each layer has one
    whole = rate_penalty([torch.zeros(24, 2, 1), late], lengths, Decoding(6, "per_layer"), config)
    expected = 2 * ((0.1**2 + 0.1**2) / 2 + (0.1**2 + (0.1 - 2 / 26) ** 2) / 2)
    assert float(whole) == pytest.approx(expected, rel=1e-5)


def mean_rate(made: Training) -> float:
    x, lengths, _ = made.batches(batches(made, 1)[0])
    made.model.eval()
    with torch.no_grad():
        rasters, _ = made.model.forward_with_spikes(x, lengths)
    return float(torch.cat([raster.flatten() for raster in rasters]).mean())


def test_penalties_move_the_rates(small: Make) -> None:
    fields = {"train__weight_lr": "0.05", "train__weight_lr_schedule": "constant"}
    rates = []
    for limits in ({}, {"train__rate_max_hz": "0.5"}, {"train__rate_min_hz": "80"}):
        weight = {"train__rate_penalty": "300"} if limits else {}
        made = training(small(**fields, **limits, **weight))
        for clips in batches(made, 12):
            made.iterate(clips)
        rates.append(mean_rate(made))
    assert rates[1] < 0.8 * rates[0] < rates[0] < 0.8 * rates[2]


def test_spikes_are_counted_without_dropout() -> None:
    torch.manual_seed(0)
    model = feedforward(10, [12], 3, 5, decay=0.5, dropout=0.5)
    x = (torch.rand(30, 4, 10) < 0.3).float()
    rasters, scores = model.scores_with_spikes(x)
    assert set(rasters[0].detach().unique().tolist()) == {0.0, 1.0}
    assert scores.shape == (4, 3)


def test_the_moving_average_is_what_is_kept(small: Make) -> None:
    made = training(small(train__ema_decay="0.75"))
    expected: dict[str, torch.Tensor] = {}
    for clips in batches(made, 4):
        made.iterate(clips)
        for name, parameter in made.model.named_parameters():
            before = expected.get(name)
            now = parameter.detach().clone()
            expected[name] = now if before is None else 0.75 * before + 0.25 * now
    kept = dict(made.outcome().named_parameters())
    assert kept.keys() == expected.keys()
    for name, parameter in kept.items():
        torch.testing.assert_close(parameter.detach(), expected[name])
    weights = [made.outcome().linear.weight, made.model.linear.weight]
    assert float((weights[0] - weights[1]).detach().abs().max()) > 1e-5
    assert isinstance(made.outcome(), Stack)


def test_a_training_with_an_average_resumes_to_the_bit(small: Make, tmp_path: Path) -> None:
    config = small(train__ema_decay="0.9", train__rate_penalty="1", train__rate_max_hz="5")
    train(config, tmp_path / "whole", Quiet())
    stop_after_an_epoch(config, tmp_path / "stopped")
    resume(tmp_path / "stopped", Quiet())
    networks = [(tmp_path / name / "network.safetensors").read_bytes() for name in ("whole", "stopped")]
    assert networks[0] == networks[1]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"rate_penalty": "1"}, "train.rate_penalty"),
        ({"rate_max_hz": "5"}, "train.rate_penalty"),
        ({"rate_penalty": "1", "rate_min_hz": "50", "rate_max_hz": "40"}, "train.rate_min_hz"),
        ({"rate_penalty": "1", "rate_min_hz": "101"}, "train.rate_min_hz"),
        ({"rate_penalty": "-1"}, "train.rate_penalty"),
        ({"ema_decay": "1"}, "train.ema_decay"),
    ],
)
def test_values_that_do_not_go_together_are_refused(small: Make, fields: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=f"^{named}: "):
        small(**{f"train__{name}": value for name, value in fields.items()})


def test_a_training_with_the_bits_of_an_integer_network_ends_in_one(small: Make, tmp_path: Path) -> None:
    train(small(model__weight_bits="4", model__delay_bits="2"), tmp_path / "run", Quiet())
    network = Network.read(tmp_path / "run" / "network.safetensors")
    integers = quantize(network, weight_bits=4, delay_bits=2)
    for layer, whole in zip(network.layers, integers.layers, strict=True):
        floats, steps = dense(layer), dense(whole)
        assert set(np.unique(floats.delay_steps)) <= {0, 2, 4, 6}
        np.testing.assert_array_equal(floats.delay_steps, steps.delay_steps)
        for target in range(layer.targets):
            ratio = floats.weight[:, target] / np.where(steps.weight[:, target], steps.weight[:, target], np.nan)
            assert np.nanmax(ratio) / np.nanmin(ratio) - 1 < 1e-5


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"weight_bits": "4", "recurrent": "axonal"}, "model.recurrent"),
        ({"delay_bits": "3", "neuron": "adlif"}, "model.neuron"),
        ({"weight_bits": "8", "scores": "max"}, "model.scores"),
        ({"scores": "many"}, "model.scores"),
        ({"weight_bits": "3"}, "model.weight_bits"),
        ({"delay_bits": "0"}, "model.delay_bits"),
    ],
)
def test_what_has_no_integer_form_is_refused_before_it_is_trained(
    small: Make, fields: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^{named}\b"):
        small(**{f"model__{name}": value for name, value in fields.items()})


def test_detectors_have_no_spikes_to_count() -> None:
    assert build_config(load_values("coincidence"), {"model.scores": "sum"}).model.scores == "sum"
    with pytest.raises(ConfigError, match=r"^model\.scores: count is not allowed with model\.kind = detectors"):
        build_config(load_values("coincidence"), {"model.scores": "count"})


def test_bits_go_with_counted_spikes(small: Make, tmp_path: Path) -> None:
    train(small(model__weight_bits="8", model__scores="count", train__epochs="1"), tmp_path / "run", Quiet())
    network = Network.read(tmp_path / "run" / "network.safetensors")
    assert quantize(network, weight_bits=8).decoding.scores == "count"


def test_longest_initial_delays_are_refused_where_all_start_shortest(small: Make) -> None:
    small(model__init_delay="log_uniform", model__max_init_delay_ms="40")
    with pytest.raises(ConfigError, match=r"^model\.max_init_delay_ms: "):
        small(model__init_delay="shortest", model__max_init_delay_ms="40")


def test_rounded_training_freezes_as_it_was_trained() -> None:
    torch.manual_seed(0)
    first = DelayLinear(6, 5, 9, sigma=0.5, round_delay=True)
    model = Stack(first, LIF(0.8), DelayLinear(5, 3, 4), Integrator(0.9))
    frozen = freeze(model.eval(), dt_ms=1.0, classes=("a", "b", "c"), input=Input(6))
    delays = frozen.layers[0].inputs[0].synapses().delay_steps
    np.testing.assert_array_equal(np.sort(delays), np.sort(first.trained_delay().detach().numpy().ravel()))


@pytest.mark.parametrize("name", ["one-cycle", "cosine", "constant"])
def test_a_schedule_of_one_step_is_at_its_highest_rate(name: str, small: Make) -> None:
    for epochs in ("1", "2"):
        config = small(
            train__epochs=epochs, train__schedule_per="epoch", train__weight_lr="0.02", train__weight_lr_schedule=name
        )
        rates = [optimiser.param_groups[0]["lr"] for optimiser in training(config).optimisers]
        assert rates[0] == pytest.approx(0.02, rel=0.5)  # torch's cycle of two steps begins at 0.72 of its highest
        assert epochs == "2" or rates[0] == 0.02
