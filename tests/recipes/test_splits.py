"""What each kind of data is divided into, and that augmentation stays out of everything but training."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import soundfile
import tomli_w
import torch
import torch.nn.functional as F

from ranvier.analysis.intervals import speaker_interval
from ranvier.data import DataError, FrameDataset, SpikeDataset, write_clips
from ranvier.data.augment import Augmentation
from ranvier.network import Network
from ranvier.recipes.build import build_augmentation, build_class_weights, build_input
from ranvier.recipes.config import Config, ConfigError, build_config
from ranvier.recipes.fit import fit
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.report import trainings
from ranvier.recipes.run_config import read_config
from ranvier.recipes.splits import build_splits
from ranvier.recipes.train_run import resume, train
from ranvier.recipes.training import Training
from tests.results import present

from .conftest import Quiet, stop_after_an_epoch

LITTLE = {"model.hidden": "8", "model.max_delay_ms": "60", "model.tail_ms": "60", "train.epochs": "2"}


def recipe(name: str, root: Path | None = None, **fields: Any) -> Config:
    given = {**LITTLE, **fields}
    if root is not None:
        given["data.root"] = str(root)
    return build_config(load_values(name), given)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "cache"))


def recording(path: Path, *, speakers: bool = True, files: bool = False, clips: int = 60, seed: int = 0) -> Path:
    """``clips`` clips of three classes by ann, bob and cat in turn."""
    generator = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    labels, who = np.arange(clips) % 3, np.arange(clips) // 3 % 3
    write_clips(
        path,
        [(np.sort(generator.random(20)) * 0.3, generator.integers(0, 700, 20)) for _ in range(clips)],
        labels,
        classes=("a", "b", "c"),
        speakers=who if speakers else None,
        speaker_names=("ann", "bob", "cat") if speakers else (),
        files=[f"x/{label}_{'abc'[s]}_{n}.wav" for n, (label, s) in enumerate(zip(labels, who, strict=True))]
        if files
        else (),
    )
    return path


def test_a_recording_is_divided_by_speakers_by_name(tmp_path: Path) -> None:
    root = recording(tmp_path / "mine.h5")
    config = recipe(
        "folder", root,
        **{"data.test": "speakers", "data.test_speakers": "cat", "data.validation": "speakers",
           "data.validation_speakers": "bob"},
    )  # fmt: skip
    splits = build_splits(config)
    test = splits.read_test()
    assert test is not None
    assert splits.validation is not None
    assert splits.seen is not None
    speakers = splits.train.dataset.speakers
    assert set(speakers[test.clips]) == {2}
    assert set(speakers[splits.validation.clips]) == {1}
    assert set(speakers[splits.train.clips]) == set(speakers[splits.seen.clips]) == {0}
    every = np.concatenate([part.clips for part in (splits.train, splits.validation, splits.seen, test)])
    assert sorted(every) == list(range(60))
    assert build_input(config).pool == 5


def test_test_clips_of_a_validation_speaker_stay_test_clips(tmp_path: Path) -> None:
    fields = {"data.validation": "speakers", "data.validation_speakers": "bob", "data.test_fraction": "0.5"}
    splits = build_splits(recipe("folder", recording(tmp_path / "mine.h5"), **fields))
    test = splits.read_test()
    assert test is not None
    assert splits.validation is not None
    assert 1 in splits.train.dataset.speakers[test.clips]
    assert not set(test.clips) & set(splits.validation.clips)


def test_a_recording_is_divided_by_shares(tmp_path: Path) -> None:
    splits = build_splits(recipe("folder", recording(tmp_path / "mine.h5", speakers=False)))
    test = splits.read_test()
    assert test is not None
    assert splits.validation is not None
    assert (len(test), len(splits.validation), len(splits.train)) == (6, 5, 49)
    assert not set(test.clips) & {*splits.train.clips, *splits.validation.clips}


@pytest.mark.parametrize(
    ("fields", "speakers", "said"),
    [
        (
            {"data.validation": "speakers", "data.validation_speakers": "dan"},
            True,
            "'dan' is not in the recording (there are ann, bob, cat)",
        ),
        ({"data.validation": "speakers"}, True, "data.validation_speakers: names none"),
        ({"data.test": "speakers"}, True, "data.test_speakers: names none"),
        ({"data.test": "speakers", "data.test_speakers": "ann"}, False, "does not name its speakers"),
        ({"data.test": "fsdd"}, True, "does not say which files its clips are"),
        ({"protocol": "paper"}, True, "protocol: 'paper' is not allowed"),
        (
            {"data.test_speakers": "ann"},
            True,
            "data.test_speakers: ann mean nothing with data.test = fraction (speakers)",
        ),
        ({"data.validation_speakers": "ann"}, True, "data.validation_speakers: ann mean nothing"),
        (
            {
                "data.validation": "speakers",
                "data.validation_speakers": "ann",
                "data.test": "speakers",
                "data.test_speakers": "ann,bob",
            },
            True,
            "data.validation_speakers: ann are test speakers already",
        ),
        ({"data.test_fraction": "0.001"}, True, "data.test_fraction: 0.001 of the clips is less than one clip"),
        ({"data.label_pattern": "x"}, True, "mean nothing for a recording"),
        ({"data.test": "speakers", "data.validation": "leave-one-speaker-out"}, True, "data.test: speakers is not"),
    ],
)
def test_divisions_that_cannot_be(tmp_path: Path, fields: dict[str, str], speakers: bool, said: str) -> None:
    root = recording(tmp_path / "mine.h5", speakers=speakers)
    with pytest.raises((ConfigError, DataError)) as raised:
        build_splits(recipe("folder", root, **fields))
    assert said in str(raised.value)


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises((ConfigError, DataError, FileNotFoundError), match="none"):
        build_splits(recipe("folder", tmp_path / "none"))
    with pytest.raises(ConfigError, match="--data-root"):
        build_splits(recipe("folder"))


def test_the_official_takes_of_fsdd_are_tested(tmp_path: Path) -> None:
    splits = build_splits(recipe("fsdd", recording(tmp_path / "fsdd.h5", files=True)))
    test = splits.read_test()
    assert test is not None
    assert test.clips.tolist() == [0, 1, 2, 3, 4]
    assert splits.validation is not None
    assert len(splits.train) + len(splits.validation) == 55


def test_each_speaker_of_a_recording_is_left_out_in_turn(tmp_path: Path) -> None:
    root = recording(tmp_path / "fsdd.h5", files=True)
    fields = {"data.test": "none", "data.validation": "leave-one-speaker-out", "train.epochs": "1"}
    result = train(recipe("fsdd", root, **fields), tmp_path / "run", Quiet())
    assert list(result.folds) == ["ann", "bob", "cat"]
    assert result.accuracy["validation"].clips == 60
    for name, fold in result.folds.items():
        assert list(fold.accuracy["validation"].speakers) == [name]


def test_a_folder_of_sound_is_heard_once(tmp_path: Path) -> None:
    for word in ("no", "yes"):
        for number in range(4):
            path = tmp_path / "words" / word / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            samples = np.random.default_rng(number + 10 * len(word)).standard_normal(1600)
            soundfile.write(path, samples / 10, 16_000)
    config = recipe("folder", tmp_path / "words", **{"data.validation_fraction": "0.3", "data.test": "none"})
    splits = build_splits(config)
    assert splits.train.dataset.classes == ("no", "yes")
    (made,) = (tmp_path / "cache").glob("sound-*.h5")
    before = made.stat().st_mtime_ns
    build_splits(config)
    assert made.stat().st_mtime_ns == before
    # dates that a comparison with the youngest file would overlook
    (tmp_path / "words" / "yes" / "0.wav").unlink()
    assert len(build_splits(config).train.dataset) == 7
    (tmp_path / "words" / "yes").rename(tmp_path / "words" / "maybe")
    assert build_splits(config).train.dataset.classes == ("maybe", "no")


def test_ssc_has_official_splits(tmp_path: Path) -> None:
    for number, name in enumerate(("train", "valid", "test")):
        recording(tmp_path / f"ssc_{name}.h5", clips=30 + 3 * number)
    splits = build_splits(recipe("ssc", tmp_path))
    test = splits.read_test()
    assert splits.validation is not None
    assert test is not None
    assert (len(splits.train), len(splits.validation), len(test)) == (30, 33, 36)
    with pytest.raises(ConfigError, match="protocol: 'paper' is not allowed"):
        build_splits(recipe("ssc", tmp_path, protocol="paper"))
    (tmp_path / "ssc_test.h5").unlink()
    assert build_splits(recipe("ssc", tmp_path)).read_test() is None
    (tmp_path / "ssc_valid.h5").unlink()
    with pytest.raises(DataError, match=r"neither ssc_valid\.h5 nor ssc_valid\.h5\.gz"):
        build_splits(recipe("ssc", tmp_path))


def test_speech_commands_as_frames_from_training_to_the_end(data_root: Path, tmp_path: Path) -> None:
    config = recipe("gsc", data_root / "gsc-mini", **{"train.epochs": "1"})
    splits = build_splits(config)
    test = splits.read_test()
    assert isinstance(splits.train.dataset, FrameDataset)
    assert splits.validation is not None
    assert test is not None
    assert (len(splits.train), len(splits.validation), len(test)) == (180, 75, 75)
    result = train(config, tmp_path / "run", Quiet())
    assert result.accuracy["test"].clips == 75
    assert result.clips["validation"] == 75


def test_speech_commands_refuse_what_frames_cannot_have(data_root: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.words: 12 is not allowed with data\.input = ear"):
        build_splits(recipe("gsc", data_root / "gsc-mini", **{"data.words": "12", "data.input": "ear"}))
    with pytest.raises(ConfigError, match=r"augment\.jitter_ms: 5 is not allowed for frames"):
        recipe("gsc", None, **{"augment.jitter_ms": "5"})


def test_augmentation_is_off_unless_asked_for() -> None:
    for name in ("shd", "ssc", "gsc", "coincidence"):
        assert build_augmentation(build_config(load_values(name))) is None
    made = build_augmentation(build_config(load_values("shd"), {"augment.shift_ms": "30", "augment.jitter_ms": "5"}))
    assert made is not None
    assert (made.shift_steps, made.jitter_steps) == (3, 0.5)
    with pytest.raises(ConfigError, match=r"augment\.shift_ms: 25 ms is not a whole number of 10 ms steps"):
        build_config(load_values("shd"), {"augment.shift_ms": "25"})
    with pytest.raises(ConfigError, match=r"augment\.time_mask_ms: 0 is not allowed"):
        build_config(load_values("shd"), {"augment.time_mask_probability": "0.5"})


def test_an_augmented_training_continues_to_the_bit(tmp_path: Path) -> None:
    fields = {
        "augment.shift_channels": "5", "augment.jitter_ms": "10", "augment.cut_mix_probability": "0.5",
        "augment.blend_probability": "0.5", "augment.keep_probability": "0.9", "train.batch_size": "16",
        "data.validation": "none",
    }  # fmt: skip
    config = recipe("folder", recording(tmp_path / "mine.h5"), **fields)
    whole = train(config, tmp_path / "whole", Quiet())
    stop_after_an_epoch(config, tmp_path / "stopped")
    result = resume(tmp_path / "stopped", Quiet())
    first, second = ((tmp_path / name / "network.safetensors").read_bytes() for name in ("whole", "stopped"))
    assert first == second
    assert result.accuracy == whole.accuracy
    plain = recipe("folder", tmp_path / "mine.h5", **{"train.batch_size": "16"})
    train(plain, tmp_path / "plain", Quiet())
    assert (tmp_path / "plain" / "network.safetensors").read_bytes() != first


def test_only_training_clips_are_augmented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = recipe("folder", recording(tmp_path / "mine.h5"), **{"augment.keep_probability": "0.5"})
    splits = build_splits(config)
    apply, clips = Augmentation.apply, []

    def spy(self: Augmentation, x: Any, lengths: Any, labels: Any, *more: Any) -> Any:
        clips.append(len(labels))
        return apply(self, x, lengths, labels, *more)

    monkeypatch.setattr(Augmentation, "apply", spy)
    (tmp_path / "run").mkdir()
    fit(config, splits, tmp_path / "run", Quiet(), "x", lambda row: None)
    assert sum(clips) == 2 * len(splits.train)


@pytest.mark.parametrize("change", [{"clips": 63}, {"seed": 1}], ids=["clips", "events"])
def test_a_training_is_not_continued_with_other_data(tmp_path: Path, change: dict[str, Any]) -> None:
    root = recording(tmp_path / "mine.h5")
    stop_after_an_epoch(recipe("folder", root), tmp_path / "run")
    recording(root, **change)
    with pytest.raises(ConfigError, match="the data are not those it was trained on so far"):
        resume(tmp_path / "run", Quiet())


def test_speakers_left_out_of_shd_are_numbers(tmp_path: Path) -> None:
    recording(tmp_path / "shd_train.h5")
    config = recipe("shd", tmp_path, **{"data.validation": "leave-one-speaker-out", "train.epochs": "1"})
    result = train(config, tmp_path / "run", Quiet())
    for name, fold in result.folds.items():
        assert list(fold.accuracy["validation"].speakers) == [name]
    assert list(result.folds) == ["ann", "bob", "cat"]


@pytest.mark.parametrize("name", ["digits", "coincidence"])
def test_data_without_a_published_protocol_have_none(name: str) -> None:
    with pytest.raises(ConfigError, match="protocol: 'paper' is not allowed"):
        build_splits(build_config(load_values(name), {"protocol": "paper"}))


@pytest.mark.parametrize("channels", [20, 64, 1400])
def test_a_recording_brings_its_own_channels(tmp_path: Path, channels: int) -> None:
    root = recording(tmp_path / "mine.h5")
    with h5py.File(root, "a") as file:
        file.attrs["ear"] = json.dumps({"channels": channels})
        for clip in range(60):
            file["spikes/units"][clip] = file["spikes/units"][clip] % channels
    inputs = -(-channels // 5)
    config = recipe("folder", root, **{"train.epochs": "1"})
    assert build_splits(config).train.dataset.sources == inputs
    assert build_input(config).channels == channels
    train(config, tmp_path / "run", Quiet())
    kept = read_config(tmp_path / "run").data
    assert kept == config.data.model_copy(update={"channels": channels, "ear": "custom"})
    assert Network.read(tmp_path / "run" / "network.safetensors").sources == inputs
    with pytest.raises(DataError, match=rf"{channels} channels .* 700 "):
        build_splits(recipe("folder", root, **{"data.channels": "700"}))


def test_times_of_a_recording_may_be_milliseconds(tmp_path: Path) -> None:
    root = recording(tmp_path / "mine.h5")

    def steps(**values: str) -> list[int]:
        dataset = build_splits(recipe("folder", root, **values)).train.dataset
        assert isinstance(dataset, SpikeDataset)
        return [int(step) for step in dataset.step]

    seconds = steps()
    with h5py.File(root, "a") as file:
        times = [file["spikes/times"][clip].astype(float) * 1000 for clip in range(60)]
        del file["spikes/times"]
        lists = file.create_dataset("spikes/times", 60, h5py.vlen_dtype(float))
        for clip in range(60):
            lists[clip] = times[clip]
    with pytest.raises(DataError, match="time_unit"):
        build_splits(recipe("folder", root))
    assert steps(**{"data.time_unit": "ms"}) == seconds


def test_a_folder_of_event_files_is_trained_on(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for clip in range(40):
        place = tmp_path / "events" / "ab"[clip % 2]
        place.mkdir(parents=True, exist_ok=True)
        events = np.stack([generator.random(20) * 0.3, generator.integers(0, 700, 20)])
        np.savez(place / f"{clip}.npz", events)
    splits = build_splits(recipe("folder", tmp_path / "events"))
    assert splits.train.dataset.classes == ("a", "b")
    assert len(splits.train.dataset) == 40


def named(path: Path, names: tuple[str, ...], labels: list[int] | None = None) -> Path:
    """Two clips of each of two classes by each speaker, or the classes that are named."""
    generator = np.random.default_rng(0)
    clips = 4 * len(names) if labels is None else len(labels)
    spikes = [(np.sort(generator.random(20)) * 0.3, generator.integers(0, 700, 20)) for _ in range(clips)]
    speakers = np.arange(clips) % len(names)
    known = np.arange(clips) // len(names) % 2 if labels is None else np.array(labels)
    classes = ("a", "b", "c")[: known.max() + 1]
    write_clips(path, spikes, known, classes=classes, speakers=speakers, speaker_names=names)
    return path


SPEAKERS = ("Doe, Jane", "Roe", "007", "Doe", "10", "a,,b")


@pytest.mark.parametrize(
    ("given", "tested"),
    [
        ("Doe, Jane", {"Doe, Jane"}),
        ("Doe", {"Doe"}),
        ("a,,b", {"a,,b"}),
        ("Roe,Doe, Jane", {"Roe", "Doe, Jane"}),
        (" Roe , 007", {"Roe", "007"}),
        (["Doe, Jane", "Roe"], {"Doe, Jane", "Roe"}),
        ([10], {"10"}),
    ],
)
def test_a_name_that_holds_commas_is_tried_whole(tmp_path: Path, given: Any, tested: set[str]) -> None:
    fields = {"data.test": "speakers", "data.test_speakers": given, "data.validation": "none"}
    config = recipe("folder", named(tmp_path / "n.h5", SPEAKERS), **fields)
    for again in (
        config,
        build_config(tomllib.loads(tomli_w.dumps(config.model_dump(mode="json", exclude_none=True)))),
    ):
        test = build_splits(again).read_test()
        assert test is not None
        assert set(test.by_speaker()) == tested


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("7", "'7' is not in the recording (there are 'Doe, Jane', Roe, 007, Doe, 10, 'a,,b')"),
        ("Roe, John", "'Roe, John' is not in the recording, nor are 'Roe' and 'John' (there are 'Doe, Jane', Roe"),
    ],
)
def test_both_readings_of_a_name_are_said(tmp_path: Path, given: str, said: str) -> None:
    fields = {"data.test": "speakers", "data.test_speakers": given, "data.validation": "none"}
    with pytest.raises(ConfigError) as raised:
        build_splits(recipe("folder", named(tmp_path / "n.h5", SPEAKERS), **fields))
    assert said in str(raised.value)


def test_classes_that_not_every_part_has_are_in_the_result(tmp_path: Path) -> None:
    root = named(tmp_path / "rare.h5", ("ann", "bob"), [0] * 20 + [1] * 20 + [2])
    fields = {"data.validation_fraction": "0.2", "data.test_fraction": "0.2", "train.epochs": "1"}
    result = train(recipe("folder", root, **fields), tmp_path / "run", Quiet())
    (note,) = result.notes
    assert "c (training 1, validation 0, test 0)" in note
    (tmp_path / "run" / "report.html").read_text(encoding="utf-8").index("c (training 1, validation 0, test 0)")


@pytest.mark.parametrize("seed", range(10))
def test_a_class_of_three_clips_is_in_every_part(tmp_path: Path, seed: int) -> None:
    root = named(tmp_path / "rare.h5", ("ann", "bob"), [0] * 60 + [1] * 57 + [2] * 3)
    fields = {"data.validation_fraction": "0.2", "data.test_fraction": "0.3", "data.split_seed": str(seed)}
    splits = build_splits(recipe("folder", root, **fields))
    test, dataset = splits.read_test(), splits.train.dataset
    assert test is not None
    assert splits.validation is not None
    assert [np.bincount(dataset.labels[part.clips])[2] for part in (splits.train, splits.validation, test)] == [1, 1, 1]
    assert splits.notes == ()


def test_speakers_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    write_clips(
        tmp_path / "shd_train.h5",
        [(np.arange(5) / 10, np.arange(5)) for _ in range(36)],
        np.arange(36) % 3,
        classes=("a", "b", "c"),
        speakers=np.array([10, 9, 2])[np.arange(36) // 3 % 3],
    )
    config = recipe("shd", tmp_path, **{"data.validation": "leave-one-speaker-out", "train.epochs": "1"})
    result = train(config, tmp_path / "run", Quiet())
    assert list(result.folds) == ["2", "9", "10"]
    assert [place.name for place in trainings(tmp_path / "run")] == ["speaker-2", "speaker-9", "speaker-10"]
    shares = [fold.accuracy["validation"].value for fold in result.folds.values()]
    over = present(result.accuracy["validation"].over_speakers)
    assert over.value == pytest.approx(np.mean(shares))
    assert over.speakers == 3
    assert {fold.data["dataset"] for fold in result.folds.values()} == {result.data["dataset"]}
    assert len({fold.data["validation"] for fold in result.folds.values()}) == 3
    alone = result.folds["9"].accuracy
    assert alone["validation"].over_speakers == speaker_interval([alone["validation"].value])
    assert alone["seen"].over_speakers is None
    both = recipe("shd", tmp_path, **{"data.validation_speakers": "10,2", "train.epochs": "1"})
    assert list(train(both, tmp_path / "both", Quiet()).accuracy["validation"].speakers) == ["2", "10"]


def test_classes_weigh_the_same_where_that_is_wanted(tmp_path: Path) -> None:
    root = named(tmp_path / "rare.h5", ("ann", "bob"), [0] * 30 + [1] * 10)
    fields = {"data.test": "none", "data.validation": "none", "train.class_weights": "balanced", "train.epochs": "1"}
    config = recipe("folder", root, **fields)
    splits = build_splits(config)
    weights = build_class_weights(config, splits.train)
    assert weights is not None
    assert weights.tolist() == pytest.approx([40 / 60, 40 / 20])
    assert build_class_weights(recipe("folder", root), splits.train) is None
    training = Training(config, splits)
    x, lengths, labels = splits.train.dataset.batch(np.arange(25, 35))
    scores = torch.tensor([[2.0, 0.0]] * 10, requires_grad=True)  # right about the common class
    training.model.scores = lambda *_: scores  # type: ignore[method-assign]
    each = F.cross_entropy(scores.detach(), labels, reduction="none")
    expected = (each * weights[labels]).sum() / weights[labels].sum()
    assert abs(float(expected - each.mean())) > 0.2
    loss, _ = training.update(x, lengths, labels)
    assert float(loss) == pytest.approx(float(expected))
