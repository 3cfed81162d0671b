"""A run's folder becomes a report: at the end of training, later, from other clips, and where something is missing."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ranvier.analysis.intervals import clip_accuracy
from ranvier.corpora.digits import read_digits
from ranvier.data import DataError, FrameDataset, Subset
from ranvier.network import Network
from ranvier.recipes import observe as observe_file
from ranvier.recipes.config import Config, ConfigError, build_config
from ranvier.recipes.observe import observe
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.report import (
    OWN,
    _input_hz,
    command,
    read_run,
    report_settings,
    run_names,
    trainings,
    write_report,
)
from ranvier.recipes.run_config import config_values
from ranvier.recipes.splits import build_splits
from ranvier.recipes.train_run import train
from ranvier.runs import (
    ProbeRecord,
    ProbeResult,
    RunError,
    evaluation_record,
    make_folder,
    network_hash,
    read_metrics,
    read_probe,
    read_record,
    write_probe,
    write_record,
)
from tests.analysis.reports import Page
from tests.networks import dense
from tests.results import present

from .conftest import SMALL, Quiet, write_small_recording

Make = Callable[..., Config]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and the data that it was trained on."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "data").mkdir()
    write_small_recording(folder / "data" / "shd_train.h5", 90, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RANVIER_CACHE", str(folder / "cache"))
        config = build_config(load_values("shd"), {**SMALL, "data.root": str(folder / "data")})
        train(config, folder / "run", Quiet())
    return folder


@pytest.fixture
def run(trained: Path, small_root: Path) -> Path:
    """A copy of the run, on data of its own."""
    copy = small_root.parent / "run"
    shutil.copytree(trained / "run", copy)
    config = copy / "config.toml"
    config.write_text(config.read_text().replace(str(trained / "data"), str(small_root)))
    write_report([copy])
    return copy


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips may not be run again."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the clips were run again")

    monkeypatch.setattr(observe_file, "evaluate", refuse)


def shown(file: Path) -> Page:
    return Page(file.read_text())


def data_of(file: Path) -> Any:
    return shown(file).data


def test_training_ends_with_a_report(run: Path, small: Make) -> None:
    (data,) = data_of(run / "report.html")
    result = json.loads((run / "result.json").read_text())
    assert data["best"] == result["best_epoch"]
    assert data["curves"]["loss"] == pytest.approx([row.loss for row in read_metrics(run)], rel=1e-4)
    confusion = np.array(data["confusion"])
    assert confusion.sum() == 30
    assert np.trace(confusion) == result["accuracy"]["validation"]["correct"]
    assert len(data["clips"]) >= 1
    assert [layer["neurons"] for layer in data["layers"]] == [10, 12, 10, 3]


def test_delays_are_counted_after_every_epoch(run: Path, small: Make) -> None:
    rows = read_metrics(run)
    network = Network.read(run / "network.safetensors")
    for row in rows:
        for counts, layer in zip(present(row.delay_histograms), network.layers, strict=True):
            assert len(counts) == 7
            assert sum(counts) == dense(layer).weight.size
    best = json.loads((run / "result.json").read_text())["best_epoch"]
    for counts, layer in zip(present(rows[best - 1].delay_histograms), network.layers, strict=True):
        assert list(counts) == np.bincount(dense(layer).full_delay_steps.ravel(), minlength=7).tolist()
    (data,) = data_of(run / "report.html")
    assert data["delays"]["epoch"] == [1, 2, 3]
    assert data["delays"]["layers"][1]["counts"] == [list(present(row.delay_histograms)[1]) for row in rows]


@pytest.mark.parametrize("delays", ["fixed", "none"])
def test_delays_that_are_not_learned_are_not_counted(small: Make, tmp_path: Path, delays: str) -> None:
    train(small(model__delays=delays, train__epochs="1"), tmp_path / "run", Quiet())
    assert read_metrics(tmp_path / "run")[0].delay_histograms is None
    assert ("delays" in shown(tmp_path / "run" / "report.html").figures) == (delays == "fixed")


def test_the_second_report_is_quick_and_the_same(run: Path, no_engine: None, tmp_path: Path) -> None:
    again = write_report([run], tmp_path / "again.html")
    assert again == tmp_path / "again.html"
    assert again.read_text() == (run / "report.html").read_text()


def test_a_report_without_what_was_kept_runs_the_clips_again(run: Path) -> None:
    first = (run / "report.html").read_text()
    for content in (None, b"", b"PK garbage", (run / "observed.npz").read_bytes()[:500]):
        if content is None:
            (run / "observed.npz").unlink()
        else:
            (run / "observed.npz").write_bytes(content)
        (run / "report.html").unlink()
        write_report([run])
        assert (run / "report.html").read_text() == first


def test_what_was_kept_is_of_one_network_and_of_its_clips(run: Path, tmp_path: Path) -> None:
    assert read_record(run, OWN) is not None
    assert read_record(run, "other clips") is None
    network = Network.read(run / "network.safetensors")
    (run / "network.safetensors").write_bytes((run / "network.safetensors").read_bytes() + b" ")
    assert read_record(run, OWN) is None
    network.write(run / "network.safetensors")
    assert read_record(run, OWN) is not None


def test_which_clips_were_right_and_what_came_in_is_kept(run: Path, small: Make) -> None:
    splits = build_splits(small())
    part, network = splits.validation, Network.read(run / "network.safetensors")
    assert part is not None
    seen = read_record(run, OWN)
    assert seen is not None
    labels = part.dataset.labels[part.clips]
    assert [int((seen.right & (labels == label)).sum()) for label in range(3)] == np.diag(seen.confusion).tolist()
    assert seen.source_events is not None
    x, _, _ = part.dataset.batch(part.clips)
    assert seen.source_events == pytest.approx((x > 0).sum(0).double().mean(0).numpy())
    again, others = observe(network, part, "validation"), observe(network, splits.train, "train")
    assert again.fingerprint == seen.fingerprint != others.fingerprint
    assert again.right.tolist() == seen.right.tolist()


def test_what_an_older_version_kept_is_made_anew(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_record, "_VERSION", evaluation_record._VERSION + 1)
    assert read_record(run, OWN) is None


def test_what_the_version_before_kept_lacks_the_events_until_it_is_made_anew(
    run: Path, small_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = read_record(run, OWN)
    assert record is not None
    assert record.source_events is not None
    with monkeypatch.context() as patched:
        patched.setattr(evaluation_record, "_VERSION", evaluation_record._OLDER)
        write_record(run, record, OWN)
    older = read_record(run, OWN)
    assert older is not None
    assert (older.complete, older.source_events) == (False, None)
    assert older.confusion.tolist() == record.confusion.tolist()
    moved = small_root.rename(small_root.with_name("moved"))  # without its clips the report has what was kept
    write_report([run])
    kept = read_record(run, OWN)
    assert kept is not None
    assert not kept.complete
    assert np.array(data_of(run / "report.html")[0]["confusion"]).tolist() == record.confusion.tolist()
    moved.rename(small_root)
    write_report([run])
    again = read_record(run, OWN)
    assert again is not None
    assert again.source_events == pytest.approx(record.source_events)


def test_clips_can_come_from_a_recording(run: Path, tmp_path: Path) -> None:
    write_small_recording(tmp_path / "other.h5", 12, 5)
    write_report([run], tmp_path / "other.html", data=tmp_path / "other.h5")
    (data,) = data_of(tmp_path / "other.html")
    assert np.array(data["confusion"]).sum() == 12
    assert read_run(run, "run", data=tmp_path / "other.h5").record.split == "other.h5"  # type: ignore[union-attr]
    with pytest.raises(FileNotFoundError):
        write_report([run], data=tmp_path / "nowhere.h5")
    (tmp_path / "bad.h5").write_text("no recording")
    with pytest.raises(DataError, match=r"bad\.h5"):
        write_report([run], data=tmp_path / "bad.h5")


def test_a_recording_that_has_gone_leaves_a_report_that_says_so(run: Path, small_root: Path) -> None:
    (run / "observed.npz").unlink()
    shutil.rmtree(small_root)
    made = shown(write_report([run]))
    assert "clips" not in made.data[0]
    assert "shd_train.h5" in made.text
    assert "--data FILE" in made.text


def test_the_runs_own_test_file_stands_in_for_data_that_have_gone(run: Path, small_root: Path, tmp_path: Path) -> None:
    shutil.copy(small_root / "shd_train.h5", run / "test.h5")
    (run / "observed.npz").unlink()
    shutil.rmtree(small_root)
    write_report([run])
    assert np.array(data_of(run / "report.html")[0]["confusion"]).sum() == 90


def test_an_unfinished_run_is_told_as_far_as_it_is(run: Path) -> None:
    for name in ("network.safetensors", "result.json", "observed.npz", "report.html"):
        (run / name).unlink()
    made = shown(write_report([run]))
    assert made.figures == ["learning"]
    assert made.facts["training"].endswith("3 of 3 epochs")


def test_a_run_from_before_delays_were_counted(run: Path) -> None:
    rows = [row.model_copy(update={"delay_histograms": None}) for row in read_metrics(run)]
    (run / "metrics.jsonl").write_text("".join(row.line() for row in rows))
    (data,) = data_of(write_report([run]))
    assert (data["delays"]["epoch"], len(data["delays"]["layers"])) == ([], 3)


def test_several_runs_are_compared(run: Path, small: Make, tmp_path: Path) -> None:
    train(small(model__delays="fixed"), tmp_path / "fixed", Quiet())
    file = write_report([run, tmp_path / "fixed", run], tmp_path / "both.html")
    data = data_of(file)
    assert [part["name"] for part in data] == ["run", "fixed"], "a run is told once"
    assert shown(file).tables["Fields that differ"][1:] == [["model.delays", "learned", "fixed"]]


def test_leaving_each_speaker_out_is_a_comparison(small: Make, tmp_path: Path) -> None:
    train(small(data__validation="leave-one-speaker-out", train__epochs="1"), tmp_path / "run", Quiet())
    for speaker in "012":
        (fold,) = data_of(tmp_path / "run" / f"speaker-{speaker}" / "report.html")
        assert fold["name"] == f"run, speaker {speaker}"
    assert len(trainings(tmp_path / "run")) == 3
    assert len(data_of(tmp_path / "run" / "report.html")) == 3


def test_speakers_that_are_numbers_come_in_their_order(small: Make, tmp_path: Path) -> None:
    folder = tmp_path / "folds"
    make_folder(folder, config_values(small(data__validation="leave-one-speaker-out")), force=False)
    for speaker in (10, 9, 2, 11, 1):
        make_folder(folder / f"speaker-{speaker}", config_values(small()), force=False)
    assert [fold.name for fold in trainings(folder)] == [f"speaker-{speaker}" for speaker in (1, 2, 9, 10, 11)]


def test_a_recording_with_its_classes_in_another_order_gives_the_same_report(run: Path, tmp_path: Path) -> None:
    network = Network.read(run / "network.safetensors")
    write_small_recording(tmp_path / "same.h5", 12, 5)
    shutil.copy(tmp_path / "same.h5", tmp_path / "turned.h5")
    with h5py.File(tmp_path / "turned.h5", "r+") as file:
        file["labels"][:] = 2 - file["labels"][:]
        file["extra/keys"][:] = [name.encode() for name in reversed(network.classes)]
    same, turned = (read_run(run, "run", data=tmp_path / f"{name}.h5").record for name in ("same", "turned"))
    assert same is not None
    assert turned is not None
    np.testing.assert_array_equal(same.confusion, turned.confusion)
    np.testing.assert_array_equal(same.right, turned.right)
    assert [each.label for each in same.examples] == [each.label for each in turned.examples]
    with h5py.File(tmp_path / "turned.h5", "r+") as file:
        file["extra/keys"][:] = [b"x", b"y", b"z"]
    with pytest.raises(DataError, match=r"turned\.h5: classes x, y, z .* a, b, c"):
        read_run(run, "run", data=tmp_path / "turned.h5")


@pytest.mark.parametrize("array", ["confusion", "right", "neuron_spikes_0", "step_0", "source_0", "about"])
def test_what_was_kept_and_does_not_fit_the_network_is_made_anew(run: Path, array: str) -> None:
    file = run / "observed.npz"
    assert read_record(run, OWN) is not None
    with np.load(file) as kept_arrays:
        arrays = dict(kept_arrays)
    if array == "about":
        about = json.loads(str(arrays["about"]))
        about["examples"][0]["label"] = 3
        arrays["about"] = np.array(json.dumps(about))
    else:
        arrays[array] = arrays[array][..., :-1]
    np.savez_compressed(file, **arrays)
    assert read_record(run, OWN) is None


def test_an_archive_that_unpacks_to_much_is_not_unpacked(run: Path) -> None:
    with (
        zipfile.ZipFile(run / "observed.npz", "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("frames_9.npy", "w", force_zip64=True) as part,
    ):
        for _ in range(300):
            part.write(bytes(2**20))
    assert (run / "observed.npz").stat().st_size < 2**20
    assert read_record(run, OWN) is None


def test_a_run_with_comparisons_shows_them(tmp_path: Path) -> None:
    little = {"train.epochs": "1", "data.train_clips": "40", "data.test_clips": "20", "data.validation_clips": "20"}
    train(build_config(load_values("coincidence"), little), tmp_path / "run", Quiet())
    column = shown(tmp_path / "run" / "report.html").column("Accuracy", "clips")
    assert [row for row in column if "comparison" in row] == [
        "for comparison: random delays, not learned", "for comparison: no delays",
    ]  # fmt: skip
    assert (tmp_path / "run" / "fixed" / "report.html").exists()


def test_frames_are_observed_kept_and_told(run: Path, tmp_path: Path) -> None:
    network = Network.read(run / "network.safetensors")
    generator = np.random.default_rng(0)
    dataset = FrameDataset(
        frames=generator.normal(0, 1, (60, 10)).astype(np.float16),
        offsets=np.array([0, 20, 40, 60]),
        labels=np.array([0, 1, 2]),
        speakers=np.array([-1, -1, -1]),
        classes=("a", "b", "c"),
        dt_ms=10.0,
    )
    write_record(run, observe(network, Subset(dataset, np.arange(3)), "test"), OWN)
    write_report([run])
    (data,) = data_of(run / "report.html")
    assert "frames" in data["clips"][0]
    assert np.array(data["confusion"]).sum() == 3


def test_many_clips_are_thinned_evenly_and_their_number_is_told(
    run: Path, small: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observe_file, "_MOST_CLIPS", 10)
    (run / "observed.npz").unlink()
    write_report([run])
    seen = present(read_record(run, OWN))
    assert (seen.clips, seen.available, len(seen.right)) == (10, 30, 10)


def test_examples_are_right_and_wrong_clips_of_different_classes(run: Path, small: Make) -> None:
    splits = build_splits(small())
    network = Network.read(run / "network.safetensors")
    seen = observe(network, splits.train, "train")
    labels = [example.label for example in seen.examples]
    assert len(labels) <= 5
    speakers = {example.speaker for example in seen.examples}
    assert speakers <= {"0", "1"}
    assert seen.confusion.sum() == len(splits.train)
    assert sum(clips for _, clips in seen.speakers.values()) == len(splits.train)


def test_digits_have_their_voices_in_the_report(run: Path) -> None:
    digits = read_digits(None)
    part = Subset(digits.dataset(), digits.clips("test")[:40])
    config = build_config(load_values("digits"), {"model.hidden": "4", "train.epochs": "1"})
    import torch

    from ranvier.models import freeze
    from ranvier.recipes.build import build_input, build_model

    model = build_model(config, build_splits(config), torch.Generator().manual_seed(0))
    network = freeze(model, dt_ms=10.0, classes=part.dataset.classes, input=build_input(config))
    seen = observe(network, part, "test")
    assert all(example.speaker for example in seen.examples)


def test_the_command_makes_the_same_configuration(small: Make) -> None:
    usual = build_config(load_values("digits"))
    assert command(usual) == "ranvier train digits"
    changed = build_config(load_values("digits"), {"train.epochs": "3", "model.hidden": "64,32"})
    assert command(changed) == "ranvier train digits --model.hidden 64,32 --train.epochs 3"
    named = build_config({**load_values("digits"), "name": "mine"})
    assert command(named) == "ranvier train RUN/config.toml"
    assert command(small()) == "ranvier train RUN/config.toml"


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["/x/mine"], ["mine"]),
        (["/x/mine/seed-0"], ["mine, seed 0"]),
        (["/x/a/seed-0", "/x/b/seed-0"], ["a", "b"]),
        (["/x/a/seed-0", "/x/a/seed-1", "/x/b/seed-0"], ["a, seed 0", "a, seed 1", "b, seed 0"]),
        (["/x/a/seed-0", "/x/a/seed-1"], ["seed 0", "seed 1"]),
        (["/x/run/speaker-7", "/x/run/speaker-8"], ["speaker 7", "speaker 8"]),
        (["/x/run", "/x/run/fixed"], ["run", "run/fixed"]),
        (["/x/a/run", "/y/a/run"], ["x", "y"]),
        (["/x/my-seed-1"], ["my-seed-1"]),
    ],
)
def test_runs_are_named_by_what_tells_them_apart(folders: list[str], names: list[str]) -> None:
    assert run_names([Path(folder) for folder in folders]) == names


def test_only_a_run_can_be_reported(tmp_path: Path, small: Make) -> None:
    with pytest.raises(RunError, match="not a run's folder"):
        write_report([tmp_path])
    make_folder(tmp_path / "run", config_values(small()), force=False)
    with pytest.raises(ConfigError, match="--out"):
        write_report([tmp_path / "run"], tmp_path)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.toml"]


def test_a_report_without_any_epoch(tmp_path: Path, small: Make) -> None:
    make_folder(tmp_path / "run", config_values(small()), force=False)
    report = read_run(tmp_path / "run", "run")
    assert (report.rows, report.result, len(report.notes)) == ([], None, 1)
    assert shown(write_report([tmp_path / "run"])).figures == []


def test_what_the_report_knows_of_a_configuration(small: Make) -> None:
    def unseen(recipe: str, **changes: str) -> set[str]:
        overrides = {name.replace("__", "."): value for name, value in changes.items()}
        return set(report_settings(build_config(load_values(recipe), overrides)).unseen)

    assert unseen("digits") == {"validation", "test"}
    assert unseen("shd") == {"validation"}
    assert unseen("shd", protocol="paper") == set()
    assert unseen("shd", data__validation="fraction") == set()
    assert unseen("folder", data__validation="none", data__test="speakers") == {"test"}
    assert unseen("coincidence") == unseen("ssc") == unseen("gsc") == set()
    made = report_settings(small(model__delays="fixed"))
    assert (made.delays, made.epochs, made.sigma_start_ms, made.initialised) == ("fixed", 3, None, False)
    assert dict(made.fields)["train.epochs"] == "3"
    assert "data.root" not in dict(made.division)


def test_inputs_of_the_ear_have_frequencies(run: Path, small: Make) -> None:
    config, network = build_config(load_values("digits")), Network.read(run / "network.safetensors")
    ear = replace(network.input, channels=700, pool=5)
    hz = _input_hz(config, ear)
    assert hz is not None
    assert len(hz) == 140
    assert (np.diff(hz) < 0).all(), "from the base to the apex"
    assert 100 < hz[-1] < hz[0] < 24000
    assert _input_hz(small(), network.input) is None, "20 channels are no ear's"
    assert _input_hz(build_config(load_values("gsc")), ear) is None, "frames of log-mel bands"


def test_a_probe_is_shown_as_long_as_the_network_is_the_same(run: Path) -> None:
    one = clip_accuracy(np.arange(10) < 5)
    file = run / "network.safetensors"
    results = (ProbeResult(name="as it is", kind="nothing", accuracy=one),)
    write_probe(run, ProbeRecord(network=network_hash(file), data="clips", seed=0, results=results))
    assert present(read_run(run, "run").probe).results == results
    assert shown(write_report([run])).column("Accuracy under disturbances", "accuracy") == {"as it is": "50.0%"}
    file.write_bytes(file.read_bytes() + b" ")
    assert read_probe(run) is None
    (run / "probe.json").write_text("{}")
    with pytest.raises(RunError, match=r"probe\.json: network: Field required"):
        read_probe(run)
