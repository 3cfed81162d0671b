"""Sound encoded in parts gives the bytes of one call, and parts that do not belong together are refused by name."""

from __future__ import annotations

import os
import signal
import time
import zipfile
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import soundfile

from ranvier.audio.ear import Ear
from ranvier.audio.encode import encode
from ranvier.audio.naming import Naming
from ranvier.audio.shards import ShardResult, encode_shard, join_shards, shard_file
from ranvier.cli import main
from ranvier.data import DataError

EAR = Ear(channels=8)
NAMING = Naming(None, r"/([ab])_")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ear")


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Two words of three clips, a folder where none can be encoded, and what is skipped."""
    for word in ("no", "yes"):
        for number in range(3):
            path = tmp_path / "sounds" / word / f"{'ab'[number % 2]}_{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            samples = np.random.default_rng(number + 10 * (word == "yes")).standard_normal(800) / 10
            soundfile.write(path, samples, 16_000)
    for name in ("maybe/a_0.wav", "no/a_9.wav"):
        (tmp_path / "sounds" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "sounds" / name).write_text("no sound")
    (tmp_path / "sounds" / "notes.txt").write_text("no sound at all")
    return tmp_path / "sounds"


def shards(sounds: Path, out: Path, of: int, cache: Path) -> list[ShardResult]:
    return [encode_shard([sounds], out, n, of, ear=EAR, naming=NAMING, cache=cache) for n in range(1, of + 1)]


@pytest.mark.parametrize("of", [1, 2, 3, 11])
def test_all_shards_give_the_bytes_of_one_call(of: int, sounds: Path, tmp_path: Path, cache: Path) -> None:
    whole, out = tmp_path / "whole.h5", tmp_path / "out.h5"
    one = encode([sounds], whole, ear=EAR, naming=NAMING, cache=cache)
    made = shards(sounds, out, of, cache)
    assert sum(shard.files for shard in made) == 8
    assert sum(shard.clips for shard in made) == 6
    assert max(shard.files for shard in made) <= 8 // of + 1
    joined = join_shards([shard.file for shard in reversed(made)], out)
    assert out.read_bytes() == whole.read_bytes()
    assert (joined.clips, joined.classes, joined.speakers) == (6, ("no", "yes"), ("a", "b"))
    assert (joined.left_out, joined.notes, joined.naming) == (one.left_out, one.notes, one.naming)
    assert not [*tmp_path.glob("*.part"), *tmp_path.glob("*.lock")]


def test_shards_that_do_not_belong_together_are_refused_by_name(sounds: Path, tmp_path: Path, cache: Path) -> None:
    out = tmp_path / "out.h5"
    one, two, three = (shard.file for shard in shards(sounds, out, 3, cache))
    with pytest.raises(DataError, match=r"out\.2-of-3\.shard: is missing \(all 3 shards\)"):
        join_shards([one, three], out)
    again = two.rename(two.with_name("copy.shard"))
    two.write_bytes(again.read_bytes())
    with pytest.raises(DataError, match=r"copy\.shard: is shard 2 of 3 as .*out\.2-of-3\.shard is"):
        join_shards([one, two, again, three], out)
    encode_shard([sounds], out, 2, 3, ear=EAR, seed=1, naming=NAMING, cache=cache, force=True)
    with pytest.raises(DataError, match=r"out\.2-of-3\.shard: its seed is 1, .*out\.1-of-3\.shard's is 0"):
        join_shards([one, two, three], out)
    encode_shard([sounds], out, 2, 3, ear=Ear(channels=9), naming=NAMING, cache=cache, force=True)
    with pytest.raises(DataError, match=r"out\.2-of-3\.shard: its ear is .*'channels': 9"):
        join_shards([one, two, three], out)
    encode_shard([sounds], out, 2, 2, ear=EAR, naming=NAMING, cache=cache)
    with pytest.raises(DataError, match=r"out\.2-of-2\.shard: its of is 2, .* is 3"):
        join_shards([one, shard_file(out, 2, 2), three], out)
    soundfile.write(sounds / "no" / "b_7.wav", np.random.default_rng(7).standard_normal(800) / 10, 16_000)
    encode_shard([sounds], out, 2, 3, ear=EAR, naming=NAMING, cache=cache, force=True)
    with pytest.raises(DataError, match=r"out\.2-of-3\.shard: its files is 9 .* is 8 "):
        join_shards([one, two, three], out)
    assert not out.exists()


def test_a_shard_is_kept_and_one_of_other_settings_refused(sounds: Path, tmp_path: Path, cache: Path) -> None:
    out = tmp_path / "out.h5"
    made = encode_shard([sounds], out, 1, 2, ear=EAR, cache=cache)
    changed = made.file.stat().st_mtime_ns
    assert encode_shard([sounds], out, 1, 2, ear=EAR, cache=cache) == made
    assert made.file.stat().st_mtime_ns == changed
    with pytest.raises(DataError, match=r"out\.1-of-2\.shard: its seed is 0, this call's is 2"):
        encode_shard([sounds], out, 1, 2, ear=EAR, seed=2, cache=cache)
    with pytest.raises(DataError, match="shard: 3 of 2"):
        encode_shard([sounds], out, 3, 2, ear=EAR, cache=cache)


def test_damaged_shards_are_refused(sounds: Path, tmp_path: Path, cache: Path) -> None:
    out = tmp_path / "out.h5"
    file = shards(sounds, out, 1, cache)[0].file
    content = file.read_bytes()
    at = content.index(b"times.npy") + 200
    for damaged, message in (
        (content[: len(content) // 2], "is not a shard"),
        (b"", "is not a shard"),
        (content[:at] + bytes(9) + content[at + 9 :], "is damaged"),
    ):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=rf"out\.1-of-1\.shard: {message}"):
            join_shards([file], out)
    with zipfile.ZipFile(file, "w") as whole:
        whole.writestr("about.json", "[1]")
    with pytest.raises(DataError, match="is not a shard"):
        join_shards([file], out)
    with pytest.raises(DataError, match="no such file"):
        join_shards([tmp_path / "none.shard"], out)
    assert not out.exists()


def test_the_commands_for_shards(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANVIER_CACHE", str(cache))
    words = ["encode", "sounds", "--channels", "8", "--speaker-pattern", "/([ab])_", "--out"]
    assert main([*words, "whole.h5"]) == 0
    for number in (1, 2):
        assert main([*words, "out.h5", "--shard", f"{number}/2"]) == 0
    assert "ranvier data join out.*-of-2.shard --out out.h5" in capsys.readouterr().out
    assert main(["data", "join", "out.2-of-2.shard", "out.1-of-2.shard", "--out", "out.h5"]) == 0
    assert Path("out.h5").read_bytes() == Path("whole.h5").read_bytes()
    for more, message in (
        (["--shard", "3/2"], "part of the files"),
        (["--shard", "2"], "part of the files"),
        (["--shards", "2"], "--shards: is not allowed without --slurm"),
        (["--shard", "1/2", "--slurm", "cluster=local"], "--shard: is not allowed with --slurm"),
        (["--slurm", "cluster=here"], "--slurm cluster=here: is not allowed (slurm, local)"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main([*words, "other.h5", *more])
        assert stopped.value.code == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
    assert not list(tmp_path.glob("other*"))


@pytest.mark.slow
def test_jobs_give_the_bytes_of_one_call_also_where_one_is_killed(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], cache: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANVIER_CACHE", str(cache))
    words = ["encode", "sounds", "--channels", "8", "--speaker-pattern", "/([ab])_", "--out"]
    assert main([*words, "whole.h5"]) == 0
    jobs = [*words, "out.h5", "--slurm", "cluster=local", "--shards", "2", "--jobs", "2"]

    def kill_one() -> None:
        """The first process that encodes in a job."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for place in Path("/proc").glob("[0-9]*/environ"):
                try:
                    known, command = place.read_bytes(), place.with_name("cmdline").read_bytes()
                except OSError:
                    continue
                if b"submitit.core._submit" in command and f"PWD={tmp_path}".encode() in known:
                    os.kill(int(place.parent.name), signal.SIGKILL)
                    return
            time.sleep(0.01)

    monkeypatch.setenv("PWD", str(tmp_path))
    killer = Thread(target=kill_one)
    killer.start()
    assert main(jobs) == 1
    killer.join()
    assert not Path("out.h5").exists()
    assert len(list(tmp_path.glob("out.*.shard"))) == 1
    assert "jobs ended before" in capfd.readouterr().err
    assert main(jobs) == 0
    assert Path("out.h5").read_bytes() == Path("whole.h5").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.h5", "out.h5.jobs", "sounds", "whole.h5"]
    assert "1 jobs (local)" in capfd.readouterr().err
