"""The clips that a recipe trains on, chooses the epoch on, and is tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ranvier.corpora.corpus import Progress
from ranvier.corpora.splits import Splits
from ranvier.data import DataError
from ranvier.names import name_fault
from ranvier.recipes.config import Config, ConfigError


def build_splits(config: Config, *, progress: Progress = None) -> Splits:
    """Read or make the recipe's data and divide it.

    Raises:
        DataError: the data are not there or are damaged.
        ConfigError: the division asks for what the data do not hold.
    """
    if config.protocol not in config.data.protocols:
        allowed = ", ".join(config.data.protocols)
        raise ConfigError(f"protocol: {config.protocol!r} is not allowed with these data ({allowed})")
    splits = config.data.splits(protocol=config.protocol, progress=progress)
    if (fault := name_fault(splits.train.dataset.classes)) is not None:  # before a training that could not be frozen
        raise DataError(f"classes: {fault}")
    return splits


def check_same_data(
    one: Path, its: Mapping[str, str], other: Path, others: Mapping[str, str], *, only: Sequence[str] = ()
) -> None:
    """Refuse to put results of different data together.

    Args:
        one, other: the runs' folders.
        its, others: fingerprints of their data; one that was written before results had them passes.
        only: what is compared, of ``dataset``, ``train``, ``validation``, ``seen`` and ``test``; all if none is named.

    Raises:
        ConfigError: the data are not the same; both runs are named.
    """
    if not its or not others:
        return
    for name in only or {**its, **others}:
        # a test file may come later; nothing else may be there in one of them only
        late = name == "test" and not (name in its and name in others)
        if its.get(name) != others.get(name) and not late:
            what = "recording" if name == "dataset" else f"{name} clips"
            raise ConfigError(
                f"{one} and {other}: their data differ ({what}), so they are not put together (--out another folder)"
            )
