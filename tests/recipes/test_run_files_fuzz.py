"""Thousands of damaged files of a run's folder: each is read or refused, soon and in little memory."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from ranvier.analysis.report import render
from ranvier.cli.show import show_result
from ranvier.cli.watch import show_state
from ranvier.errors import RuleError
from ranvier.network import NetworkError
from ranvier.recipes.checkpoint import checkpoint_file, load_checkpoint, save_checkpoint
from ranvier.recipes.config import ConfigError, build_config
from ranvier.recipes.progress import run_state
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.report import OWN, read_run
from ranvier.recipes.run_config import read_config
from ranvier.recipes.splits import build_splits
from ranvier.recipes.train_run import train
from ranvier.recipes.training import Training
from ranvier.runs import read_metrics, read_record, read_result
from tests.fuzzing import SHARE, changed_fields, damaged, fuzz, in_own_process, json_text
from tests.recipes.conftest import SMALL, Quiet, write_small_recording

REFUSED = (RuleError, NetworkError)
ALL = {"config.toml": 600, "result.json": 1000, "metrics.jsonl": 1000, "observed.npz": 600, "last.pt": 500}
FILES = {name: round(files * SHARE) for name, files in ALL.items()}
USED = 20  # of those that are read, go through report, watch and the tables as well: these are slower


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a recording and ``run``, a training of two epochs on it."""
    work = tmp_path_factory.mktemp("trained")
    write_small_recording(work / "shd_train.h5", 30, 0)
    overrides = {**SMALL, "data.root": str(work), "train.epochs": "2"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RANVIER_CACHE", str(work / "cache"))
        train(build_config(load_values("shd"), overrides), work / "run", Quiet())
    return work


class Reader:
    """Reads a run's folder as the commands do."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.used = folder, 0

    def small(self, name: str) -> None:
        """One file, and now and then the whole folder."""
        readers: dict[str, Callable[[Path], object]] = {"config.toml": read_config, "metrics.jsonl": read_metrics}
        readers.get(name, read_result)(self.folder)
        if self.used < USED:
            self.used += 1
            self.everything()

    def everything(self) -> None:
        from rich.console import Console

        console = Console(file=io.StringIO())
        console.print(show_state(run_state(self.folder), console))
        render([read_run(self.folder, "run")])
        if (result := read_result(self.folder)) is not None:
            show_result(result, self.folder)

    def observed(self) -> None:
        """Damage is not told: what is not sound is made anew."""
        if read_record(self.folder, OWN) is None:
            raise ConfigError("made anew")
        render([read_run(self.folder, "run")])


def npz(parts: dict[str, bytes], generator: np.random.Generator) -> bytes:
    """A sound archive of parts, one of which is not as it was."""
    parts = dict(parts)
    name = sorted(parts)[generator.integers(len(parts))]
    kind = generator.integers(4)
    if kind == 0:
        del parts[name]
    elif kind == 1:
        parts[name] = damaged(parts[name], generator)
    elif kind == 2:  # a declared size that nothing holds
        header = (
            b"\x93NUMPY\x01\x00v\x00"
            + (
                b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d,), }" % 10 ** int(generator.integers(3, 20))
            ).ljust(117)
            + b"\n"
        )
        parts[name] = header + b"\0" * 64
    else:
        about = json.loads(str(np.load(io.BytesIO(parts["about.npy"]))))
        kept = {key: about[key] for key in ("version", "network", "data")}
        held = io.BytesIO()
        np.save(held, np.array(json_text({**changed_fields(about, generator), **kept}, generator)))
        parts["about.npy"] = held.getvalue()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, content in parts.items():
            archive.writestr(each, content)
    return made.getvalue()


def toml_fields(values: dict[str, Any], generator: np.random.Generator) -> bytes:
    try:
        return tomli_w.dumps(changed_fields(values, generator)).encode()
    except (TypeError, ValueError):  # None and the like are nothing that TOML has
        return damaged(tomli_w.dumps(values).encode(), generator)


def fuzz_run(trained: str, where: str, name: str) -> None:
    os.environ["RANVIER_CACHE"] = str(Path(trained) / "cache")
    folder = Path(shutil.copytree(Path(trained) / "run", Path(where) / "run"))
    reader = Reader(folder)
    reader.everything()
    file = checkpoint_file(folder) if name == "last.pt" else folder / name
    raw = file.read_bytes()
    if name == "last.pt":
        config = read_config(folder)
        state, splits = load_checkpoint(file), build_splits(config)
        assert state is not None
        training = Training(config, splits)

        def checkpoint(generator: np.random.Generator) -> bytes:
            if generator.integers(2):
                return damaged(raw, generator)
            save_checkpoint(file, changed_fields(state, generator))
            return file.read_bytes()

        def load() -> None:
            saved = load_checkpoint(file)
            assert saved is not None
            try:
                training.load_state(saved)
            except (LookupError, TypeError, ValueError, RuntimeError, AttributeError, ArithmeticError) as error:
                raise ConfigError(f"cannot be continued {error}"[:1000]) from None

        return fuzz(file, checkpoint, load, REFUSED, FILES[name])

    archive = zipfile.ZipFile(io.BytesIO(raw)) if name == "observed.npz" else None
    parts = {} if archive is None else {each: archive.read(each) for each in archive.namelist()}
    values = read_config(folder).model_dump(mode="json", exclude_none=True) if name == "config.toml" else {}

    def make(generator: np.random.Generator) -> bytes:
        if not generator.integers(3):
            return damaged(raw, generator)
        if name == "observed.npz":
            return npz(parts, generator)
        if name == "config.toml":
            return toml_fields(values, generator)
        lines = raw.splitlines() if name == "metrics.jsonl" else [raw]
        place = int(generator.integers(len(lines)))
        lines[place] = json_text(changed_fields(json.loads(lines[place]), generator), generator).encode()
        return b"\n".join(lines) + b"\n"

    read = reader.observed if name == "observed.npz" else lambda: reader.small(name)
    return fuzz(file, make, read, REFUSED, FILES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FILES))
def test_a_damaged_file_of_a_run_is_read_or_refused(name: str, trained: Path, tmp_path: Path) -> None:
    counts = in_own_process("tests.recipes.test_run_files_fuzz", "fuzz_run", str(trained), str(tmp_path), name)
    assert sum(counts.values()) == FILES[name]
    assert counts["refused"] > 0.2 * FILES[name]
    assert counts["read"] > 0
