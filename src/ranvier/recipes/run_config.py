"""The configuration of a run, read from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ranvier.recipes.config import Config, ConfigError, build_config
from ranvier.runs import read_values, write_values

_MOST_TEXT = 1000  # of a message about what a damaged file holds


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
    values = read_values(folder)
    try:
        return build_config(values, {} if data_root is None else {"data.root": str(data_root)})
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise ConfigError(f"{folder / 'config.toml'}: {str(error)[:_MOST_TEXT]}") from None


def move_data(folder: Path, data_root: Path) -> None:
    """Note in a run, and in its parts, where its data are now."""
    for file in (folder / "config.toml", *folder.glob("*/config.toml")):
        write_values(file.parent, config_values(read_config(file.parent, data_root)))
