"""A training that starts from another run: what it takes and refuses, and that a kill changes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ranvier.cli.show import show_result
from ranvier.data import write_recording
from ranvier.network import Network
from ranvier.recipes.checkpoint import checkpoint_file, init_file, load_checkpoint
from ranvier.recipes.config import Config, ConfigError, build_config
from ranvier.recipes.initialise import check_init, initial_state
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.splits import build_splits
from ranvier.recipes.train_run import resume, train
from ranvier.recipes.training import Training
from ranvier.runs import EpochRow, InitFrom, read_metrics, read_result
from tests.analysis.reports import Page
from tests.networks import dense
from tests.results import present

from .conftest import SMALL, Quiet

Make = Callable[..., Config]


ALL = {"data.validation": "none", "data.validation_speakers": "", "data.test": "none"}


def write_other(path: Path, clips: int, classes: tuple[str, ...], seed: int) -> None:
    """A recording of other clips, each class with its own channels, speakers 0, 1, 2 in turn."""
    generator = np.random.default_rng(seed)
    labels = np.arange(clips) % len(classes)
    places = {"a": 0, "b": 6, "c": 12, "two": 0, "Two": 0, "2": 0, "new": 12}
    times, units = [], []
    for label in labels:
        own, others = generator.integers(0, 7, 40) + places[classes[label]], generator.integers(0, 20, 20)
        units.append(generator.permutation(np.concatenate([own, others])))
        times.append(np.sort(generator.uniform(0, 0.15, 60)))
    speakers = (np.arange(clips) // len(classes)) % 3
    write_recording(path, times, units, labels, classes=classes, speakers=speakers)


@pytest.fixture
def first(small: Make, tmp_path: Path) -> Path:
    """A finished run on classes a, b, c."""
    train(small(train__epochs="12", model__dropout="0"), tmp_path / "first", Quiet())
    return tmp_path / "first"


@pytest.fixture
def further(first: Path, tmp_path: Path) -> Make:
    """The same network on another recording, classes new, b, a, started from that run."""
    write_other(tmp_path / "other.h5", 90, ("new", "b", "a"), 5)

    def make(**changes: str) -> Config:
        dotted = {name.replace("__", "."): value for name, value in changes.items()}
        here = {"data.root": str(tmp_path / "other.h5"), "data.validation": "speakers", "data.test": "none"}
        return build_config(load_values("folder"), {**SMALL, **here, "train.init_from": str(first), **dotted})

    return make


def chosen(run: Path) -> dict[str, torch.Tensor]:
    state = load_checkpoint(checkpoint_file(run))
    assert state is not None
    model: dict[str, torch.Tensor] = state["best"]["model"]
    return model


def started(config: Config, folder: Path) -> Training:
    folder.mkdir(exist_ok=True)
    splits = build_splits(config)
    start = initial_state(config, splits, folder)
    assert start is not None
    return Training(config, splits, start["model"])


def test_a_training_starts_with_the_other_runs_chosen_epoch(further: Make, first: Path, tmp_path: Path) -> None:
    model, theirs = started(further(), tmp_path / "run").model.state_dict(), chosen(first)
    for name in theirs:
        if name.startswith("blocks.") and not name.endswith("sigma"):
            assert torch.equal(model[name], theirs[name]), name
    assert (theirs["blocks.0.norm.running_mean"] != 0).any()


def test_output_neurons_are_taken_by_the_name_of_their_class(further: Make, first: Path, tmp_path: Path) -> None:
    config = further()
    model, theirs = started(config, tmp_path / "run").model.state_dict(), chosen(first)
    alone = Training(config, build_splits(config)).model.state_dict()
    for name in ("linear.weight", "linear.delay"):
        (new, b, a), (a_there, b_there, _) = model[name][0], theirs[name][0]
        assert torch.equal(a, a_there)
        assert torch.equal(b, b_there)
        assert torch.equal(new, alone[name][0, 0])  # nobody knows it: at random, as the seed has it
        assert not torch.equal(a, alone[name][0, 2])


@pytest.mark.parametrize(("there", "here"), [(("two", "b"), ("2", "b")), (("2", "b"), ("Two", "b"))])
def test_numerals_are_one_class_with_their_digits(
    there: tuple[str, ...], here: tuple[str, ...], small: Make, tmp_path: Path
) -> None:
    write_other(tmp_path / "one.h5", 60, there, 1)
    write_other(tmp_path / "here.h5", 60, here, 1)
    values = {**SMALL, "data.root": str(tmp_path / "one.h5"), **ALL}
    train(build_config(load_values("folder"), values), tmp_path / "first", Quiet())
    values |= {"data.root": str(tmp_path / "here.h5"), "train.init_from": str(tmp_path / "first")}
    config = build_config(load_values("folder"), values)
    model = started(config, tmp_path / "run").model.state_dict()
    assert torch.equal(model["linear.weight"], chosen(tmp_path / "first")["linear.weight"])


@pytest.mark.parametrize("delay_type", ["axonal", "dendritic"])
def test_shared_delays_come_along(delay_type: str, small: Make, tmp_path: Path) -> None:
    train(small(model__delay_type=delay_type), tmp_path / "first", Quiet())
    write_other(tmp_path / "other.h5", 60, ("new", "b"), 5)
    values = {**SMALL, "data.root": str(tmp_path / "other.h5"), **ALL}
    values |= {"model.delay_type": delay_type, "train.init_from": str(tmp_path / "first")}
    model = started(build_config(load_values("folder"), values), tmp_path / "run").model.state_dict()
    theirs = chosen(tmp_path / "first")["linear.delay"]
    if delay_type == "axonal":
        assert torch.equal(model["linear.delay"], theirs)
    else:
        assert torch.equal(model["linear.delay"][0, 1], theirs[0, 1])


def test_synapses_that_are_not_there_come_along(small: Make, tmp_path: Path) -> None:
    train(small(model__fan_in="4"), tmp_path / "first", Quiet())
    write_other(tmp_path / "other.h5", 60, ("new", "b"), 5)
    values = {**SMALL, "data.root": str(tmp_path / "other.h5"), **ALL}
    values |= {"model.fan_in": "4", "train.seed": "7", "train.init_from": str(tmp_path / "first")}
    model, theirs = (
        started(build_config(load_values("folder"), values), tmp_path / "run").model.state_dict(),
        chosen(tmp_path / "first"),
    )
    assert torch.equal(model["blocks.1.linear.connection_mask"], theirs["blocks.1.linear.connection_mask"])
    assert torch.equal(model["linear.connection_mask"][1], theirs["linear.connection_mask"][1])
    assert torch.equal(model["linear.connection_mask"], model["linear.weight"][0] != 0)


def test_time_constants_are_the_recipes_own_unless_learned(further: Make, first: Path, tmp_path: Path) -> None:
    model = started(further(model__tau_ms="20"), tmp_path / "run").model
    assert model.blocks[0].neuron.decay.item() == pytest.approx(0.5)
    assert chosen(first)["blocks.0.neuron.decay"].item() == pytest.approx(0.005, rel=0.01)


def test_learned_time_constants_come_along(small: Make, tmp_path: Path) -> None:
    train(small(model__neuron="plif", train__weight_lr="0.1"), tmp_path / "first", Quiet())
    write_other(tmp_path / "other.h5", 60, ("new", "b"), 5)
    values = {**SMALL, "data.root": str(tmp_path / "other.h5"), **ALL}
    values |= {"model.neuron": "plif", "train.init_from": str(tmp_path / "first")}
    config = build_config(load_values("folder"), values)
    model, theirs = started(config, tmp_path / "run").model.state_dict(), chosen(tmp_path / "first")
    alone = Training(config, build_splits(config)).model.state_dict()
    for name in (f"{layer}.parametrizations.decay.original" for layer in ("blocks.0.neuron", "readout")):
        assert torch.equal(model[name], theirs[name])
        assert not torch.equal(model[name], alone[name])


def test_what_each_neuron_learned_comes_along_that_of_output_neurons_by_class(
    small: Make, further: Make, tmp_path: Path
) -> None:
    each = {"model__learn_tau": "neuron", "model__learn_threshold": "neuron", "model__tau_ms": "20"}
    train(small(**each, train__weight_lr="0.1", train__epochs="1"), tmp_path / "each", Quiet())
    config = further(**each, train__init_from=str(tmp_path / "each"))
    model, theirs = started(config, tmp_path / "run").model.state_dict(), chosen(tmp_path / "each")
    for name in ("blocks.0.neuron.threshold", "blocks.1.neuron.parametrizations.decay.original"):
        assert torch.equal(model[name], theirs[name])
        assert theirs[name].unique().numel() > 5
    (_, b, a), (a_there, b_there, _) = (
        state["readout.parametrizations.decay.original"].tolist() for state in (model, theirs)
    )
    assert (a, b) == (a_there, b_there)
    assert a != b


def test_it_knows_from_the_first_what_the_other_run_learned(further: Make, tmp_path: Path) -> None:
    """Classes a and b of the other recording sound as those of the first."""
    write_other(tmp_path / "other.h5", 90, ("c", "b", "a"), 5)
    little = {"train__epochs": "1", "train__weight_lr": "1e-6", "train__delay_lr_ms": "1e-6"}
    result = train(further(**little), tmp_path / "run", Quiet())
    alone = train(further(train__init_from="none", **little), tmp_path / "alone", Quiet())
    assert result.accuracy["validation"].value > 0.8
    assert alone.accuracy["validation"].value < 0.7
    assert alone.init_from is None


def test_the_run_tells_where_it_started(
    further: Make, first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train(further(), tmp_path / "run", Quiet())
    before = present(read_result(first))
    assert result.init_from == InitFrom(
        run=str(first),
        recipe="shd",
        seed=0,
        best_epoch=before.best_epoch,
        git_commit=before.git_commit,
        classes=("b", "a"),
        trained_on=(),
        interpolation=0.0,
    )
    show_result(result, tmp_path / "run")
    said = capsys.readouterr().out
    assert all(part in said for part in (f"{first} (shd)", "for b, a")), said
    assert str(first) in (tmp_path / "run" / "report.html").read_text()


def test_delays_are_told_to_have_moved_from_the_start(further: Make, first: Path, tmp_path: Path) -> None:
    train(further(train__delay_lr_ms="1e-6", train__epochs="1"), tmp_path / "run", Quiet())
    assert max(map(present, present(read_metrics(tmp_path / "run")[-1].delay_moved_ms))) < 0.01
    before, after = (Network.read(run / "network.safetensors") for run in (first, tmp_path / "run"))
    for one, other in zip(before.layers[:-1], after.layers[:-1], strict=True):
        assert np.array_equal(dense(one).delay_steps, dense(other).delay_steps)


class StopHereError(Exception):
    """Stands for a kill."""


def stop(row: EpochRow) -> None:
    raise StopHereError


def test_a_stopped_run_continues_to_the_bit_though_the_other_run_is_gone(
    further: Make, first: Path, tmp_path: Path
) -> None:
    train(further(), tmp_path / "whole", Quiet())
    watcher = Quiet()
    watcher.epoch = stop  # type: ignore[method-assign]
    with pytest.raises(StopHereError):
        train(further(), tmp_path / "stopped", watcher)
    shutil.rmtree(first)
    resume(tmp_path / "stopped", Quiet())
    one, other = ((tmp_path / run / "network.safetensors").read_bytes() for run in ("whole", "stopped"))
    assert one == other
    moved = [[row.delay_moved_ms for row in read_metrics(tmp_path / run)] for run in ("whole", "stopped")]
    assert moved[0] == moved[1]
    results = [present(read_result(tmp_path / run)) for run in ("whole", "stopped")]
    assert results[0].init_from == results[1].init_from


def test_each_of_the_trainings_that_leave_a_speaker_out_starts_from_it(further: Make, tmp_path: Path) -> None:
    each = {"data__validation": "leave-one-speaker-out", "data__validation_speakers": ""}
    result = train(further(**each, train__epochs="1"), tmp_path / "run", Quiet())
    assert set(result.folds) == {"0", "1", "2"}
    assert all(present(fold.init_from).classes == ("b", "a") for fold in result.folds.values())


REFUSED = [
    ({"model__hidden": "12,8"}, r"model.hidden is 12,10 there and 12,8 here \(it must be the same\)"),
    ({"model__synapses_per_pair": "2"}, "model.synapses_per_pair is 1 there and 2 here"),
    ({"model__delay_type": "axonal"}, "model.delay_type is synaptic there and axonal here"),
    ({"model__fan_in": "3"}, "model.fan_in is None there and 3 here"),
    ({"model__neuron": "plif"}, "model.neuron is lif there and plif here"),
    ({"model__learn_sigma": "layer", "train__sigma_start_ms": "50"}, "model.learn_sigma is none there and layer here"),
    ({"model__learn_tau": "neuron", "model__tau_ms": "20"}, "model.learn_tau is none there and neuron here"),
    ({"data__pool": "1"}, "input is 20 channels, pooled by 2 there and 20 channels, pooled by 1 here"),
    ({"data__dt_ms": "5"}, "data.dt_ms is 10 there and 5 here"),
    ({"model__max_delay_ms": "50"}, r"delays there are up to 60 ms, here up to 50 \(as long, or longer\)"),
    ({"model__delays": "none"}, "delays there are up to 60 ms, here up to 0"),
]


@pytest.mark.parametrize(("changes", "why"), REFUSED)
def test_a_network_of_another_form_is_refused(
    changes: dict[str, str], why: str, further: Make, first: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"^train.init_from: {first}: {why}"):
        train(further(**changes), tmp_path / "run", Quiet())
    assert not (tmp_path / "run").exists()


def test_adaptive_neurons_of_other_ranges_are_another_form(small: Make, further: Make, tmp_path: Path) -> None:
    train(small(model__neuron="adlif"), tmp_path / "adaptive", Quiet())
    values = {"model__neuron": "adlif", "train__init_from": str(tmp_path / "adaptive")}
    started(further(**values), tmp_path / "second")
    with pytest.raises(ConfigError, match=r"model\.adlif is .*120\.0.* there and .*110\.0"):
        train(further(**values, model__adlif_adaptation_tau_max_ms="1100"), tmp_path / "run", Quiet())


def test_longer_delays_are_no_other_form(further: Make, first: Path, tmp_path: Path) -> None:
    longer = started(further(model__max_delay_ms="100"), tmp_path / "run").model.state_dict()
    assert torch.equal(longer["blocks.0.linear.delay"], chosen(first)["blocks.0.linear.delay"])


def test_what_is_no_finished_run_is_refused(further: Make, first: Path, tmp_path: Path) -> None:
    def refused(start: Path, why: str) -> None:
        with pytest.raises(ConfigError, match=why) as error:
            train(further(train__init_from=str(start)), tmp_path / "run", Quiet())
        assert "\n" not in str(error.value)
        assert not (tmp_path / "run").exists()

    refused(
        tmp_path / "nowhere",
        r"^train.init_from: .*nowhere: is not there \(a run's folder, or the name of a run of the package",
    )
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", r"^train.init_from: .*empty: is not a run's folder")
    (first / "result.json").rename(first / "result.kept")
    refused(first, r"^train.init_from: .*first: is no single finished training")
    (first / "result.kept").rename(first / "result.json")
    checkpoint_file(first).write_bytes(b"no checkpoint")
    refused(first, "not a whole checkpoint")
    checkpoint_file(first).unlink()
    refused(first, "is no single finished training")


def test_a_run_is_not_started_from_what_it_replaces(further: Make, first: Path) -> None:
    for folder in (first, first / "inside" / ".."):
        with pytest.raises(ConfigError, match="is the folder that this run would replace"):
            train(further(), folder, Quiet(), force=True)
    assert (first / "result.json").exists()


def test_one_that_may_have_heard_the_test_is_refused(small: Make, first: Path, tmp_path: Path) -> None:
    """The first run learned from speakers 0 and 1; here speaker 1 is to be new."""
    start = str(first)
    with pytest.raises(ConfigError, match=r"trained on the same recording, .*data, divided otherwise"):
        train(small(data__validation_speakers="1", train__init_from=start), tmp_path / "run", Quiet())
    with pytest.raises(ConfigError, match="divided otherwise"):
        train(small(data__validation="leave-one-speaker-out", train__init_from=start), tmp_path / "run", Quiet())
    assert not (tmp_path / "run").exists()
    alike = small(train__init_from=start, train__seed="3")
    check_init(alike, build_splits(alike), tmp_path / "run")


def test_speakers_left_out_in_turn_were_all_heard_by_one_that_heard_everybody(small: Make, tmp_path: Path) -> None:
    train(small(data__validation="none", train__epochs="1"), tmp_path / "first", Quiet())
    config = small(data__validation="leave-one-speaker-out", train__init_from=str(tmp_path / "first"))
    with pytest.raises(ConfigError, match="divided otherwise"):
        train(config, tmp_path / "run", Quiet())
    assert not (tmp_path / "run").exists()


def test_a_run_that_does_not_say_where_its_data_lay_is_known_by_their_kind(
    small: Make, further: Make, first: Path
) -> None:
    file = first / "config.toml"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(line for line in lines if not line.startswith("root")))
    config = small(data__validation_speakers="1", train__init_from=str(first))
    with pytest.raises(ConfigError, match="first: was trained on data of recipe shd divided otherwise"):
        check_init(config, build_splits(config), first.parent / "run")
    for allowed in (small(train__init_from=str(first)), further()):
        check_init(allowed, build_splits(allowed), first.parent / "run")


def test_comparisons_do_not_start_from_a_network(small: Make) -> None:
    with pytest.raises(ConfigError, match=r"^compare: is not allowed with train.init_from"):
        small(train__init_from="runs/shd", compare="fixed")


def test_detectors_do_not_start_from_a_network(first: Path, tmp_path: Path) -> None:
    config = build_config(load_values("coincidence"), {"train.init_from": str(first), "compare": ""})
    with pytest.raises(ConfigError, match=r"model\.kind is feedforward, here detectors"):
        check_init(config, build_splits(config), tmp_path / "run")


def test_the_start_is_kept_with_the_run(further: Make, first: Path, tmp_path: Path) -> None:
    config, folder = further(), tmp_path / "run"
    one = started(config, folder).model.state_dict()
    assert init_file(folder).exists()
    shutil.rmtree(first)
    other = started(config, folder).model.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def known(tmp_path: Path) -> dict[str, str]:
    """Another recording, of the first run's classes only."""
    write_other(tmp_path / "known.h5", 60, ("c", "b", "a"), 5)
    return {"data__root": str(tmp_path / "known.h5")}


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_a_share_of_the_start_is_in_the_finished_network(share: float, further: Make, tmp_path: Path) -> None:
    run = tmp_path / "run"
    last = {"data__validation": "none", "data__validation_speakers": ""}  # the last epoch is kept
    result = train(further(train__init_interpolation=str(share), **last, **known(tmp_path)), run, Quiet())
    begun, state = load_checkpoint(init_file(run)), load_checkpoint(checkpoint_file(run))
    assert begun is not None
    assert state is not None
    moved = 0
    for name, trained in state["model"].items():
        if not trained.is_floating_point() or name.endswith("sigma"):
            continue
        expected = share * begun["model"][name] + (1 - share) * trained
        assert torch.allclose(chosen(run)[name], expected, atol=1e-6), name
        moved += int((trained != begun["model"][name]).any())
    assert moved > 8, "weights, delays and batch norm of two layers, and the readout's"
    averaged = chosen(run)["blocks.0.linear.delay"].round()
    layer = Network.read(run / "network.safetensors").layers[0]
    connection = dense(layer)
    assert np.array_equal(connection.delay_steps[connection.weight != 0], averaged.numpy()[connection.weight != 0])
    assert present(result.init_from).interpolation == share


def test_an_epoch_is_chosen_by_what_would_be_kept_of_it(further: Make, tmp_path: Path) -> None:
    """Learning much too fast spoils the trained network; nearly all of the start keeps what it knew."""
    spoilt = {"train__weight_lr": "10", "train__epochs": "2", **known(tmp_path)}
    alone = train(further(**spoilt), tmp_path / "alone", Quiet())
    kept = train(further(**spoilt, train__init_interpolation="0.9999"), tmp_path / "kept", Quiet())
    assert alone.accuracy["validation"].value < 0.7
    assert kept.accuracy["validation"].value > 0.8
    rows = read_metrics(tmp_path / "kept")
    assert max(present(row.validation_accuracy) for row in rows) == kept.accuracy["validation"].value


def test_a_stopped_average_continues_to_the_bit(further: Make, tmp_path: Path) -> None:
    config = further(train__init_interpolation="0.5", **known(tmp_path))
    train(config, tmp_path / "whole", Quiet())
    watcher = Quiet()
    watcher.epoch = stop  # type: ignore[method-assign]
    with pytest.raises(StopHereError):
        train(config, tmp_path / "stopped", watcher)
    resume(tmp_path / "stopped", Quiet())
    for name in ("network.safetensors", "config.toml"):
        one, other = ((tmp_path / run / name).read_bytes() for run in ("whole", "stopped"))
        assert one == other
    rows = [read_metrics(tmp_path / run) for run in ("whole", "stopped")]
    for name in ("validation_accuracy", "delay_moved_ms", "delay_histograms", "sigma_ms"):
        assert [getattr(row, name) for row in rows[0]] == [getattr(row, name) for row in rows[1]]
    results = [present(read_result(tmp_path / run)) for run in ("whole", "stopped")]
    assert results[0].init_from == results[1].init_from


def test_an_average_is_told(further: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = train(further(train__init_interpolation="0.25", **known(tmp_path)), tmp_path / "run", Quiet())
    show_result(result, tmp_path / "run")
    assert "(25% of it)" in capsys.readouterr().out
    assert "25%" in Page((tmp_path / "run" / "report.html").read_text()).text


def test_a_share_of_no_start_is_refused(small: Make) -> None:
    with pytest.raises(
        ConfigError, match=r"^train.init_interpolation: 0.5 is not allowed without train.init_from \(0\)"
    ):
        small(train__init_interpolation="0.5")
    with pytest.raises(ConfigError, match=r"^train.init_interpolation: '1' is not allowed"):
        small(train__init_interpolation="1")


def test_a_share_of_output_neurons_that_began_at_random_is_refused(further: Make, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^train.init_interpolation: 0.5 is not allowed .* does not know a class, here new"
    ):
        train(further(train__init_interpolation="0.5"), tmp_path / "run", Quiet())
    assert not (tmp_path / "run").exists()


FORMS: list[dict[str, str]] = [
    {"model.delays": "fixed"},
    {"model.neuron": "plif"},
    {"model.delay_type": "axonal"},
    {"model.delay_type": "dendritic"},
    {"model.delays": "dense"},
    {"model.fan_in": "4"},
    {"model.learn_sigma": "synapse", "train.sigma_start_ms": "50"},
    {"model.learn_sigma": "layer", "train.sigma_start_ms": "50", "model.skip": "all"},
]


@pytest.mark.parametrize("form", FORMS, ids=["=".join(next(iter(form.items()))) for form in FORMS])
def test_every_form_of_network_is_averaged(form: dict[str, str], small: Make, tmp_path: Path) -> None:
    """And what training leaves alone stays as it is, to the bit."""
    here = {name.replace(".", "__"): value for name, value in form.items()}
    train(small(**here), tmp_path / "first", Quiet())
    data = known(tmp_path)["data__root"]
    values = {**SMALL, **ALL, **form, "data.root": data, "train.init_from": str(tmp_path / "first")}
    train(
        build_config(load_values("folder"), {**values, "train.init_interpolation": "0.15"}), tmp_path / "run", Quiet()
    )
    begun, state = load_checkpoint(init_file(tmp_path / "run")), load_checkpoint(checkpoint_file(tmp_path / "run"))
    assert begun is not None
    assert state is not None
    kept = state["best"]["model"]
    for name, trained in state["model"].items():
        own = name.endswith("sigma") and "model.learn_sigma" not in form
        if torch.equal(trained, begun["model"][name]) or own:
            assert torch.equal(kept[name], trained), name
        elif trained.is_floating_point():
            assert torch.allclose(kept[name], torch.lerp(trained, begun["model"][name], 0.15)), name
    if "model.fan_in" in form:
        assert (kept["linear.weight"][0][~kept["linear.connection_mask"]] == 0).all()
    longest = 6
    assert all(t.min() >= 0 and t.max() <= longest for name, t in kept.items() if name.endswith(".delay"))


def test_a_kept_start_is_told_and_checked_by_the_recipe_of_the_run(further: Make, tmp_path: Path) -> None:
    """A start that was kept before the recipe was changed by hand, or by a Ranvier without shares."""
    run = tmp_path / "run"
    run.mkdir()
    config = further()
    initial_state(config, build_splits(config), run)
    share = further(train__init_interpolation="0.5")
    with pytest.raises(ConfigError, match="does not know a class, here new"):
        initial_state(share, build_splits(share), run)


def test_what_a_start_comes_from_is_remembered(further: Make, first: Path, tmp_path: Path) -> None:
    """A run, started from one that came from a network trained on SHD, comes from SHD as well."""
    result = json.loads((first / "result.json").read_text())
    (first / "result.json").write_text(
        json.dumps({**result, "init_from": {"run": "x", "classes": [], "trained_on": ["folder"]}})
    )
    with pytest.raises(ConfigError, match="first: was trained on data of recipe folder"):
        train(further(), tmp_path / "run", Quiet())
    init = {"run": "x", "classes": [], "trained_on": ["ssc"]}
    (first / "result.json").write_text(json.dumps({**result, "init_from": init}))
    assert present(train(further(), tmp_path / "run", Quiet()).init_from).trained_on == ("ssc",)
