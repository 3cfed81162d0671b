"""The runs of a table as jobs: the same table, nothing lost and nothing twice where a job is killed."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ranvier.cli import main
from ranvier.recipes.carry_out import TrainJob, carry_out_on
from ranvier.recipes.cluster import Cluster, read_cluster, run_jobs
from ranvier.recipes.reproduce import Run, plan
from ranvier.recipes.tables import load_table
from ranvier.runs import read_metrics

TABLE = """
title = "toy"

[[rows]]
name = "learned delays"
recipe = "coincidence"

[[rows]]
name = "random delays"
recipe = "coincidence"
set = { "model.delays" = "fixed" }
against = "learned delays"
"""
SMALL = {"data.train_clips": 256, "data.validation_clips": 64, "data.test_clips": 64, "train.epochs": 4}
LOCAL = ("--slurm", "cluster=local")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "toy.toml").write_text(TABLE)
    return tmp_path / "toy.toml"


def words(table: Path, out: Path, *more: str) -> list[str]:
    small = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    return ["reproduce", str(table), "--out", str(out), "--seeds", "1", *small, *more]


def runs(table: Path, out: Path) -> list[Run]:
    return plan(load_table(str(table)), out, seeds=1, overrides=SMALL)


def timeless(out: Path) -> list[list[str]]:
    with (out / "table.csv").open() as file:
        return [row[:-1] for row in csv.reader(file)]


def check_whole(table: Path, out: Path) -> None:
    """The table is that of one process, with nothing beside its runs."""
    alone = out.with_name("alone")
    assert main(words(table, alone)) == 0
    assert timeless(out) == timeless(alone)
    for run in runs(table, out):
        assert [row.epoch for row in read_metrics(run.folder)] == [1, 2, 3, 4]
    assert not [*out.glob("**/*.claim-*"), *out.glob("**/*.lock")]


@pytest.mark.slow
def test_a_killed_job_loses_nothing_and_what_was_finished_is_not_run_again(table: Path, tmp_path: Path) -> None:
    out, deadline = tmp_path / "out", time.monotonic() + 100
    command = [sys.executable, "-m", "ranvier", *words(table, out, *LOCAL, "--jobs", "2")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    first = runs(table, out)[0].folder
    while not (claims := list(first.parent.glob("seed-0.claim-*"))) and time.monotonic() < deadline:
        time.sleep(0.01)
    owner = json.loads(claims[0].read_text())
    time.sleep(random.uniform(0, 1.5))
    with suppress(ProcessLookupError):  # it was quick
        os.kill(owner["pid"], signal.SIGKILL)
    said = process.communicate()[1]
    done = {path: path.stat().st_mtime_ns for path in out.glob("*/*/result.json")}
    if first / "result.json" not in done:
        assert process.returncode == 1
        assert f"{first}: job " in said
    assert runs(table, out)[1].is_finished()
    assert main(words(table, out, *LOCAL)) == 0
    assert {path: path.stat().st_mtime_ns for path in done} == done
    check_whole(table, out)


@pytest.mark.slow
@pytest.mark.parametrize("signal_sent", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_goes_on_after_a_table_was_killed(signal_sent: signal.Signals, table: Path, tmp_path: Path) -> None:
    out, deadline = tmp_path / "out", time.monotonic() + 100
    command = [sys.executable, "-m", "ranvier", *words(table, out, "--set", "train.epochs=2000", "--jobs", "2")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folders = [run.folder for run in runs(table, out)]
    while not all(read_metrics(folder) for folder in folders) and time.monotonic() < deadline:
        time.sleep(0.05)
    claims = [next(folder.parent.glob("seed-0.claim-*")) for folder in folders]
    owners = {json.loads(claim.read_text())["pid"] for claim in claims}
    assert len(owners) == 2
    process.send_signal(signal_sent)
    process.wait()
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in owners) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in owners if Path(f"/proc/{pid}/cmdline").exists()]


def test_a_job_that_fails_says_why_and_where_its_log_is(table: Path, tmp_path: Path) -> None:
    told: list[str] = []
    calls = [(json.loads, "[1]"), (json.loads, "[")]
    faults = run_jobs(read_cluster("cluster=local"), tmp_path, calls, at_once=2, notify=told.append)
    assert list(faults) == [1]
    assert "JSONDecodeError" in faults[1]
    assert Path(faults[1].partition("log: ")[2].rstrip(")")).is_file()
    assert len(told) == 1


def test_a_run_of_another_process_is_left_to_it(table: Path, tmp_path: Path) -> None:
    """A job waits for it, and ends without training where it is finished meanwhile."""
    (first, _) = runs(table, tmp_path / "out")
    first.folder.parent.mkdir(parents=True)
    foreign = first.folder.with_name("seed-0.claim-1")
    foreign.write_text(json.dumps({"host": "elsewhere", "pid": 1, "began": "1"}))
    os.utime(foreign, (time.time() - 118,) * 2)  # a heartbeat that is late, and soon too late
    TrainJob()(first, 1)
    assert first.is_finished()
    changed = (first.folder / "result.json").stat().st_mtime_ns
    assert carry_out_on(read_cluster("cluster=local"), [first], tmp_path / "out", notify=pytest.fail) == []
    assert (first.folder / "result.json").stat().st_mtime_ns == changed


SBATCH = """#!{python}
import os, re, subprocess, sys
text = open(sys.argv[-1]).read()
first, last = map(int, re.search(r"--array=(\\d+)-(\\d+)", text).groups())
open("{folder}/asked", "w").write(text)
for number in range(first, last + 1):
    ids = dict(ARRAY_JOB_ID="7", ARRAY_TASK_ID=number, JOB_ID=7 + number, NTASKS="1", JOB_NUM_NODES="1", NODEID="0")
    ids.update(PROCID="0", LOCALID="0", JOB_NODELIST="here")
    env = {{**os.environ, **{{"SLURM_" + name: str(value) for name, value in ids.items()}}}}
    subprocess.Popen(["bash", sys.argv[-1]], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print("Submitted batch job 7")
"""
SRUN = """#!/bin/bash
while [[ "$1" == -* ]]; do [[ "$1" == *=* || "$1" == --unbuffered ]] && shift || shift 2; done
exec "$@"
"""


def test_slurm_is_asked_for_what_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands are replaced by ones that run the jobs here."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in (
        ("sbatch", SBATCH.format(python=sys.executable, folder=tmp_path)), ("srun", SRUN), ("sacct", "#!/bin/sh\n")
    ):  # fmt: skip
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    cluster = read_cluster("partition=gpu,gpus_per_node=1,cpus_per_task=4,timeout_min=90,slurm_account=me,mem_gb=2.5")
    assert cluster.cpus == 4
    calls = [(json.loads, "[1]"), (json.loads, "[2]")]
    assert run_jobs(cluster, tmp_path / "out" / "jobs", calls, at_once=None, notify=lambda _: None) == {}
    asked = set((tmp_path / "asked").read_text().splitlines())
    options = (
        "partition=gpu",
        "gpus-per-node=1",
        "cpus-per-task=4",
        "time=90",
        "account=me",
        "mem=2560MB",
        "array=0-1%2",
    )
    assert {f"#SBATCH --{option}" for option in options} <= asked
    assert not (tmp_path / "out" / "jobs").exists()


def test_a_cluster_without_slurm_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit) as stopped:
        main(["reproduce", "shd", "--slurm", "partition=gpu"])
    assert stopped.value.code == 2
    assert "srun" in capsys.readouterr().err
    assert read_cluster("cluster=local,gpus_per_node=1") == Cluster("local", {"timeout_min": 1440, "gpus_per_node": 1})
