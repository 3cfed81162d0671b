"""Recipes: what is refused and how it is said, and the conversions from milliseconds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from ranvier.corpora.folder import LabelledFolder
from ranvier.recipes.adaptation import adaptation, stable_scale
from ranvier.recipes.config import ConfigError, build_config, flat_values, replaced
from ranvier.recipes.conversions import decay, sigma_steps, steps
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.sections import DetectorModel, FeedforwardModel, TrainConfig


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("train.epochs", "0", "train.epochs: '0' is not allowed (a whole number, 1 ... 100000)"),
        ("train.epochs", "2.5", "train.epochs: '2.5' is not allowed (a whole number, 1 ... 100000)"),
        ("train.epoch", "5", "train.epoch: no such field (did you mean train.epochs?)"),
        ("model.dropout", "1", "model.dropout: '1' is not allowed (a number, 0 ... below 1)"),
        ("model.kernel", "box", "model.kernel: 'box' is not allowed (gaussian, triangle, delrec)"),
        (
            "model.hidden",
            "256,x",
            "model.hidden: 'x' is not allowed (whole numbers with commas between, each 1 or more, not empty)",
        ),
        ("model.hidden", "256,,32", "model.hidden: '' is not allowed (whole numbers with commas between"),
        ("modle", "1", "modle: no such field (did you mean model?)"),
        ("data.validation", "speaker", "data.validation: 'speaker' is not allowed (speakers, fraction, "),
        ("protocol", "unfair", "protocol: 'unfair' is not allowed (honest, paper)"),
        ("model.max_delay_ms", "245", "model.max_delay_ms: 245 ms is not a whole number of 10 ms steps"),
        ("model.tau_ms", "5", "model.tau_ms: 5 is not allowed with the euler rule (10 ms or more, one step)"),
        ("model.neuron", "alif", "model.neuron: 'alif' is not allowed (lif, plif, adlif)"),
        ("model.synapse_tau_ms", "0", "model.synapse_tau_ms: '0' is not allowed (a number, above 0)"),
        (
            "model.synapse_tau_ms",
            "5",
            "model.synapse_tau_ms: 5 is not allowed with the euler rule (10 ms or more, one step)",
        ),
        ("model.learn_synapse_tau", "maybe", "model.learn_synapse_tau: 'maybe' is not allowed (true, false)"),
        (
            "model.learn_synapse_tau",
            "true",
            "model.learn_synapse_tau: true is not allowed without model.synapse_tau_ms",
        ),
        ("model.learn_tau", "each", "model.learn_tau: 'each' is not allowed (none, layer, neuron)"),
        ("model.learn_threshold", "true", "model.learn_threshold: 'true' is not allowed (none, layer, neuron)"),
        ("model.adlif_scale", "9", "model.adlif_scale: is not allowed with model.neuron = lif (adlif has it)"),
        ("model.adlif_euler", "back", "model.adlif_euler: 'back' is not allowed (symplectic, forward)"),
        ("nonsense", "1", "nonsense: no such field"),
        ("data.dt_ms", "1e400", "data.dt_ms: '1e400' is not allowed (a number, above 0 ... 1000)"),
        ("train.weight_lr", "nan", "train.weight_lr: 'nan' is not allowed (a number, above 0)"),
        ("train.delay_lr_ms", "Infinity", "train.delay_lr_ms: 'Infinity' is not allowed"),
        ("train.epochs", "٣", "train.epochs: '٣' is not allowed (a whole number, 1 ... 100000)"),
        ("model.hidden", "8,٣", "model.hidden: '٣' is not allowed (whole numbers"),
        ("train.class_weights", "equal", "train.class_weights: 'equal' is not allowed (none, balanced)"),
        ("data.pool", "701", "data.pool: 701 is not allowed (1 ... 700, data.channels)"),
        ("model.tail_ms", "1e15", "model.tail_ms: 1e+15 is not allowed (at most 1e+07 ms, 1000000 steps)"),
        ("compare", "fixed, non", "compare: 'non' is not allowed (fixed, none)"),
    ],
)
def test_a_fault_names_the_field_the_value_and_what_is_allowed(field: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        build_config(load_values("shd"), {field: value})
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model.neuron": "plif", "model.tau_ms": "10"},
            "model.tau_ms: 10 is not allowed where it is learned: a step keeps 0 (1e-06 ... 0.999999)",
        ),
        (
            {"model.neuron": "plif", "model.tau_ms": "1e9"},
            "model.tau_ms: 1e+09 is not allowed where it is learned: a step keeps 1 (1e-06 ... 0.999999)",
        ),
        (
            {"model.learn_tau": "neuron", "model.tau_ms": "10"},
            "model.tau_ms: 10 is not allowed where it is learned: a step keeps 0 (1e-06 ... 0.999999)",
        ),
        (
            {"model.learn_synapse_tau": "true", "model.synapse_tau_ms": "10"},
            "model.synapse_tau_ms: 10 is not allowed where it is learned: a step keeps 0 (1e-06 ... 0.999999)",
        ),
    ],
)
def test_what_is_learned_cannot_start_at_an_end(changes: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        build_config(load_values("shd"), changes)
    assert str(error.value) == message
    learned = {"model.neuron", "model.learn_tau", "model.learn_synapse_tau"}
    build_config(load_values("shd"), {field: value for field, value in changes.items() if field not in learned})


ADLIF = {"model.neuron": "adlif"}


def test_adaptive_neurons_have_their_time_constants_in_steps() -> None:
    config = build_config(load_values("shd"), ADLIF)
    assert isinstance(config.model, FeedforwardModel)
    expected = {"tau_steps": (2, 10), "adaptation_tau_steps": (24, 120), "scale": 120, "euler": "symplectic"}
    assert adaptation(config.model, config.data.dt_ms) == expected
    assert adaptation(config.model, 4.0)["tau_steps"] == (5, 25)


@pytest.mark.parametrize("euler", ["symplectic", "forward"])
def test_a_scale_beyond_the_stable_one_is_refused_as_voltages_grow_there(euler: str) -> None:
    model = build_config(load_values("shd"), {**ADLIF, "model.adlif_euler": euler}).model
    assert isinstance(model, FeedforwardModel)
    decay, adaptation_decay = math.exp(-10 / 20), math.exp(-10 / 240)
    stable = stable_scale(20 / 10, 240 / 10, euler)
    assert adaptation(model, 10.0)["scale"] == min(120 if euler == "symplectic" else 60, stable)
    for factor, ends in ((0.9, 0.01), (1.1, 1000.0)):
        u, w = 1e-3, 0.0
        for _ in range(5000):
            before = u
            u = decay * u - (1 - decay) * w
            drive = factor * stable * (u if euler == "symplectic" else before)
            w = adaptation_decay * w + (1 - adaptation_decay) * drive
            if abs(u) > ends > 1:
                break
        assert (abs(u) < ends) == (factor < 1)
    with pytest.raises(ConfigError, match=r"^model\.adlif_scale: .* with time steps of 10 ms \(up to "):
        build_config(load_values("shd"), {**ADLIF, "model.adlif_euler": euler, "model.adlif_scale": f"{stable * 1.01}"})


@pytest.mark.parametrize(
    ("field", "value"), [("learn_tau", "layer"), ("learn_threshold", "neuron"), ("reset", "subtract")]
)
def test_what_a_lif_may_another_neuron_may_not(field: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"^model\.{field}: is not allowed with model\.neuron = adlif"):
        build_config(load_values("shd"), {**ADLIF, f"model.{field}": value})


@pytest.mark.parametrize("range_of", ["tau", "adaptation_tau"])
def test_a_range_rises(range_of: str) -> None:
    name = f"model.adlif_{range_of}_max_ms"
    with pytest.raises(ConfigError, match=f"^{name}: 5 is not allowed"):
        build_config(load_values("shd"), {**ADLIF, name: "5"})


def test_a_synapses_trace_has_its_own_time_constant() -> None:
    config = build_config(load_values("shd-stateful"))
    assert decay(config, "model.synapse_tau_ms") == pytest.approx(0.9)
    assert decay(config) == pytest.approx(0.004975, abs=1e-6)
    exp = build_config(load_values("shd-stateful"), {"model.leak_rule": "exp"})
    assert decay(exp, "model.synapse_tau_ms") == pytest.approx(math.exp(-0.1))
    assert build_config(load_values("shd-stateful"), {"model.synapse_tau_ms": "none"}).model.tau_ms == 10.05


def test_yes_and_no_are_written_as_they_are_read() -> None:
    values = load_values("shd-stateful")
    config = build_config(values, {"model.learn_synapse_tau": "true"})
    flat = flat_values(config)
    assert flat["model.learn_synapse_tau"] == "true"
    again = {field: value for field, value in flat.items() if field.startswith("model.") and field != "model.kind"}
    assert build_config(values, again) == config


def test_a_long_value_is_not_told_whole() -> None:
    with pytest.raises(ConfigError) as error:
        build_config(load_values("shd"), {"train.epochs": "9" * 10_000})
    assert len(str(error.value)) < 250


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("model.hidden", " 64 , 32", (64, 32)),
        ("model.hidden", "32 ,", (32,)),
        ("compare", "fixed, none", ("fixed", "none")),
        ("data.validation_speakers", "10, 11", (10, 11)),
        ("train.epochs", " 5 ", 5),
    ],
)
def test_spaces_around_values_mean_nothing(field: str, text: str, value: object) -> None:
    found: object = build_config(load_values("shd"), {field: text})
    for name in field.split("."):
        found = getattr(found, name)
    assert found == value


def test_names_stay_whole_until_it_is_known_who_there_is() -> None:
    def speakers(given: object) -> tuple[str, ...]:
        data = build_config(load_values("folder"), {"data.test_speakers": given}).data
        assert isinstance(data, LabelledFolder)
        return data.test_speakers

    assert speakers("Doe, Jane") == ("Doe, Jane",)
    assert speakers(["Doe, Jane", 7]) == ("Doe, Jane", "7")
    assert speakers("") == speakers("empty") == speakers([]) == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train.epochs.x": "3"}, "train.epochs.x: no such field (did you mean train.epochs?)"),
        ({"name.x.y": "3"}, "name.x.y: no such field (did you mean name?)"),
        ({"train": 3}, "train: 3 is not allowed (a section"),
        ({"augment": [1], "augment.shift_ms": 0}, "augment: [1] is not allowed (a section"),
        ({"train.new.x": "3"}, "train.new: no such field"),
    ],
)
def test_a_name_behind_a_field_and_a_value_for_a_section_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        build_config(load_values("shd"), fields)
    assert str(error.value).startswith(message)


def test_all_missing_fields_are_named() -> None:
    values = load_values("digits")
    values["model"]["kind"] = "detectors"
    values["model"] = {name: value for name, value in values["model"].items() if name in DetectorModel.model_fields}
    with pytest.raises(ConfigError) as error:
        build_config(values)
    number = "missing (a number, above 0)"
    assert str(error.value) == f"model.readout_tau_ms: {number}; model.vote: {number}"
    del values["train"]
    values["train"] = {"seed": 0}
    with pytest.raises(ConfigError) as error:
        build_config(values)
    names, _, rest = str(error.value).partition(": ")
    required = {f"train.{name}" for name, field in TrainConfig.model_fields.items() if field.is_required()}
    assert set(names.split(", ")) == {"model.readout_tau_ms", "model.vote", *required} - {"train.seed"}
    assert rest == "missing"


def test_a_missing_field_is_named() -> None:
    values = load_values("shd")
    del values["train"]["epochs"]
    with pytest.raises(ConfigError, match=r"train\.epochs: missing \(a whole number, 1 \.\.\. 100000\)"):
        build_config(values)


def test_an_unknown_recipe_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean coincidence"):
        load_values("coincidense")


def test_text_from_the_command_line_becomes_values() -> None:
    config = build_config(
        load_values("shd"),
        {"model.hidden": "64,32", "train.epochs": "5", "data.validation_speakers": "3", "compare": ""},
    )
    assert config.model.hidden == (64, 32)  # type: ignore[union-attr]
    assert (config.train.epochs, config.compare) == (5, ())


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("train.epochs", "1", "train.epochs: '1' is not allowed (a whole number, 1 ... 100000)"),
        ("train.epochs", True, "train.epochs: True is not allowed (a whole number, 1 ... 100000)"),
        ("train.weight_lr", "0.1", "train.weight_lr: '0.1' is not allowed (a number, above 0)"),
        ("model.fan_in", "3", "model.fan_in: '3' is not allowed (a whole number, 1 or more)"),
        ("model.hidden", "32,", "model.hidden: '32,' is not allowed (whole numbers in brackets, as [256, 256], "),
        ("model.hidden", [32, "8"], "model.hidden: [32, '8'] is not allowed (whole numbers in brackets"),
        ("model.hidden", 256, "model.hidden: 256 is not allowed (whole numbers in brackets, as [256, 256], each 1 or "),
        ("model.batch_norm", "true", "model.batch_norm: 'true' is not allowed (true, false)"),
        ("model.batch_norm", 1, "model.batch_norm: 1 is not allowed (true, false)"),
    ],
)
def test_a_file_has_numbers_where_the_command_line_has_text(field: str, value: object, message: str) -> None:
    values = replaced(load_values("shd"), {field: value})
    with pytest.raises(ConfigError) as error:
        build_config(values)
    assert str(error.value).startswith(message)
    if isinstance(value, str):
        build_config(values, {field: value})  # as the command line has it


def test_a_file_may_leave_a_value_out_by_name() -> None:
    config = build_config(replaced(load_values("shd"), {"model.fan_in": "none", "compare": "fixed,none"}))
    assert config.model.fan_in is None  # type: ignore[union-attr]
    assert config.compare == ("fixed", "none")


def test_another_kind_inherits_what_it_has(tmp_path: Path) -> None:
    above = load_values("motion")
    file = tmp_path / "mine.toml"
    file.write_text('extends = "motion"\nname = "mine"\n[model]\nkind = "feedforward"\n', encoding="utf-8")
    values = load_values(str(file))
    kept = set(above["model"]) & set(FeedforwardModel.model_fields)
    assert set(values["model"]) == kept
    assert {"max_delay_ms", "kind"} <= kept < set(above["model"])
    assert {name: values["model"][name] for name in kept - {"kind"}} == {
        name: above["model"][name] for name in kept - {"kind"}
    }
    with pytest.raises(ConfigError, match=r"^model\.\w+: missing \("):
        build_config(values)
    file.write_text(f"{file.read_text(encoding='utf-8')}strides = 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^model\.strides: no such field"):  # what the file says itself
        build_config(load_values(str(file)))
    file.write_text('extends = "shd"\nname = "mine"\n[data]\nkind = "folder"\ntest = "none"\n', encoding="utf-8")
    values = load_values(str(file))
    assert values["data"]["kind"] == "folder"
    assert set(values["data"]) <= set(LabelledFolder.model_fields)
    assert values["data"]["dt_ms"] == load_values("shd")["data"]["dt_ms"]
    file.write_text('extends = "shd"\n[data]\nkind = "sdh"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mine\.toml: data\.kind: 'sdh' is not allowed"):
        load_values(str(file))


def test_none_is_a_choice_where_it_is_one_and_nothing_where_a_value_may_be_left_out() -> None:
    config = build_config(load_values("coincidence"), {"model.delays": "none", "compare_weight_lr": "none"})
    assert config.model.delays == "none"
    assert config.compare_weight_lr is None
    assert flat_values(build_config(load_values("shd"), {"data.validation": "none"}))["data.validation"] == "none"


def test_the_papers_constants() -> None:
    config = build_config(load_values("shd"))
    assert decay(config) == pytest.approx(0.004975, abs=1e-6)
    assert steps(config, "model.max_delay_ms") == 24
    assert steps(config, "model.tail_ms") == 36
    assert config.train.delay_lr_ms / config.data.dt_ms == pytest.approx(0.1)
    exp = build_config(load_values("shd"), {"model.leak_rule": "exp"})
    assert decay(exp) == pytest.approx(math.exp(-10 / 10.05))


def test_sigma_shrinks_exponentially_over_its_share_and_then_stays() -> None:
    config = build_config(load_values("shd"))
    assert sigma_steps(config, 0) == pytest.approx(12.27)
    assert sigma_steps(config, 0.125) == pytest.approx(math.sqrt(12.27 * 0.5))
    assert sigma_steps(config, 0.25) == pytest.approx(0.5)
    assert sigma_steps(config, 1) == pytest.approx(0.5)
