"""The folder of a run: made once, never half-written, never taken from somebody else."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tomli_w

from ranvier.data.lock import file_lock
from ranvier.files import write_text
from ranvier.recipes.config import Config, ConfigError, build_config
from ranvier.recipes.run_values import check_result, check_whole, parse_json

_MOST_TEXT = 1000  # of a message about what a damaged file holds


class BusyError(ConfigError):
    """Another process is training in the folder."""


def free_folder(name: str) -> Path:
    """``runs/name``, or the first of ``runs/name-2``, ``-3`` ... that is free."""
    candidates = (Path("runs") / (name if number == 1 else f"{name}-{number}") for number in count(1))
    return next(folder for folder in candidates if not folder.exists())


def check_folder(folder: Path, *, force: bool) -> None:
    """Refuse a folder that cannot become a run's, before any work is done.

    Raises:
        ConfigError: it exists (without ``force``), is not a run's (with it), or cannot be written.
    """
    if folder.exists():
        if folder.is_symlink() or not folder.is_dir():
            raise ConfigError(f"{folder}: a file or link of that name is in the way")
        if any(folder.iterdir()):
            try:
                read_config(folder)
            except ConfigError as error:
                raise ConfigError(f"{folder}: holds no run, so --force does not replace it ({error})") from None
        if not force:
            raise ConfigError(f"{folder}: exists already (--force replaces it, --resume {folder} continues a run)")
    parent = folder.absolute()
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise ConfigError(f"{folder}: {parent} is not a folder")
    if not os.access(parent, os.W_OK):
        raise ConfigError(f"{folder}: {parent} cannot be written to")


def make_folder(folder: Path, config: Config, *, force: bool) -> None:
    """Make the run's folder with its resolved ``config.toml``, replacing an older run if ``force``.

    Raises:
        ConfigError: see :func:`check_folder`.
    """
    check_folder(folder, force=force)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # made under another name: a run's folder is never without its configuration, so it can always be continued
        with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent, ignore_cleanup_errors=True) as made:
            _write_config(Path(made), config)
            Path(made).chmod(0o755)
            if force and folder.exists():
                shutil.rmtree(folder)
            Path(made).replace(folder)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made ({error.strerror or error})") from None


def _write_config(folder: Path, config: Config) -> None:
    write_text(folder / "config.toml", tomli_w.dumps(config.model_dump(mode="json", exclude_none=True)))


def move_data(folder: Path, data_root: Path) -> None:
    """Note in a run, and in its parts, where its data are now."""
    for file in (folder / "config.toml", *folder.glob("*/config.toml")):
        _write_config(file.parent, read_config(file.parent, data_root))


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """No other process trains in this run's folder meanwhile; one that was killed does not count.

    A folder that cannot be written to needs no lock: a finished run in it can be read.

    Raises:
        BusyError: another process is training in it.
        NoLockError: its file system has no locks.
    """
    with ExitStack() as held:
        try:
            held.enter_context(file_lock(folder / "training.lock", wait=False))
        except BlockingIOError:
            raise BusyError(f"{folder}: another process is training it (ranvier watch {folder} follows)") from None
        except OSError as error:
            if error.errno != errno.EROFS and os.access(folder, os.W_OK):
                raise
        yield


def read_config(folder: Path, data_root: Path | None = None) -> Config:
    """The resolved configuration of a run.

    Args:
        folder: of the run.
        data_root: where its data are now; None means where they were.

    Raises:
        ConfigError: the folder is not a run's, or its configuration is damaged.
    """
    file = folder / "config.toml"
    if not file.is_file():
        raise ConfigError(f"{folder}: is not a run's folder (no config.toml)")
    try:
        moved = {} if data_root is None else {"data.root": str(data_root)}
        return build_config(tomllib.loads(file.read_text(encoding="utf-8")), moved)
    except (ValueError, ArithmeticError, RecursionError) as error:  # TOML's, Unicode's and ours are ValueErrors
        raise ConfigError(f"{file}: {str(error)[:_MOST_TEXT]}") from None


def read_result(folder: Path, *, whole: bool = False) -> dict[str, Any] | None:
    """``result.json`` of a run, or None while it is not finished.

    Args:
        folder: of the run.
        whole: everything that a training writes has to be there.

    Raises:
        ConfigError: the file is damaged.
    """
    file = folder / "result.json"
    if not file.exists():
        return None
    try:
        result = check_result(parse_json(file.read_text("utf-8")))
        if whole:
            check_whole(result)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: not a result ({error}); without the file --resume makes it again") from None
    return result


def write_result(folder: Path, result: dict[str, Any]) -> None:
    """Write ``result.json``."""
    write_text(folder / "result.json", json.dumps(result, indent=2) + "\n")


def load_or_run(folder: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The folder's result if it is there, else that of ``work``, kept."""
    result = read_result(folder, whole=True)
    if result is None:
        result = work()
        write_result(folder, result)
    return result
