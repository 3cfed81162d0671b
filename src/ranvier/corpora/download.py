"""One file over HTTP: continued where it broke off, begun anew where a server cannot do that."""

from __future__ import annotations

import errno
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pooch

from ranvier.data.dataset import DataError
from ranvier.files import free_bytes, name_errors

_CHUNK = 1 << 16


def silent(done: int, total: int) -> None:
    """Progress that nobody wants."""


@dataclass(frozen=True)
class Terms:
    """What the caller wants of every step."""

    progress: Callable[[int, int], None] = silent
    timeout_s: float = 30.0
    free_bytes: Callable[[Path], int] = free_bytes

    def room(self, folder: Path, what: str, needed: int) -> None:
        """Refuse what the disk has no room for."""
        free = self.free_bytes(folder)
        if needed > free:
            megabytes = math.ceil(needed / 1e6)
            raise DataError(f"{folder}: {what} needs {megabytes} MB, {free // 1_000_000} MB are free on this disk")


class SourceError(Exception):
    """A source could not be reached, or broke off; what has arrived is kept."""


class SpoiledError(SourceError):
    """What has arrived is not the file."""


class _CannotResumeError(Exception):
    """A server does not give the rest of this file."""


def size(file: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    return file.stat().st_size if file.is_file() else 0


class Download:
    """A file that is being downloaded.

    Args:
        part: what has arrived, and where the rest goes.
        terms: what the caller wants.
    """

    def __init__(self, part: Path, terms: Terms) -> None:
        self._part = part
        self._terms = terms
        self._file: IO[bytes]
        self._start = 0
        self._total = 0
        self._response: Any = None

    def run(self, url: str) -> None:
        """Ask for what is missing until the file is whole, as long as every request brings something."""
        while True:
            before = size(self._part)
            broke = None
            try:
                self._ask(url, before)
            except _CannotResumeError:
                self._part.unlink(missing_ok=True)
                continue
            except OSError as error:  # of the disk, or of the connection: those of pooch's library are all OSErrors
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
                    with name_errors(self._part):
                        raise
                broke = reason(error)
            now = size(self._part)
            if now == self._total if self._total else broke is None:
                return
            if now <= before:
                arrived = f", {now} bytes have arrived" if now else ""
                raise SourceError(f"{broke or 'the connection broke off'}{arrived}")

    def _ask(self, url: str, start: int) -> None:
        self._start, self._total = start, 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        download = pooch.HTTPDownloader(
            chunk_size=_CHUNK, timeout=self._terms.timeout_s, headers=headers, hooks={"response": self._begun}
        )
        with self._part.open("ab") as self._file:
            try:
                download(url, self, None)
            finally:
                if self._response is not None:
                    self._response.close()

    def _begun(self, response: Any, **_: Any) -> None:
        """The server has answered, its file not yet been read."""
        if response.is_redirect:
            return
        self._response = response
        if self._start and response.status_code in (206, 416):
            span = str(response.headers.get("Content-Range", ""))
            if span == f"bytes */{self._start}":  # there is no more: the error that follows is none
                self._total = self._start
                return
            if not span.startswith(f"bytes {self._start}-"):
                raise _CannotResumeError
        elif response.status_code == 200:
            self._file.truncate(0)  # the server knows no ranges
            self._start = 0
        else:
            raise SourceError(f"HTTP {response.status_code} {response.reason}")
        # a .gz stays packed, even where the server calls that an encoding
        response.raw.headers.pop("Content-Encoding", None)
        length = int(response.headers.get("Content-Length", 0))
        self._total = self._start + length if length else 0
        # unpacked, it will take at least as much again
        self._terms.room(self._part.parent, self._part.stem, length + self._total)

    def write(self, chunk: bytes) -> None:
        """Take what has arrived; with :meth:`flush`, all that pooch wants of a file."""
        self._file.write(chunk)
        self._start += len(chunk)
        self._terms.progress(self._start, self._total)

    def flush(self) -> None:
        """Keep it, whatever happens next."""
        self._file.flush()


def reason(error: BaseException) -> str:
    """The innermost of the errors that an HTTP library wraps into one another, in one line."""
    inner = getattr(error, "reason", None)
    if not isinstance(inner, BaseException):
        inner = next((argument for argument in error.args if isinstance(argument, BaseException)), None)
    if inner is not None:
        return reason(inner)
    # the host stands in the address already
    return re.sub(r"^HTTPS?Connection\w*\([^)]*\): ", "", " ".join(str(error).split())) or type(error).__name__
