"""A search draws what it was asked for, reads no test clips, and ends the same whoever of its processes dies."""

from __future__ import annotations

import csv
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from ranvier.analysis import figures
from ranvier.cli import main
from ranvier.corpora.shd import SHD
from ranvier.recipes import sweep as sweeping
from ranvier.recipes.config import Config, ConfigError, build_config
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.run_config import config_values, read_config
from ranvier.recipes.search_space import Dimension, read_space
from ranvier.recipes.sweep import Sweep, best_trial, check_sweep, importances, run_sweep
from ranvier.recipes.sweep_text import write_sweep
from ranvier.recipes.train_run import resume
from ranvier.runs import EpochRow, read_metrics, read_result

from .conftest import Quiet

SMALL = ["data.train_clips=128", "data.validation_clips=64", "data.test_clips=64", "train.epochs=2"]
SPACE = ["train.weight_lr=log:1e-4:1e-1", "train.batch_size=choice:16|32|64", "data.noise=0:2"]
TRIALS = 3


def arguments(out: Path, *more: str, trials: int = TRIALS) -> list[str]:
    fields = [word for text in (*SMALL, *SPACE) for word in ("--set", text)]
    return ["sweep", "coincidence", *fields, "--trials", str(trials), "--out", str(out), *more]


def start(out: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "ranvier", *arguments(out)]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def journal(out: Path) -> list[optuna.trial.FrozenTrial]:
    backend = optuna.storages.journal.JournalFileBackend(str(out / "study.journal"))
    return optuna.load_study(study_name="sweep", storage=optuna.storages.JournalStorage(backend)).trials


def check_whole(out: Path, epochs: int = 2) -> None:
    """Every trial has finished, and none is there twice."""
    trials = journal(out)
    assert sorted(trial.user_attrs["trial"] for trial in trials) == list(range(TRIALS))
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    assert sorted(path.name for path in (out / "trials").iterdir()) == [str(number) for number in range(TRIALS)]
    for trial in trials:
        place = out / "trials" / str(trial.user_attrs["trial"])
        rows = read_metrics(place)
        assert [row.epoch for row in rows] == list(range(1, epochs + 1))
        assert trial.intermediate_values == {row.epoch: row.validation_accuracy for row in rows}
        result = read_result(place)
        assert result is not None
        assert trial.value == result.accuracy["validation"].value == max(trial.intermediate_values.values())
    with (out / "trials.csv").open() as file:
        assert [row[0] for row in csv.reader(file)][1:] == [str(number) for number in range(TRIALS)]


@pytest.mark.slow
def test_two_processes_share_a_sweep_and_no_trial_runs_twice(tmp_path: Path) -> None:
    both = [start(tmp_path / "out") for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted(re.findall(r"coincidence, trial (\d): 2 epochs", "".join(said))) == [str(n) for n in range(TRIALS)]
    check_whole(tmp_path / "out")


@pytest.mark.slow
def test_a_killed_process_loses_no_trial_and_repeats_none(tmp_path: Path) -> None:
    out, deadline = tmp_path / "out", time.monotonic() + 100
    killed, other = start(out), start(out)
    while not list(out.glob("trials/*.claim-1")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(random.uniform(0, 2))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    _, said = other.communicate()
    assert other.returncode == 0, said
    check_whole(out)


def test_a_sweep_goes_on_and_its_best_recipe_can_be_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(arguments(out, trials=1)) == 0
    first = {path: path.stat().st_mtime_ns for path in out.glob("trials/*/result.json")}
    assert len(first) == 1
    assert main(arguments(out, trials=TRIALS)) == 0
    assert {path: path.stat().st_mtime_ns for path in first} == first
    check_whole(out)
    assert (out / "sweep.png").read_bytes().startswith(b"\x89PNG")
    best = build_config(load_values(str(out / "best.toml")))
    drawn = {trial.user_attrs["trial"]: trial for trial in journal(out)}
    highest = max(trial.value or 0.0 for trial in drawn.values())
    number = min(number for number, trial in drawn.items() if trial.value == highest)
    assert best == read_config(out / "trials" / str(number))
    assert 1e-4 <= best.train.weight_lr <= 1e-1
    assert len({trial.params["train.weight_lr"] for trial in drawn.values()}) == TRIALS
    with pytest.raises(SystemExit):
        main([*arguments(out), "--seed", "3"])
    with pytest.raises(SystemExit):
        main([*arguments(out), "--set", "train.delay_lr_ms=0.1:1"])
    said = capsys.readouterr().err.splitlines()[-2:]
    assert "was begun with --seed = 0, not 3 (--out another folder)" in said[0]
    assert "was begun with train.delay_lr_ms = 0.3, not 0.1:1" in said[1]


@pytest.fixture
def tiny(small: Callable[..., Config], tmp_path: Path) -> Callable[..., Sweep]:
    def make(**changes: Any) -> Sweep:
        rates = Dimension("train.weight_lr", "choice:1e-2|1e-9", choices=("1e-2", "1e-9"))
        return replace(Sweep(tmp_path / "out", small(), (rates,)), **changes)

    return make


def test_the_test_split_is_never_read(tiny: Callable[..., Sweep], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SHD.splits

    def splits(self: SHD, **options: Any) -> Any:
        return replace(whole(self, **options), read_test=lambda: pytest.fail("the test split was read"))

    monkeypatch.setattr(SHD, "splits", splits)
    sweep = tiny()
    (one,) = run_sweep(sweep, 1, Quiet())
    result = read_result(sweep.place(0))
    assert result is not None
    assert set(result.accuracy) == {"validation", "seen"}
    assert one.accuracy == result.accuracy["validation"].value
    # as well where the trial's process had died
    for name in ("result.json", "network.safetensors"):
        (sweep.place(0) / name).unlink()
    resume(sweep.place(0), Quiet(), read_test=False)
    (sweep.place(0) / "result.json").unlink()
    with pytest.raises(pytest.fail.Exception):
        resume(sweep.place(0), Quiet())


def test_a_trial_that_was_interrupted_is_continued(tiny: Callable[..., Sweep], small: Callable[..., Config]) -> None:
    class Stops(Quiet):
        def epoch(self, row: EpochRow) -> None:
            super().epoch(row)
            if row.epoch == 2:
                raise KeyboardInterrupt

    space = (Dimension("train.weight_lr", "log:1e-3:1e-2", 1e-3, 1e-2, log=True),)
    sweep, stopped, goes_on = tiny(space=space), Stops(), Quiet()
    with pytest.raises(KeyboardInterrupt):
        run_sweep(sweep, 1, stopped)
    (before,) = journal(sweep.folder)
    assert (before.state.name, list(before.intermediate_values)) == ("RUNNING", [1])
    run_sweep(sweep, 1, goes_on)
    (after,) = journal(sweep.folder)
    assert (after.state.name, after.params) == ("COMPLETE", before.params)
    assert [row.epoch for row in goes_on.rows] == [3]
    assert after.intermediate_values == {
        row.epoch: row.validation_accuracy for row in (*stopped.rows, *goes_on.rows)
    }  # the epoch that was trained and not reported is there
    assert not list(sweep.folder.glob("trials/*.claim-*"))


def test_trials_below_the_median_are_stopped_and_could_be_resumed(
    tiny: Callable[..., Sweep], small: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "_MEDIAN_OF", 2)
    sweep = tiny(config=small(train__epochs="4"))
    results = run_sweep(sweep, 7, Quiet())
    pruned = [one for one in results if one.state == "pruned"]
    assert pruned
    assert all(one.number >= 2 for one in pruned)
    for one in pruned:
        assert one.drawn["train.weight_lr"] == "1e-9"
        assert one.epochs == len(read_metrics(sweep.place(one.number))) < 4
        assert read_result(sweep.place(one.number)) is None
    best = best_trial(results)
    assert best is not None
    assert best.drawn["train.weight_lr"] == "1e-2"
    assert importances(sweep) == {"train.weight_lr": 1.0}
    done = resume(sweep.place(pruned[0].number), Quiet())
    assert done.epochs == len(read_metrics(sweep.place(pruned[0].number))) == 4


def test_a_trial_that_diverges_fails_and_the_search_goes_on(tiny: Callable[..., Sweep]) -> None:
    rates = Dimension("train.weight_lr", "choice:1e-2|1e38", choices=("1e-2", "1e38"))
    sweep = tiny(space=(rates,))
    results = run_sweep(sweep, 3, Quiet())
    assert {(one.state, one.drawn["train.weight_lr"]) for one in results} == {("finished", "1e-2"), ("failed", "1e38")}
    assert all("diverged" in one.fault for one in results if one.state == "failed")
    write_sweep(sweep, results, importances(sweep))
    assert load_values(str(sweep.folder / "best.toml"))["train"]["weight_lr"] == 1e-2


def test_values_that_do_not_go_together_fail_their_trial(tiny: Callable[..., Sweep]) -> None:
    space = (
        Dimension("train.sigma_schedule", "choice:dcls", choices=("dcls",)),
        Dimension("train.sigma_end_ms", "choice:1.3|5", choices=("1.3", "5")),
    )
    results = run_sweep(tiny(space=space), 3, Quiet())
    assert {(one.state, one.drawn["train.sigma_end_ms"]) for one in results} == {("finished", "5"), ("failed", "1.3")}


def test_a_fault_of_the_machine_is_not_one_of_the_trial(
    tiny: Callable[..., Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = tiny(space=(Dimension("train.weight_lr", "1e-3:1e-2", 1e-3, 1e-2),))

    def refuses(*_: object, **__: object) -> None:
        raise ConfigError("its epochs so far were trained on cuda")

    with monkeypatch.context() as patch:
        patch.setattr(sweeping, "train", refuses)
        with pytest.raises(ConfigError, match="trained on cuda"):
            run_sweep(sweep, 2, Quiet())
    assert [one.state for one in run_sweep(sweep, 2, Quiet())] == ["finished", "finished"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["train.weight_lr=log:0:1"], "--set train.weight_lr=log:0:1: is not allowed (LO below HI, LO above 0)"),
        (["train.weight_lr=2:1"], "is not allowed (LO below HI)"),
        (["train.weight_lr=1:2:3"], "is not allowed (log:LO:HI"),
        (["train.weight_lr=log:a:b"], "is not allowed (log:LO:HI"),
        (["train.sigma_fraction=0.1:2"], "--set train.sigma_fraction=0.1:2: train.sigma_fraction: 2.0 is not allowed"),
        (["train.epochs=1.5:3"], "is not allowed (whole numbers)"),
        (["train.epocs=1:3"], "train.epocs: no such field (did you mean train.epochs?)"),
        (["model.delays=1:2"], "(model.delays is no number: choice:a|b|c)"),
        (["model.delays=choice:learned|learnt"], "model.delays: 'learnt' is not allowed (learned, fixed, none)"),
        (["train.epochs=choice:1||2"], "is not allowed (choice:a|b|c, each once)"),
        (["model.max_delay_ms=10:40"], "is not a whole number of 1 ms steps"),
        (["train.epochs=1:3", "train.epochs=2"], "--set: nothing to draw"),
        (["train.epochs"], "is not allowed (FIELD="),
        (["protocol=paper", "train.epochs=1:3"], "--set protocol=paper: is not allowed"),
        (["train.device=cuda:99", "train.weight_lr=1e-3:1e-2"], "train.device: 'cuda:99' is not available here"),
        (["train.epochs=2"], "--set: nothing to draw"),
        ([], "--set: nothing to draw"),
    ],
)
def test_a_bad_range_is_refused_before_anything_is_written(
    texts: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = [word for text in texts for word in ("--set", text)]
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", "coincidence", *fields, "--trials", "1", "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_recipe_without_validation_clips_is_refused(small: Callable[..., Config], tmp_path: Path) -> None:
    space = (Dimension("train.weight_lr", "1e-4:1e-2", 1e-4, 1e-2),)
    for config, message in (
        (small(data__validation="none"), "no validation clips are held out"),
        (small(protocol="paper"), "protocol: 'paper' is not allowed"),
        (small(data__validation="leave-one-speaker-out"), "leave-one-speaker-out is not allowed"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_sweep(Sweep(tmp_path / "out", config, space), Quiet())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds no sweep"):
        check_sweep(Sweep(tmp_path / "out", small(), space), Quiet())


def test_ranges_and_choices_are_read_and_drawn() -> None:
    texts = ["train.weight_lr=log:1e-4:1e-1", "train.epochs=2:5", "model.hidden=choice:64,64|32", "model.dropout=0:0.5"]
    config, space = read_space(load_values("digits"), [*texts, "train.batch_size=32"])
    assert config.train.batch_size == 32
    assert [(one.log, one.whole, one.low, one.high) for one in space if not one.choices] == [
        (True, False, 1e-4, 1e-1), (False, True, 2, 5), (False, False, 0, 0.5)
    ]  # fmt: skip
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = []
    for _ in range(40):
        trial = study.ask()
        drawn.append({one.field: one.suggest(trial) for one in space})
    assert {one["train.epochs"] for one in drawn} == {2, 3, 4, 5}
    hidden = {build_config(config_values(config), one).model.hidden for one in drawn}  # type: ignore[union-attr]
    assert hidden == {(64, 64), (32,)}
    below = sum(float(one["train.weight_lr"]) < 10**-2.5 for one in drawn)
    assert 10 < below < 30  # the middle of the logarithm


def test_a_draw_depends_on_its_number_and_the_seed(tiny: Callable[..., Sweep], tmp_path: Path) -> None:
    space = (Dimension("train.weight_lr", "log:1e-3:1e-2", 1e-3, 1e-2, log=True),)
    drawn = []
    for seed, name in ((0, "a"), (0, "b"), (1, "c")):
        sweep = tiny(space=space, seed=seed, folder=tmp_path / name)
        study = sweeping._open(sweep)
        drawn.append([space[0].suggest(sweeping._trial(sweep, study, number)[0]) for number in (2, 0)])
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_figure_has_a_panel_for_each_field() -> None:
    rates = {"name": "train.weight_lr", "share": 0.75, "values": [1e-3, 1e-2, 1e-1], "choices": (), "log": True}
    kinds = {"name": "model.delays", "share": None, "values": ["a", "b", "a"], "choices": ("a", "b"), "log": False}
    told = {"accuracies": [10.0, 50.0, 30.0], "finished": [True, True, False]}
    axes = figures.plot_sweep([{**rates, **told}, {**kinds, **told}]).axes
    assert [ax.get_xlabel() for ax in axes] == ["train.weight_lr", "model.delays"]
    assert [ax.get_xscale() for ax in axes] == ["log", "linear"]
    assert [ax.get_title() for ax in axes] == ["importance 75%", ""]
    points = axes[1].collections[0]
    assert points.get_offsets().tolist() == [[0, 10], [1, 50], [0, 30]]  # type: ignore[union-attr]
    assert [face[3] for face in points.get_facecolors()] == [1, 1, 0]  # type: ignore[attr-defined]
