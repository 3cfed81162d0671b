"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ranvier.files import write_atomically, write_new, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_block_that_raises_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    file = tmp_path / "table.md"
    write_text(file, "before\n")
    with pytest.raises(UnicodeEncodeError):
        write_text(file, "half \ud800")  # a lone surrogate has no UTF-8
    assert file.read_bytes() == b"before\n"
    assert names(tmp_path) == ["table.md"]


def test_text_is_utf8_with_unix_line_ends_under_any_locale(tmp_path: Path) -> None:
    code = "import sys; from ranvier.files import write_text; write_text(sys.argv[1], '\\u03c3 \\u2192 \\u017c\\n')"
    plain = {**os.environ, "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=True, env=plain)
    assert (tmp_path / "a").read_bytes() == "σ → ż\n".encode()


def test_the_temporary_of_a_killed_process_is_removed_by_the_next_call(tmp_path: Path) -> None:
    file = tmp_path / "a [1]*.h5"
    code = (
        "import os, sys; from ranvier.files import write_atomically\n"
        "with write_atomically(sys.argv[1]) as t: t.write_bytes(b'half'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(file)], check=False).returncode == 9
    assert len(names(tmp_path)) == 1
    with write_atomically(file) as mine:
        mine.write_bytes(b"whole")
        write_text(tmp_path / "other", "")
    assert names(tmp_path) == ["a [1]*.h5", "other"]
    assert file.read_bytes() == b"whole"


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="folder") as refused:
        write_text(tmp_path, "")
    assert refused.value.filename == str(tmp_path)
    with pytest.raises(OSError, match="not a regular file"):
        write_text(os.devnull, "")
    assert not Path(os.devnull).is_file()


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from ranvier.analysis import figures
from ranvier.data import Grid, read_recording
from ranvier.data.frames import write_frames
from ranvier.recipes.checkpoint import save_checkpoint
from ranvier.runs import EpochRow, append_metrics, keep_metrics, write_result
from tests.results import run_result
import torch
folder, which = Path(sys.argv[1]), sys.argv[2]
rows = [{**dict.fromkeys(("mean", "half", "published", "published_half")), "name": "a", "accuracies": []}]
noise = np.random.default_rng(0).random((100, 100))
row = EpochRow(epoch=1, loss=1.0, train_accuracy=0.5, seconds=1.0, delay_moved_ms=tuple(noise.ravel().tolist()))
write = {
    "checkpoint": lambda: save_checkpoint(folder / "checkpoint" / "last.pt", {"a": torch.rand(10_000)}),
    "figure": lambda: figures.save(figures.plot_table("a", rows), folder / "a.png"),
    "metrics": lambda: append_metrics(folder, row),
    "result": lambda: write_result(folder, run_result(notes=tuple(map(str, noise.ravel())))),
    "frames": lambda: write_frames(folder / "a.npy", [noise], steps=100, sources=100),
}[which]
(folder / "checkpoint").mkdir(exist_ok=True)
write()
kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try:
    write()
except OSError as error:
    assert error.filename in [str(path) for path in kept], error
    assert error.errno, error
else:
    raise SystemExit("written beyond the limit")
after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
if which != "metrics":  # whose last line may be cut short
    assert after == kept, sorted(after)
assert after.keys() == kept.keys()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on a file's size there")
@pytest.mark.parametrize("which", ["checkpoint", "figure", "metrics", "result", "frames"])
def test_a_disk_that_takes_no_more_names_the_file_and_keeps_the_old_one(tmp_path: Path, which: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), which], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


ANYWHERE = """
import sys, warnings
warnings.filterwarnings("error", category=EncodingWarning, module=r"ranvier(\\.|$)")
from ranvier.cli import main
sys.exit(main(sys.argv[1:]))
"""
TINY = (
    "--train.epochs", "1", "--data.train-clips", "20", "--data.validation-clips", "10", "--data.test-clips", "10",
    "--compare", "empty",
)  # fmt: skip


@pytest.mark.slow
def test_a_run_is_the_same_under_any_locale(tmp_path: Path) -> None:
    plain = {
        **os.environ,
        "LC_ALL": "POSIX",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONWARNDEFAULTENCODING": "1",
    }
    ours = {**os.environ, "PYTHONUTF8": "1"}
    for name, surroundings in (("plain", plain), ("ours", ours)):
        (tmp_path / name).mkdir()
        for words in (("train", "coincidence", *TINY, "--out", "run"), ("report", "run")):
            done = subprocess.run(
                [sys.executable, "-c", ANYWHERE, *words], cwd=tmp_path / name, env=surroundings, capture_output=True,
                check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr.decode(errors="replace")
    files = [
        sorted(str(path.relative_to(tmp_path / name)) for path in (tmp_path / name).rglob("*"))
        for name in ("plain", "ours")
    ]
    assert files[0] == files[1]
    assert not [name for name in files[0] if name.endswith(".tmp")]
    assert (tmp_path / "plain" / "run" / "config.toml").read_bytes() == (
        tmp_path / "ours" / "run" / "config.toml"
    ).read_bytes()
    (tmp_path / "plain" / "run" / "report.html").read_text(encoding="utf-8")


def test_errors_name_the_file_and_a_full_disk(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "a"
    with pytest.raises(OSError, match="No such file") as missing:
        write_text(file, "")
    assert missing.value.filename == str(file)
    with pytest.raises(OSError, match="full") as full, write_atomically(tmp_path / "a"):
        raise OSError("Can't write data (errno = 28, error message = 'No space left on device')")
    assert (full.value.errno, full.value.filename) == (errno.ENOSPC, str(tmp_path / "a"))


def test_a_new_file_is_made_by_one_process_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a"
    assert write_new(file, "σ\n")
    assert not write_new(file, "other")
    assert file.read_bytes() == "σ\n".encode()

    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links")

    monkeypatch.setattr(os, "link", no_links)
    assert not write_new(file, "other")
    assert write_new(tmp_path / "b", "b")
    assert [(path.name, path.read_text()) for path in sorted(tmp_path.iterdir())] == [("a", "σ\n"), ("b", "b")]
