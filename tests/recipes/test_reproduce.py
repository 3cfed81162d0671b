"""Tables of recipes: run once, whoever runs them and however often they are stopped, and told as they are."""

from __future__ import annotations

import csv
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy import stats

from ranvier.analysis.intervals import Mean, speaker_interval
from ranvier.analysis.tables import as_csv, as_latex, as_markdown
from ranvier.cli import main
from ranvier.cli.show import show_table
from ranvier.models import feedforward
from ranvier.nn import DelayLinear
from ranvier.recipes.build import build_model
from ranvier.recipes.carry_out import carry_out
from ranvier.recipes.config import Config, ConfigError, build_config
from ranvier.recipes.diverged import read_diverged
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.reproduce import RowResult, Run, collect, find_missing, plan
from ranvier.recipes.run_config import config_values
from ranvier.recipes.sections import FeedforwardModel
from ranvier.recipes.table_text import cells, comparisons, remarks, write_tables
from ranvier.recipes.tables import Row, load_table, table_names
from ranvier.runs import make_folder, run_lock, write_result
from tests.results import run_result

from .conftest import Quiet, write_small_recording

TABLE = """
title = "toy"

[[rows]]
name = "learned delays"
recipe = "coincidence"
published = 99.5
published_interval = 0.25

[[rows]]
name = "random delays"
recipe = "coincidence"
set = { "model.delays" = "fixed" }
against = "learned delays"
"""
SMALL = [
    "--set", "data.train_clips=128", "--set", "data.validation_clips=64", "--set", "data.test_clips=64",
    "--set", "train.epochs=3",
]  # fmt: skip


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "toy.toml"
    file.write_text(TABLE)
    return file


def command(table: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "ranvier", "reproduce", str(table), "--out", str(out), "--seeds", "2", *SMALL, *more]


def timeless(out: Path) -> list[list[str]]:
    with (out / "table.csv").open() as file:
        return [row[:-1] for row in csv.reader(file)]


def test_a_table_is_run_and_told(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(command(table, out)[3:]) == 0
    said = capsys.readouterr().out
    header, learned, fixed = timeless(out)
    assert header[:5] == ["model", "published [%]", "ours [%] ± over seeds", "over speakers [%]", "clips' interval [%]"]
    assert learned[0] == "learned delays"
    assert learned[1] == "99.50 ± 0.25"
    assert learned[3] == ""  # nobody speaks
    assert learned[5:9] == ["64 test", "", "2", "168"]
    assert fixed[8] == "88"
    # ten channels fire twice, seldom in one time step (one event), each onto 8 detectors, which have buffers of 31 time
    # steps, their readouts of one
    assert [row[9:13] for row in (learned, fixed)] == [["88", "0", "159", "1.0"]] * 2
    assert "random delays against learned delays: " in said
    assert "over 2 seeds" in (out / "table.md").read_text()
    assert "\\toprule" in (out / "table.tex").read_text()
    assert (out / "table.png").read_bytes().startswith(b"\x89PNG")
    assert "validation:" not in (out / "table.md").read_text()  # these were measured on a test set
    runs = [out / row / f"seed-{seed}" for row in ("learned-delays", "random-delays") for seed in (0, 1)]
    before = [(run / "result.json").stat().st_mtime_ns for run in runs]
    assert main(command(table, out)[3:]) == 0
    assert [(run / "result.json").stat().st_mtime_ns for run in runs] == before


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    place = tmp_path_factory.mktemp("undisturbed")
    (place / "toy.toml").write_text(TABLE)
    subprocess.run(command(place / "toy.toml", place / "out"), check=True, capture_output=True)
    return timeless(place / "out")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_a_killed_table_ends_as_if_it_had_not_been(
    seed: int, table: Path, tmp_path: Path, undisturbed: list[list[str]]
) -> None:
    pause = random.Random(seed)
    for _ in range(4):
        process = subprocess.Popen(
            command(table, tmp_path / "out"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(pause.uniform(1.5, 5))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command(table, tmp_path / "out"), check=True, capture_output=True)
    assert timeless(tmp_path / "out") == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [2])
def test_two_processes_share_a_table_and_do_nothing_twice(
    jobs: int, table: Path, tmp_path: Path, undisturbed: list[list[str]]
) -> None:
    more = ("--jobs", "2") if jobs == 2 else ()
    both = [
        subprocess.Popen(
            command(table, tmp_path / "out", *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert timeless(tmp_path / "out") == undisturbed
    if jobs == 1:
        assert len(re.findall(r"coincidence: 3 epochs", "".join(said))) == 4
    for run in (tmp_path / "out").glob("*/seed-?"):
        assert len((run / "metrics.jsonl").read_text().splitlines()) == 3
    assert not [*(tmp_path / "out").glob("**/*.lock"), *(tmp_path / "out").glob("**/*.claim-*")]


def test_other_settings_need_another_folder(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main([*command(table, out)[3:], "--seeds", "1"]) == 0
    with pytest.raises(SystemExit) as stopped:
        main([*command(table, out)[3:], "--set", "train.epochs=4"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "was run with train.epochs = 3, not 4 (--out another folder)" in said


def test_data_that_are_not_there_are_said_to_be_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "ssc", "--data-root", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert "neither ssc_train.h5 nor ssc_train.h5.gz is there" in said.err
    assert len(said.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_show_runs_nothing(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command(table, tmp_path / "out")[3:], "--show"]) == 0
    assert f"not run yet: no finished run in {tmp_path / 'out'}" in capsys.readouterr().out.replace("\n", "")
    assert not (tmp_path / "out").exists()


def test_help_has_a_line_for_each_table(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["reproduce", "--help"])
    _, _, listed = capsys.readouterr().out.partition("tables:\n")
    assert dict(re.findall(r"^  (\w+) +(.+)$", listed, re.MULTILINE)) == {
        name: load_table(name).title for name in table_names()
    }


def test_rows_can_be_named(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    one = [*command(table, out)[3:], "--seeds", "1", "--set", "train.epochs=1"]
    assert main([*one, "--row", "random delays"]) == 0
    assert "learned delays" not in capsys.readouterr().out
    assert [run.parent.name for run in out.glob("*/seed-*")] == ["random-delays"]
    assert [(row[0], row[7]) for row in timeless(out)[1:]] == [("learned delays", "0"), ("random delays", "1")]
    assert main([*one, "--row", "learned delays"]) == 0
    assert [(row[0], row[7]) for row in timeless(out)[1:]] == [("learned delays", "1"), ("random delays", "1")]


def test_a_run_that_another_command_trains_is_waited_for(table: Path, tmp_path: Path) -> None:
    runs = plan(load_table(str(table)), tmp_path / "out", seeds=1, overrides=dict(s.split("=") for s in SMALL[1::2]))
    make_folder(runs[0].folder, config_values(runs[0].config), force=False)
    with run_lock(runs[0].folder):
        waiting = threading.Thread(target=carry_out, args=(runs, Quiet()))
        waiting.start()
        deadline = time.monotonic() + 60
        while runs[1].result() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert runs[1].result() is not None
        assert runs[0].result() is None
        assert waiting.is_alive()
    waiting.join(60)
    assert runs[0].result() is not None


def test_a_table_may_be_continued_with_a_tracker(table: Path, tmp_path: Path) -> None:
    small = dict(s.split("=") for s in SMALL[1::2])
    (first, _) = plan(load_table(str(table)), tmp_path / "out", seeds=1, overrides=small)
    make_folder(first.folder, config_values(first.config), force=False)
    tracked = plan(load_table(str(table)), tmp_path / "out", seeds=1, overrides={**small, "tracker": "tensorboard"})
    assert (tracked[0].folder, [run.config.tracker for run in tracked]) == (first.folder, ["tensorboard"] * 2)
    with pytest.raises(ConfigError, match=r"train\.epochs = 3, not 7"):
        plan(load_table(str(table)), tmp_path / "out", seeds=1, overrides={**small, "train.epochs": "7"})


def test_seen_speakers_have_a_column(
    small: Callable[..., Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(Row(name="a", recipe="shd"), "honest", 0, small(), tmp_path / "a" / "seed-0")
    carry_out([run], Quiet())
    (row,) = collect([run], {})
    done = run.result()
    assert done is not None
    assert row.seen == {0: done.accuracy["seen"].value}
    assert row.accuracy == {0: done.accuracy["validation"].value}
    show_table("x", [row], tmp_path)
    _, headings, cells, *_ = capsys.readouterr().out.splitlines()
    assert re.split("  +", headings.strip())[-2:] == ["seen", "seeds"]
    assert re.split("  +", cells.strip())[-2:] == [f"{100 * done.accuracy['seen'].value:.2f}", "1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shd", "--row", "2L-1KC", "--row", "2L"], "--row: '2L' is not allowed ('2L-1KC', 'dense convolution')"),
        (["tabel"], "table 'tabel' is not known (there are: ablation, delays, gsc,"),
        (["ablation", "--set", "train.epochs"], "--set train.epochs: is not allowed (FIELD=VALUE"),
        (["ablation", "--set", "train.seed=3"], "--set train.seed=3: is not allowed"),
        (["ablation", "--set", "train.epocs=3"], "ranvier: --set train.epocs=3: no such field (did you mean"),
        (["ablation", "--set", "data.dt_ms=7"], " with --set data.dt_ms=7: model."),
        (
            ["ablation", "--set", "train.epochs.x=3"],
            "--set train.epochs.x=3: no such field (did you mean train.epochs?)",
        ),
        (["ablation", "--set", "train=3"], "--set train=3: '3' is not allowed (a section"),
        (["ablation", "--seeds", "0"], "seeds: 0 is not allowed (1 or more)"),
        (["ablation", "--jobs", "0"], "--jobs: 0 is not allowed (1 or more)"),
        (["ablation", "--slurm", "cluster"], "--slurm cluster: is not allowed (KEY=VALUE,..."),
        (["ablation", "--slurm", "cluster=pbs,partition=a"], "--slurm cluster=pbs: is not allowed (slurm, local)"),
        (["ablation", "--slurm", "cluster=local,nodes=two"], "--slurm nodes=two: is not allowed (a whole number)"),
        (["ablation", "--slurm", "cluster=local,color=red"], "Unknown argument 'color'"),
    ],
)
def test_a_wrong_call_is_told_in_a_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["reproduce", *arguments])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('title = "x"\nrows = []', "rows"),
        (TABLE.replace("random delays", "learned delays"), "two rows have the same name"),
        (TABLE.replace('against = "learned delays"', 'against = "none"'), "there is no other row 'none'"),
        ("title = ", "not TOML"),
        (TABLE.replace("published =", "publisht ="), "publisht"),
    ],
)
def test_a_damaged_table_is_told(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_table(str(tmp_path / "t.toml"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ('{ "train.epocs" = 5 }', "train.epocs: no such field (did you mean train.epochs?)"),
        ('{ "train.epochs.x" = 5 }', "train.epochs.x: no such field (did you mean train.epochs?)"),
        ("{ train.epochs.x = 5 }", "train.epochs.x: no such field (did you mean train.epochs?)"),
        ('{ "train" = 3 }', "train: 3 is not allowed (a section"),
    ],
)
def test_a_fault_of_a_row_names_it_and_its_table(
    fields: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.toml").write_text(TABLE.replace('{ "model.delays" = "fixed" }', fields))
    with pytest.raises(SystemExit) as stopped:
        main(["reproduce", "t.toml", "--show"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith(f"ranvier: table t.toml: random delays: {message}")


def test_fields_of_a_row_need_no_quotes(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(
        'title = "x"\nset = { "train.epochs" = 3, train.batch_size = 5 }\n'
        '[[rows]]\nname = "a"\nrecipe = "shd"\n[rows.set]\ntrain.epochs = 7\nmodel = { hidden = [8] }'
    )
    (row,) = load_table(str(tmp_path / "t.toml")).rows
    assert row.set == {"train.epochs": 7, "train.batch_size": 5, "model.hidden": [8]}
    config = row.config(0, {})
    assert (config.train.epochs, config.train.batch_size) == (7, 5)
    assert config.train.weight_lr == build_config(load_values("shd")).train.weight_lr


def test_a_rows_own_fields_come_before_the_tables(tmp_path: Path) -> None:
    rows = '[[rows]]\nname = "a"\nrecipe = "shd"\n[[rows]]\nname = "b"\nrecipe = "shd"\nset = { "train.epochs" = 5 }'
    (tmp_path / "t.toml").write_text(
        f'title = "x"\nset = {{ "train.epochs" = 3, "model.surrogate_alpha" = 0.5 }}\n{rows}'
    )
    configs = [row.config(0, {}) for row in load_table(str(tmp_path / "t.toml")).rows]
    assert [config.train.epochs for config in configs] == [3, 5]
    assert [config.model.surrogate_alpha for config in configs] == [0.5, 0.5]


@pytest.mark.parametrize("name", table_names())
def test_every_row_of_every_table_is_a_recipe(name: str, tmp_path: Path) -> None:
    runs = plan(load_table(name), tmp_path, seeds=2, overrides={})
    assert len({run.folder for run in runs}) == len(runs)
    sizes = {"ssc": 35, "gsc": 35}
    for run in runs:
        model = run.config.model
        if name == "ablation":
            assert isinstance(model, FeedforwardModel)
            assert (model.fan_in == 10) == ("ten" in run.row.name)
        kinds = {"localisation": ("localisation",), "motion": ("motion",), "precision": ("digits",)}
        assert run.config.data.kind in kinds.get(name, ("shd", *sizes))


@pytest.mark.parametrize(
    ("name", "sources", "classes", "rows", "least", "most"),
    [("delays", 140, 20, 16, 28_229, 28_928), ("localisation", 3, 2, 12, 12_838, 13_104)],
)
def test_rows_of_other_delays_have_as_many_parameters(
    name: str, sources: int, classes: int, rows: int, least: int, most: int, tmp_path: Path
) -> None:
    runs = plan(load_table(name), tmp_path, seeds=1, overrides={})
    assert len(runs) == rows
    splits: Any = SimpleNamespace(
        train=SimpleNamespace(dataset=SimpleNamespace(sources=sources, classes=range(classes)))
    )
    counts = {}
    for run in runs:
        assert isinstance(run.config.model, FeedforwardModel)
        if run.config.model.delays != "fixed":  # learned delays are parameters
            counts[run.row.name] = build_model(run.config, splits, torch.Generator()).parameter_count()
    assert min(counts.values()) >= least
    assert max(counts.values()) == most
    assert len(counts) == rows - (2 if name == "localisation" else 0)


def test_the_papers_rows_have_the_papers_parameters(tmp_path: Path) -> None:
    expected = {
        "2L-1KC": 705_536,
        "2L-2KC": 1_409_024,
        "3L-1KC": 1_230_848,
        "3L-2KC": 2_458_624,
    }
    for name in ("ssc", "gsc"):
        for run in plan(load_table(name), tmp_path, seeds=1, overrides={}):
            model = run.config.model
            assert isinstance(model, FeedforwardModel)
            if run.row.name in expected:
                taps = round(model.max_delay_ms / 10)
                connection = partial(DelayLinear, synapses_per_pair=model.synapses_per_pair)
                built = feedforward(140, model.hidden, 35, taps, decay=0.3, connection=connection)
                assert built.parameter_count() == expected[run.row.name]
            else:
                assert model.delays == "dense"
            padding = 15 * (len(model.hidden) + 1)
            assert model.tail_ms == 10 * padding


def test_a_recipe_extends_another() -> None:
    base, above = load_values("shd"), load_values("shd-sparse-none")
    assert above["model"] == {**base["model"], "fan_in": 10, "delays": "none", "hidden": [478, 478]}
    assert above["train"] == base["train"]
    assert "extends" not in above


def test_a_recipe_cannot_extend_what_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('extends = "shdd"')
    with pytest.raises(ConfigError, match="extends: 'shdd' is not allowed"):
        load_values(str(file))


def test_the_mean_has_students_interval() -> None:
    values = [0.9377, 0.9410, 0.9301, 0.9388]
    mean = Mean.of(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval()
    assert (mean.value - mean.half, mean.value + mean.half) == pytest.approx((low, high))  # type: ignore[operator]
    assert Mean.of([0.5]).half is None
    assert not Mean.of([0.5]).distinguishable
    assert Mean.of([1.0, 1.2, 1.1]).distinguishable
    assert not Mean.of([1.0, -1.2, 1.1]).distinguishable


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0], [0.9 - 0.8, 0.8 - 0.7, 0.7 - 0.6], [-1, -1, -1], [0.0, 0.0]])
def test_values_without_a_spread_are_not_told_from_0(values: list[float]) -> None:
    assert Mean.of(values).distinguishable is False
    assert not Mean.of(values).half


def result(name: str, accuracy: dict[int, float], against: str | None = None) -> RowResult:
    return RowResult(Row(name=name, recipe="shd", against=against), "honest", accuracy, "test", 100, {}, 1, 1.0)


def test_rows_are_compared_seed_by_seed() -> None:
    a = result("a", {0: 0.80, 1: 0.90, 2: 0.70})
    better = result("b", {0: 0.82, 1: 0.9225, 2: 0.72, 3: 0.1}, "a")
    noisy = result("c", {0: 0.9, 1: 0.8, 2: 0.7}, "a")
    alone = result("d", {0: 0.9}, "a")
    said = list(comparisons([a, better, noisy, alone]))
    numbers = [re.findall(r"[+-]?\d+(?:\.\d+)?", line) for line in said]
    assert (numbers[0], numbers[1][-1], numbers[2]) == (["+2.08", "+1.72", "+2.44", "3"], "3", ["+10.00"])
    assert ["no significant difference" in line for line in said] == [False, True, False]
    assert [line[:11] for line in said] == [f"{name} against a" for name in "bcd"]


def test_the_same_difference_in_every_seed_is_no_evidence() -> None:
    a, b = result("a", {0: 0.7, 1: 0.8}), result("b", {0: 0.8, 1: 0.9}, "a")
    (said,) = comparisons([a, b])
    assert re.findall(r"[+-]?\d+(?:\.\d+)?", said) == ["+10.00", "2"]
    assert "no significant difference" in said


def test_rows_measured_on_different_clips_are_not_compared() -> None:
    a, b = result("a", {0: 0.7, 1: 0.8}), result("b", {0: 0.8, 1: 0.92}, "a")
    (said,) = comparisons([a, replace(b, split="validation")])
    assert "not compared" in said
    assert "points" not in said


def finished(folder: Path, seed: int, value: float, data: dict[str, str] | None, *, tested: bool = True) -> Run:
    """A run of which only the result is there: two speakers, right on ``value`` ± 0.1."""
    config = build_config(load_values("shd"), {"train.seed": seed})
    run = Run(Row(name="a", recipe="shd"), "honest", seed, config, folder / f"seed-{seed}")
    wide = {"low": 0.0, "high": 1.0}
    both = (("10", -0.1), ("11", 0.1))
    speakers = {name: {"value": value + off, **wide, "correct": 1, "clips": 2} for name, off in both}
    over = speaker_interval([value - 0.1, value + 0.1])
    validation = {"value": value, **wide, "correct": 80, "clips": 100, "speakers": speakers, "over_speakers": over}
    accuracy = {"validation": validation}
    if tested:
        accuracy["test"] = {"value": value - 0.2, **wide, "correct": 30, "clips": 50}
    make_folder(run.folder, config_values(config), force=False)
    write_result(run.folder, run_result(accuracy=accuracy, data=data or {}))
    return run


def test_a_run_of_several_trainings_has_diverged_with_one_of_them(small: Callable[..., Config], tmp_path: Path) -> None:
    config = small(data__validation="leave-one-speaker-out", train__weight_lr="1e38", train__epochs="1")
    run = Run(Row(name="all", recipe="shd"), "honest", 0, config, tmp_path / "run")
    assert not run.diverged()
    carry_out([run], Quiet())  # returns
    assert run.diverged()
    assert run.is_finished()
    assert read_diverged(run.folder) is None
    assert len(list(run.folder.glob("*/diverged.json"))) == 1


def test_runs_of_different_data_are_not_averaged(tmp_path: Path) -> None:
    runs = [finished(tmp_path, seed, 0.8, {"dataset": "x", "train": str(seed // 2)}) for seed in range(3)]
    assert len(collect(runs[:2], {})[0].accuracy) == 2
    with pytest.raises(ConfigError) as raised:
        collect(runs, {})
    assert "seed-0" in str(raised.value)
    assert "seed-2" in str(raised.value)
    assert "train clips" in str(raised.value)


def test_results_that_do_not_say_what_their_data_were_are_named(tmp_path: Path) -> None:
    runs = [finished(tmp_path, seed, 0.8, {"dataset": "x"} if seed else None) for seed in range(2)]
    rows = collect(runs, {})
    assert rows[0].unknown_data == [0]
    assert [said for said in remarks(rows) if "a (seed 0)" in said]
    assert list(remarks(collect(runs[1:], {}))) == []


def test_seeds_with_and_without_a_test_file_are_told(tmp_path: Path) -> None:
    runs = [finished(tmp_path, seed, 0.6 + seed / 10, {"dataset": "x"}, tested=seed != 1) for seed in range(3)]
    (row,) = collect(runs, {})
    assert (row.split, row.clips) == ("validation", 100)
    assert row.accuracy == pytest.approx({0: 0.6, 1: 0.7, 2: 0.8})
    (said,) = remarks([row])
    assert re.findall(r"seeds? ([\d, ]*\d)", said) == ["0, 2", "1"]
    (tested,) = collect([runs[0], runs[2]], {})
    assert tested.split == "test"
    assert tested.accuracy == pytest.approx({0: 0.4, 2: 0.6})


def test_the_interval_over_speakers_is_over_their_means_over_seeds(tmp_path: Path) -> None:
    runs = [finished(tmp_path, seed, 0.5 + seed / 10, {"dataset": "x"}, tested=False) for seed in range(3)]
    (row,) = collect(runs, {})
    assert row.over_speakers is not None
    low, high = stats.ttest_1samp([0.5, 0.7], 0).confidence_interval()
    assert row.over_speakers.value == pytest.approx(0.6)
    assert row.over_speakers.speakers == 2
    assert (row.over_speakers.low, row.over_speakers.high) == (max(0.0, low), min(1.0, high))
    assert cells(row)[3] == "0.0 to 100.0 (2)"


def test_a_table_is_not_continued_with_other_data(small: Callable[..., Config], tmp_path: Path) -> None:
    row = Row(name="a", recipe="shd")
    runs = [Run(row, "honest", seed, small(train__epochs="1"), tmp_path / "a" / f"seed-{seed}") for seed in (0, 1)]
    carry_out(runs[:1], Quiet())
    assert find_missing(runs, Quiet()) == {}
    write_small_recording(tmp_path / "data" / "shd_train.h5", 90, 1)  # the same labels, other events
    with pytest.raises(ConfigError, match=r"seed-1 and .*seed-0: their data differ \(recording\)"):
        find_missing(runs, Quiet())


def test_accuracies_of_the_clips_that_chose_the_epoch_are_marked(tmp_path: Path) -> None:
    seen = {0: 0.98, 1: 0.99}
    row = RowResult(Row(name="a", recipe="shd"), "honest", {0: 0.8, 1: 0.82}, "validation", 100, seen, 1, 1.0)
    write_tables("x", [row], tmp_path, "ranvier reproduce x")
    text = (tmp_path / "table.md").read_text()
    assert "\nvalidation: " in text
    assert "| 81.00 ± 12.71 |  | 72.2 to 87.5 | 100 validation | 98.50 ± 6.35 | 2 |" in text
    assert "seen speakers: held-out clips" in text


def test_what_is_not_run_is_not_a_number(table: Path, tmp_path: Path) -> None:
    results = collect(plan(load_table(str(table)), tmp_path, seeds=1, overrides={}), {})
    assert all(not result.accuracy and result.missing is None for result in results)


def test_notations() -> None:
    header, rows = ["model", "ours"], [["a|b, σ", "1 ± 2"], ["c_d", "50%"]]
    assert as_markdown(header, rows).splitlines()[1:3] == ["| --- | ---: |", "| a\\|b, σ | 1 ± 2 |"]
    assert list(csv.reader(as_csv(header, rows).splitlines())) == [header, *rows]
    assert "c\\_d & 50\\% \\\\" in as_latex(header, rows)
    assert "$\\sigma$ & 1 $\\pm$ 2" in as_latex(header, rows)


def test_a_seed_that_diverges_is_told_and_the_others_count(table: Path, tmp_path: Path) -> None:
    fields = ["--set", "train.weight_lr=1e38", "--row", "learned delays"]
    out = tmp_path / "out"
    words = [*command(table, out, *fields)[3:]]
    assert main(words) == 2  # no seed has a figure
    _, learned, _ = timeless(out)
    assert (learned[2], learned[7]) == ("diverged", "0")
    files = list(out.rglob("diverged.json"))
    assert len(files) == 2
    changed = [file.stat().st_mtime_ns for file in files]
    main(words)
    assert [file.stat().st_mtime_ns for file in files] == changed  # nothing is trained again
