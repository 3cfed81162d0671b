"""Files are written whole or not at all, and text is UTF-8, wherever the program runs."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_HOST = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())


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
            free.
    """
    path = Path(path)
    _remove_abandoned(path)
    temporary = path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise _named(error, path, temporary) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text with ``\\n`` line ends, atomically; see :func:`write_atomically`."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _remove_abandoned(path: Path) -> None:
    for temporary in path.parent.glob(f".{_literal(path.name)}.{_HOST}.*.tmp"):
        pid = temporary.name.split(".")[-2]
        if pid.isdigit() and not _is_running(int(pid)):
            temporary.unlink(missing_ok=True)


def _literal(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _is_running(pid: int) -> bool:
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
    # HDF5 raises without errno, and says it in its text
    number = error.errno or (errno.ENOSPC if f"errno = {errno.ENOSPC}" in str(error) else 0)
    if number == errno.ENOSPC:
        free = 0
        with suppress(OSError):
            free = shutil.disk_usage(path.parent).free
        message = f"the disk that holds {path.parent} is full ({free / 1e6:.0f} MB free)"
        return OSError(number, message, str(path))
    if error.filename in (None, str(temporary)):
        return OSError(number or errno.EIO, error.strerror or str(error), str(path))
    return error
