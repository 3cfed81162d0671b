"""The folder of a run: made once, never half-written, never taken from somebody else."""

from __future__ import annotations

import errno
import os
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tomli_w

from ranvier.files import write_text
from ranvier.locks import NoLockError, claim, file_lock
from ranvier.runs.versioned import RunError

_SECTIONS = ("data", "model", "train")
_MOST_TEXT = 1000  # of a message about what a damaged file holds


class BusyError(RunError):
    """Another process is training in the folder."""


def free_folder(name: str) -> Path:
    """``runs/name``, or the first of ``runs/name-2``, ``-3`` ... that is free."""
    candidates = (Path("runs") / (name if number == 1 else f"{name}-{number}") for number in count(1))
    return next(folder for folder in candidates if not folder.exists())


def check_folder(folder: Path, *, force: bool) -> None:
    """Refuse a folder that cannot become a run's, before any work is done.

    Raises:
        RunError: it exists (without ``force``), is not a run's (with it), or cannot be written.
    """
    if folder.exists():
        if folder.is_symlink() or not folder.is_dir():
            raise RunError(f"{folder}: a file or link of that name is in the way")
        if any(folder.iterdir()):
            try:
                _check_run(folder)
            except RunError as error:
                raise RunError(f"{folder}: holds no run, so --force does not replace it ({error})") from None
        if not force:
            raise RunError(f"{folder}: exists already (--force replaces it, --resume {folder} continues a run)")
    parent = folder.absolute()
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise RunError(f"{folder}: {parent} is not a folder")
    if not os.access(parent, os.W_OK):
        raise RunError(f"{folder}: {parent} cannot be written to")


def _check_run(folder: Path) -> None:
    missing = [name for name in _SECTIONS if not isinstance(read_values(folder).get(name), dict)]
    if missing:
        raise RunError(f"{folder / 'config.toml'}: {missing[0]}: missing")


def make_folder(folder: Path, values: Mapping[str, Any], *, force: bool) -> None:
    """Make the run's folder with its resolved ``config.toml``, replacing an older run if ``force``.

    Args:
        folder: to make.
        values: of the configuration, by section.
        force: replace an older run.

    Raises:
        RunError: see :func:`check_folder`.
    """
    check_folder(folder, force=force)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # made under another name: a run's folder is never without its configuration, so it can always be continued
        with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent, ignore_cleanup_errors=True) as made:
            write_values(Path(made), values)
            Path(made).chmod(0o755)
            if force and folder.exists():
                shutil.rmtree(folder)
            Path(made).replace(folder)
    except OSError as error:
        raise RunError(f"{folder}: cannot be made ({error.strerror or error})") from None


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """No other process trains in this run's folder meanwhile; one that was killed does not count.

    A folder that cannot be written to needs no lock: a finished run in it can be read. Where the file system has no
    locks, a claim beside the folder takes their place (:mod:`ranvier.locks`).

    Raises:
        BusyError: another process is training in it.
    """
    with ExitStack() as held:
        try:
            try:
                held.enter_context(file_lock(folder / "training.lock", wait=False))
            except NoLockError:
                held.enter_context(claim(folder.with_name(f"{folder.name}.training")))
        except BlockingIOError:
            raise BusyError(f"{folder}: another process is training it (ranvier watch {folder} follows)") from None
        except OSError as error:
            if error.errno != errno.EROFS and os.access(folder, os.W_OK):
                raise
        yield


def read_values(folder: Path) -> dict[str, Any]:
    """The values of a run's resolved configuration, by section, unchecked.

    Raises:
        RunError: the folder is not a run's, or its configuration is not TOML.
    """
    file = folder / "config.toml"
    if not file.is_file():
        raise RunError(f"{folder}: is not a run's folder (no config.toml)")
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (ValueError, ArithmeticError, RecursionError) as error:  # TOML's and Unicode's are ValueErrors
        raise RunError(f"{file}: {str(error)[:_MOST_TEXT]}") from None


def write_values(folder: Path, values: Mapping[str, Any]) -> None:
    """Write a run's ``config.toml``."""
    write_text(folder / "config.toml", tomli_w.dumps(values))
