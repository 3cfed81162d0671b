"""``ranvier export`` writes what a target says, and refuses in one line with nothing half-written."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from ranvier import load_network
from ranvier.cli import main
from ranvier.export import c_sizes, targets, to_c
from ranvier.network import Decoding
from ranvier.recipes.pretrained import find_run


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that is refused says: one line, and exit code 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(["export", *arguments])
    assert stopped.value.code == 2
    text = capsys.readouterr()
    assert text.out == ""
    assert text.err.count("\n") == 1
    return text.err


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_c_is_a_folder_and_its_sizes_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "digits", "--to", "c"]) == 0
    network, text = load_network("digits"), capsys.readouterr().out
    assert {file.name: file.read_text() for file in (tmp_path / "digits").iterdir()} == to_c(network, "digits")
    sizes = c_sizes(network)
    assert f"{sizes.flash_bytes:,}" in text
    assert f"{sizes.ram_bytes:,}" in text


def test_a_file_is_named_after_its_run_or_by_out(tmp_path: Path) -> None:
    run = shutil.copytree(find_run("digits"), tmp_path / "runs" / "mine")
    assert main(["export", "runs/mine", "--to", "onnx"]) == 0
    assert main(["export", str(run / "network.safetensors"), "--to", "onnx-clip", "--out", "clip.onnx"]) == 0
    assert onnx.load(tmp_path / "mine.onnx").graph.input[1].name == "hidden_1.current"
    assert len(onnx.load(tmp_path / "clip.onnx").graph.input) == 1
    assert main(["export", "runs/mine", "--to", "onnx-clip"]) == 0  # beside the other, not in its place
    assert len(onnx.load(tmp_path / "mine_clip.onnx").graph.input) == 1
    assert len(onnx.load(tmp_path / "mine.onnx").graph.input) > 1


def test_nothing_is_replaced_without_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "digits.c").write_text("mine")
    (tmp_path / "digits" / "main.c").write_text("mine too")
    (tmp_path / "digits.onnx").write_text("mine")
    assert "--force" in refused(capsys, "digits", "--to", "c")
    assert "--force" in refused(capsys, "digits", "--to", "onnx")
    assert (tmp_path / "digits" / "digits.c").read_text() == (tmp_path / "digits.onnx").read_text() == "mine"
    assert main(["export", "digits", "--to", "c", "--force"]) == 0
    assert main(["export", "digits", "--to", "onnx", "--force"]) == 0
    assert (tmp_path / "digits" / "digits.c").read_text() == to_c(load_network("digits"), "digits")["digits.c"]
    assert (tmp_path / "digits" / "main.c").read_text() == "mine too"
    assert onnx.load(tmp_path / "digits.onnx").ir_version == 8


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    assert main(["export", "digits", "--to", "c", "--out", "net"]) == 0
    assert sorted(file.name for file in (tmp_path / "net").iterdir()) == ["net.c", "net.h"]


def test_what_is_wrong_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ", ".join(targets()) in refused(capsys, "digits", "--to", "fortran")
    assert "digits" in refused(capsys, "digit", "--to", "c")
    assert "--to" in refused(capsys, "digits")
    assert "no such" in refused(capsys, "elsewhere/network.safetensors", "--to", "c")
    assert "nowhere" in refused(capsys, "digits", "--to", "c", "--out", "nowhere/net")
    assert "nowhere" in refused(capsys, "digits", "--to", "onnx", "--out", "nowhere/net.onnx")
    assert "name" in refused(capsys, "digits", "--to", "c", "--out", "___")
    replace(load_network("digits"), decoding=Decoding(3, "per_layer")).write("net.safetensors")
    assert "decoding.tail" in refused(capsys, "net.safetensors", "--to", "onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["net.safetensors"]


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_that_fails_is_not_left_half_written(
    there: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = Path.write_text, []

    def full(path: Path, text: str, **options: str) -> int:
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        return write(path, text, **options)

    if there:
        (tmp_path / "net").mkdir()
    monkeypatch.setattr(Path, "write_text", full)
    assert "full" in refused(capsys, "digits", "--to", "c", "--out", "net")
    assert len(written) == 2
    assert [path.name for path in tmp_path.rglob("*")] == (["net"] if there else [])


def test_help_lists_every_target(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["export", "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for name, target in targets().items():
        assert f"  {name} " in text
        assert target.words in text
