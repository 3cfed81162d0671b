"""The configuration of a run, read from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ranvier.recipes.config import Config, ConfigError, build_config
from ranvier.runs import read_values, write_values

_MOST_TEXT = 1000  # of a message about what a damaged file holds


_RENAMED = {  # until 2026-11
    "model": {"branches": "synapses_per_pair", "incoming": "fan_in"},
    "train": {"start": "init_from", "start_share": "init_interpolation"},
}


def upgrade_values(values: dict[str, Any]) -> dict[str, Any]:
    """Values of a configuration that an earlier version wrote, under the names of today."""
    upgraded = dict(values)
    for section, names in _RENAMED.items():
        fields = values.get(section)
        if isinstance(fields, dict):
            upgraded[section] = {names.get(name, name): value for name, value in fields.items()}
    model = upgraded.get("model")
    if isinstance(model, dict) and model.get("delays") == "every":
        model["delays"] = "dense"
    if isinstance(model, dict) and model.get("delays") == "none":  # had no effect and is refused today
        model.pop("delay_bits", None)
    return upgraded


def config_values(config: Config) -> dict[str, Any]:
    """As ``config.toml`` holds them."""
    return config.model_dump(mode="json", exclude_none=True)


def read_config(folder: Path, data_root: Path | None = None) -> Config:
    """The resolved configuration of a run.

    Args:
        folder: of the run.
        data_root: where its data are now; None means where they were.

    Raises:
        RunError, ConfigError: the folder is not a run's, or its configuration is damaged.
    """
    values = upgrade_values(read_values(folder))
    try:
        return build_config(values, {} if data_root is None else {"data.root": str(data_root)})
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise ConfigError(f"{folder / 'config.toml'}: {str(error)[:_MOST_TEXT]}") from None


def move_data(folder: Path, data_root: Path) -> None:
    """Note in a run, and in its parts, where its data are now."""
    for file in (folder / "config.toml", *folder.glob("*/config.toml")):
        write_values(file.parent, config_values(read_config(file.parent, data_root)))
