"""Every command in README and the documentation runs, scaled down, on small stand-ins for the recordings it names."""

from __future__ import annotations

import gzip
import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ranvier.cli import _Parser, main
from ranvier.cli.options import train_options
from ranvier.corpora.digits import Digits, read_digits, write_digits
from ranvier.corpora.published import Recording
from ranvier.corpora.shd import SHD
from ranvier.data import write_clips
from ranvier.recipes.config import build_config
from ranvier.recipes.recipe_files import load_values
from tests.corpora.server import serving
from tests.documents import PAGES, commands

TEXT = "\n".join(PAGES.values())
SMALL_NETWORK = "--train.device cpu --train.epochs 1 --train.batch-size 32 --model.hidden 12"
SMALL_TABLE = "--seeds 1 --set train.epochs=1 --set train.batch_size=32 --set model.hidden=12"
SMALL_SWEEP = "--set train.epochs=1 --set train.batch_size=32"
FEW_CLIPS = "--set data.train_clips=32 --set data.validation_clips=16 --set data.test_clips=16"
ONE_ROW = "--row 'ten synapses, learned, shrinking σ'"

# What makes a command small, or complete where the text names only its first words; later options win. By the words
# that a command begins with, the longest first. A command without a row here fails.
CASES = {
    "train": f"{SMALL_NETWORK} --data.file digits-small.npz.xz",
    "train --resume": "",
    "train --train.rewire": f"{SMALL_NETWORK} --data.file digits-small.npz.xz --train.rewire-steps 1",
    "train digits --train.init-from digits": "--train.device cpu --train.epochs 1",
    "train --tracker": f"{SMALL_NETWORK} --data.file digits-small.npz.xz --out runs/tracked",
    "train coincidence": "--train.epochs 1 --data.train-clips 32 --data.validation-clips 16 --data.test-clips 16",
    "train shd": SMALL_NETWORK,
    "train shd-sparse": SMALL_NETWORK,
    "train shd-published": SMALL_NETWORK,
    "train ssc-published": SMALL_NETWORK,
    "train gsc-published": SMALL_NETWORK,
    "train fsdd": SMALL_NETWORK,
    "train folder": SMALL_NETWORK,
    "train folder --data-root FOLDER --data.camera": SMALL_NETWORK,
    "eval": "",
    "watch": "",
    "probe": "",
    "run": "",
    "report": "",
    "export": "--force",
    "quantize": "",
    "cost": "--clips 5",
    "ls": "",
    "cp": "",
    "bench step": "--hidden 8 --max-delay 5 --time 12 --batch 4 --repeats 1",
    "encode": "",
    "encode FOLDER --out spikes.h5 --slurm": "--slurm cluster=local --shards 2 --jobs 2",
    "data cache": "",
    "data check": "",
    "data join": "",
    "data fetch": "",
    "data make-shd": "",
    "reproduce": f"{SMALL_TABLE} --row 2L-1KC",
    "reproduce shd": SMALL_TABLE,
    "reproduce shd --data-root FOLDER --seeds 10 --slurm": f"--row 2L-1KC {SMALL_TABLE} --slurm cluster=local",
    "reproduce ablation": f"{SMALL_TABLE} {ONE_ROW}",
    "reproduce delays": f"{SMALL_TABLE} --jobs 1 --row 'LIF, no delays' --set data.validation_speakers=10,11",
    "reproduce localisation": f"{SMALL_TABLE} {FEW_CLIPS} --row 'undelayed recurrence'",
    "reproduce precision": f"{SMALL_TABLE} --set data.file=digits-small.npz.xz",
    "reproduce motion": f"{SMALL_TABLE} {FEW_CLIPS} --row 'no delays' --set model.hidden=2 --set data.size=10",
    "sweep digits": f"--trials 1 {SMALL_SWEEP} --set model.hidden=12 --set data.file=digits-small.npz.xz",
    "sweep RECIPE": f"--trials 1 {SMALL_SWEEP} --set data.train_clips=32 --set data.validation_clips=16",
}
# Commands that the text names without the words that they need.
COMPLETE = {
    "ranvier probe": "RUN",
    "ranvier data fetch": "shd",
    "ranvier quantize --weight-bits 4": "digits",
    "ranvier data make-shd AUDIO": "--out made",
    "ranvier reproduce": "shd --data-root FOLDER",
    "ranvier reproduce TABLE": "--data-root FOLDER",
    "ranvier train shd-sparse": "--data-root FOLDER",
}
PLACEHOLDERS = {
    "NAME": "theo", "RUN": "runs/digits", "OTHER": "runs/coincidence", "START": "runs/digits", "SHARE": "0.5",
    "FSDD": "sounds", "AUDIO": "audio", "TABLE": "shd", "NETWORK": "digits", "TARGET": "c",
    "RECIPE": "coincidence", "N": "1", "FIELD=RANGE": "train.weight_lr=log:1e-4:1e-2",
    "one.wav": "sounds/0_theo_0.wav",
    "two.wav": "sounds/1_ann_5.wav",
}  # fmt: skip
# What FOLDER is, elsewhere than for commands that take sound.
FOLDERS = {
    "train shd": "data/shd", "train shd-sparse": "data/shd", "train shd-published": "data/published",
    "train gsc-published": "words", "train folder --data-root FOLDER --data.camera": "camera",
    "reproduce": "data/shd", "reproduce shd": "data/shd",
    "reproduce ablation": "data/shd", "reproduce delays": "data/shd",
    "reproduce shd --data-root FOLDER --seeds 10 --slurm": "data/shd",
}  # fmt: skip


def case(command: str) -> str | None:
    """The row of ``CASES`` that a command belongs to."""
    words = command.split()[1:]
    fits = [name for name in CASES if words[: len(name.split())] == name.split()]
    return max(fits, key=len, default=None)


def arguments(command: str) -> list[str]:
    """What is run in its place."""
    name = case(command)
    assert name is not None
    words = shlex.split(f"{command} {COMPLETE.get(command, '')}")[1:]
    placeholders = {**PLACEHOLDERS, "FOLDER": FOLDERS.get(name, "sounds")}
    more = shlex.split(CASES[name])
    return [placeholders.get(word, word) for word in words] + more


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with all that the commands name, and nothing of the network or of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "cache"))
    for folder in ("home", "sounds", "audio", "data/shd", "data/ssc", "data/published", "words/yes", "words/no"):
        (tmp_path / folder).mkdir(parents=True)
    generator = np.random.default_rng(0)
    names = [f"sounds/{n}_{who}_{take}.wav" for n in (0, 1) for who in ("theo", "ann", "bob") for take in (0, 5, 6)]
    names += [f"audio/lang-english_speaker-{who}_trial-0_digit-{n}.flac" for n in (0, 1) for who in ("00", "01", "05")]
    names += [
        f"words/{word}/{who * 8}_nohash_{take}.wav" for word in ("yes", "no") for who in "abcd" for take in (0, 1)
    ]
    for split, who in (("validation", "c"), ("testing", "d")):
        listed = [f"{word}/{who * 8}_nohash_0.wav" for word in ("yes", "no")]
        (tmp_path / "words" / f"{split}_list.txt").write_text("\n".join(listed), encoding="utf-8")
    for name in names:
        soundfile.write(name, generator.standard_normal(4_000) / 10, 8_000)
    published = [f"data/published/shd_{split}.h5" for split in ("train", "test")]
    published += [f"data/ssc/ssc_{split}.h5" for split in ("train", "valid", "test")]
    for label in ("left", "right"):
        (tmp_path / "camera" / label).mkdir(parents=True)
        for clip in range(10):
            t, x, y, p = generator.integers(0, [[200_000], [346], [260], [2]], (4, 50))
            np.savez(tmp_path / "camera" / label / f"{clip}.npz", t=t, x=x, y=y, p=p)
    for name in ("more.h5", "one.h5", "data/shd/shd_train.h5", *published):
        recording(tmp_path / name)
    small_digits(tmp_path / "digits-small.npz.xz")
    with serving() as served:
        content = recording(tmp_path / "served.h5").read_bytes()
        source = served.offer("shd_train.h5.gz", gzip.compress(content))
        monkeypatch.setattr(SHD, "published", (Recording("shd_train", 40, (source,)),))
        yield tmp_path


def recording(path: Path) -> Path:
    """Of SHD's form: two words by five speakers, two of whom recipes hold out."""
    generator = np.random.default_rng(1)
    clips = [(np.sort(generator.random(30)) * 0.2, generator.integers(0, 700, 30)) for _ in range(40)]
    speakers = np.array([0, 1, 2, 10, 11])[np.arange(40) // 2 % 5]
    write_clips(path, clips, np.arange(40) % 2, classes=("zero", "one"), speakers=speakers)
    return path


def small_digits(path: Path) -> None:
    """A few of the package's clips: two voices to learn from, one to choose on, one to test on."""
    whole = read_digits()
    voices = [np.unique(whole.voices[whole.splits == split])[:most] for split, most in enumerate((2, 1, 1))]
    chosen = np.flatnonzero(np.isin(whole.voices, np.concatenate(voices)))
    ends = np.cumsum(whole.lengths)
    counts = np.concatenate([whole.counts[ends[clip] - whole.lengths[clip] : ends[clip]] for clip in chosen])
    write_digits(
        Digits(
            counts=counts,
            lengths=whole.lengths[chosen],
            labels=whole.labels[chosen],
            voices=whole.voices[chosen],
            splits=whole.splits[chosen],
            names=whole.names,
        ),
        path,
    )


@contextmanager
def standard_input(file: Path) -> Iterator[None]:
    """What a microphone would give to a command that follows it."""
    before = os.dup(0)
    with file.open("rb") as sound:
        os.dup2(sound.fileno(), 0)
    try:
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)


def failure(command: str) -> str | None:
    """Why a command did not run, or None."""
    words = arguments(command)
    if "--out" in words and (out := Path(words[words.index("--out") + 1])).is_file():
        out.unlink()  # commands of several sections write the same file
    if words[:2] == ["data", "fetch"]:
        shutil.rmtree("data/shd")  # it would be kept
    try:
        with standard_input(Path("words/yes/aaaaaaaa_nohash_0.wav")):
            code = main(words)
    except SystemExit as stopped:
        code = int(str(stopped.code))
    return None if code == 0 else f"{command} (run as: {shlex.join(words)}) ended with {code}"


def test_every_command_has_a_case_and_every_case_a_command() -> None:
    found = commands(TEXT)
    assert [command for command in found if case(command) is None] == []
    assert set(CASES) == {case(command) for command in found}
    assert set(COMPLETE) <= set(found)


TRAININGS = [c for c in commands(TEXT) if c.split()[1] == "train" and ".toml" not in c and "--help" not in c]


@pytest.mark.parametrize("command", TRAININGS)
def test_a_training_can_be_read_as_it_stands(command: str) -> None:
    words = [PLACEHOLDERS.get(word, word) for word in shlex.split(command)[2:]]
    recipe = words.pop(0) if words and not words[0].startswith("-") else "digits"
    values = load_values(recipe)
    _, overrides = train_options(_Parser, recipe, values).parse(words)
    assert build_config(values, overrides).name == recipe


@pytest.mark.slow
def test_every_command_runs_to_its_end(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failures = []
    done: set[tuple[str, ...]] = set()
    for command in commands(TEXT):
        if (words := tuple(arguments(command))) in done:
            continue  # it differs only in its placeholders
        done.add(words)
        if (why := failure(command)) is not None:
            failures.append(f"{why}: {capsys.readouterr().err.splitlines()[-1]}")
        capsys.readouterr()
    assert failures == []
    assert {"digits", "digits-2"} <= {path.name for path in (work / "runs").iterdir()}
    assert (work / "runs" / "folder" / "test.h5").exists()


@pytest.mark.parametrize(
    "command",
    [
        "ranvier trian",
        "ranvier train shdd",
        "ranvier train --train.epoch 8",
        "ranvier bench stepp",
        "ranvier data chek x",
    ],
)
def test_a_command_that_does_not_exist_would_be_found(work: Path, command: str) -> None:
    assert case(command) is None or failure(command) is not None
