"""Files are written whole or not at all, and text is UTF-8, wherever the program runs."""

from __future__ import annotations

import errno
import glob
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

_NUMBERS = count()  # so that two threads never share a temporary
_HOST = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())
_TEMPORARY = re.compile(r"\..+\.(?P<host>[A-Za-z0-9-]*)\.(?P<pid>\d+)-\d+\.tmp", re.DOTALL)


@contextmanager
def write_atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its name when the block ends, and is removed when it raises.

    Readers see the old file or the whole new one. The temporary of a process that was killed is removed by the next
    call for the same path on the same machine.

    Args:
        path: the file to write; its folder must exist.

    Yields:
        The path to write to. It does not exist yet.

    Raises:
        OSError: the file cannot be written; ``filename`` is always ``path``. A full disk says which and how much is
            free. A device or a pipe is refused: the new file would take its place.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        number = errno.EISDIR if path.is_dir() else errno.EINVAL
        raise OSError(number, "is a folder" if path.is_dir() else "is not a regular file", str(path))
    _remove_abandoned(path)
    temporary = path.with_name(f".{path.name}.{_HOST}.{os.getpid()}-{next(_NUMBERS)}.tmp")
    try:
        with name_errors(path, temporary):
            yield temporary
            temporary.replace(path)
    finally:
        with suppress(OSError):  # the folder may have gone, or have become read-only
            temporary.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text with ``\\n`` line ends, atomically; see :func:`write_atomically`."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_new(path: Path, text: str) -> bool:
    """Write UTF-8 text to a file that does not exist yet; of several processes, one succeeds. False: it is there.

    Needs no locks of the file system: a hard link fails where the name is taken, on shared disks too. Where there are
    no hard links the file is made by ``O_EXCL``, and readers may see it before its text is whole.
    """
    temporary = path.with_name(f".{path.name}.{_HOST}.{os.getpid()}-{next(_NUMBERS)}.tmp")
    try:
        with name_errors(path, temporary):
            temporary.write_text(text, encoding="utf-8", newline="\n")
            try:
                os.link(temporary, path)
            except FileExistsError:
                return temporary.stat().st_nlink == 2  # a shared disk's answer was lost, and the call repeated
            except OSError:
                with path.open("x", encoding="utf-8", newline="\n") as file:
                    file.write(text)
            return True
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)


def free_bytes(folder: Path) -> int:
    """How many bytes are free on a folder's disk."""
    return shutil.disk_usage(folder).free


@contextmanager
def name_errors(path: str | os.PathLike[str], temporary: str | os.PathLike[str] | None = None) -> Iterator[None]:
    """An OSError of the block names ``path`` in place of ``temporary`` or of nothing, and the disk where it is full."""
    try:
        yield
    except OSError as error:
        raise _named(error, Path(path), Path(temporary or path)) from error


def is_abandoned(temporary: Path) -> bool:
    """Whether a file is what a process of this machine that has ended left of :func:`write_atomically`."""
    match = _TEMPORARY.fullmatch(temporary.name)
    return match is not None and match["host"] == _HOST and not is_running(int(match["pid"]))


def is_temporary(path: Path) -> bool:
    """Whether a file is a temporary of :func:`write_atomically`, of any machine."""
    return _TEMPORARY.fullmatch(path.name) is not None


def _remove_abandoned(path: Path) -> None:
    with suppress(OSError):
        for temporary in path.parent.glob(f".{glob.escape(path.name)}.{_HOST}.*.tmp"):
            if is_abandoned(temporary):
                temporary.unlink(missing_ok=True)


def is_running(pid: int) -> bool:
    """Whether a process of that number runs on this machine; True where that cannot be asked."""
    if os.name == "nt":
        return True  # os.kill would end the process there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's process
        return True
    return True


def _named(error: OSError, path: Path, temporary: Path) -> OSError:
    """The same error, with the file's own name in place of the temporary's or none, and the disk where it is full."""
    if error.errno is None and type(error) is not OSError:
        return error  # of what is read meanwhile, such as gzip's BadGzipFile
    # HDF5 raises without errno, and says it in its text
    number = error.errno or (errno.ENOSPC if f"errno = {errno.ENOSPC}" in str(error) else 0)
    if number == errno.ENOSPC:
        free = 0
        with suppress(OSError):
            free = free_bytes(path.parent)
        message = f"the disk that holds {path.parent.absolute()} is full ({free / 1e6:.0f} MB free)"
        return OSError(number, message, str(path))
    if error.filename in (None, str(temporary)):
        return OSError(number or errno.EIO, error.strerror or str(error), str(path))
    return error
