"""What is imported from ``ranvier`` itself."""

from __future__ import annotations

import ast
import shutil
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import ranvier
from ranvier import recipes
from ranvier.recipes.config import ConfigError
from ranvier.recipes.pretrained import find_run
from tests.test_import import modules_of


def test_a_network_is_read_by_its_name_its_run_and_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = shutil.copytree(find_run("digits"), tmp_path / "run")
    first, *others = [ranvier.load_network(place) for place in ("digits", run, "run", run / "network.safetensors")]
    assert (first.sources, len(first.classes), first.max_delay) == (140, 20, 24)
    for other in others:
        for ours, theirs in zip(first.layers, other.layers, strict=True):
            assert np.array_equal(ours.inputs[0].synapses().delay_steps, theirs.inputs[0].synapses().delay_steps)


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ranvier.load_network(tmp_path / "network.safetensors")
    with pytest.raises(ConfigError):
        ranvier.load_network("digit")
    with pytest.raises(AttributeError):
        ranvier.load_networks  # type: ignore[attr-defined]  # noqa: B018


def test_every_name_is_there_and_none_needs_torch() -> None:
    assert set(ranvier.__all__) <= set(dir(ranvier))
    loaded = modules_of("-c", "import ranvier; [getattr(ranvier, name) for name in ranvier.__all__]")
    assert "ranvier.network.network" in loaded
    assert "torch" not in loaded


@pytest.mark.parametrize("package", [ranvier, recipes])
def test_a_lazy_package_and_its_stub_export_the_same(package: ModuleType) -> None:
    """And each name is what its module defines, whichever modules were imported before."""
    stub = ast.parse(Path(str(package.__file__)).with_suffix(".pyi").read_text(encoding="utf-8"))
    imported = {
        alias.name: (node.module, alias.asname)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {*imported, "__version__"} == {*package.__all__, "__version__"}
    assert set(package.__all__) <= set(dir(package))
    for name, (module, exported) in imported.items():
        assert exported == name
        assert getattr(package, name) is getattr(import_module(str(module)), name)


def test_types_are_shipped() -> None:
    assert (Path(ranvier.__file__).parent / "py.typed").exists()
