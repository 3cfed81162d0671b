"""Networks that come with the package, trained before, for other trainings to start from (``train.start``)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from ranvier.files import write_atomically
from ranvier.network import Network
from ranvier.recipes.config import Config, ConfigError, build_config
from ranvier.recipes.run_config import read_config
from ranvier.runs import read_result

if TYPE_CHECKING:  # a list of names must not load torch
    from torch import Tensor

_NETWORKS = Path(__file__).with_name("networks")
_HEADER = "ranvier-pretrained"
_ABOUT = ("recipe", "seed", "best_epoch", "git_commit")


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A network that was trained before.

    Attributes:
        summary: what it has learned from, in a line.
        config: its recipe, without the place of its data.
        classes: their names.
        about: where it comes from, for ``result.json``.
        heard: kinds of data that it has learned from, besides voices of its own.
        file: holds its tensors.
    """

    summary: str
    config: Config
    classes: tuple[str, ...]
    about: dict[str, Any]
    heard: tuple[str, ...]
    file: Path

    def model(self) -> dict[str, Tensor]:
        """State of the model, delays not rounded, as ``load_state_dict`` takes it."""
        from safetensors.torch import load_file

        return load_file(self.file)


def pretrained_names() -> tuple[str, ...]:
    """Names that ``train.start`` knows besides the folders of runs."""
    return tuple(sorted(file.stem for file in _NETWORKS.glob("*.safetensors")))


def read_pretrained(name: str) -> Pretrained:
    """One of :func:`pretrained_names`, without its tensors.

    Raises:
        ConfigError: its file is damaged.
    """
    file = _NETWORKS / f"{name}.safetensors"
    try:
        with safe_open(file, framework="numpy") as opened:
            header = json.loads(opened.metadata()[_HEADER])
        about = {"run": name, **header["about"]}
        config, classes, heard = build_config(header["config"]), tuple(header["classes"]), tuple(header["heard"])
        return Pretrained(header["summary"], config, classes, about, heard, file)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError):
        raise ConfigError(f"{file}: is damaged (install Ranvier again)") from None


def write_pretrained(run: Path, file: Path, *, summary: str, heard: Sequence[str] = ()) -> None:
    """Keep the network of a finished run as one file for the package; the place of its data is left out.

    Args:
        run: its folder.
        file: to write.
        summary: what it has learned from, in a line.
        heard: kinds of data (``data.kind``) some of whose clips it has learned from: no run on these may start from it.

    Raises:
        ConfigError: the run is not a single finished training.
    """
    from safetensors.torch import save_file

    from ranvier.recipes.checkpoint import checkpoint_file, load_checkpoint

    config, result, state = read_config(run), read_result(run), load_checkpoint(checkpoint_file(run))
    if result is None or state is None:
        raise ConfigError(f"{run}: is no single finished training (a run's folder with its checkpoint)")
    values = config.model_dump(mode="json", exclude_none=True)
    values["data"].pop("root", None)
    header = {
        "summary": summary,
        "heard": sorted({*heard, *(() if result.init_from is None else result.init_from.trained_on)}),
        "config": values,
        "classes": Network.read(run / "network.safetensors").classes,
        "about": {name: getattr(result, name) for name in _ABOUT},
    }
    with write_atomically(file) as temporary:
        save_file(state["best"]["model"], temporary, {_HEADER: json.dumps(header)})
