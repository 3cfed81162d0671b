"""The command's output streams: no letter, full disk or reader that has left ends the work."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from ranvier.escape import escape_controls


class _Output:
    """A text stream that discards what is written after its reader has left."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._guarded():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._guarded():
            self._stream.flush()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._discard()
        except OSError as error:  # a full disk
            self._discard()
            raise OSError(error.errno, error.strerror, self._stream.name) from None

    def _discard(self) -> None:
        """What is left in the stream's buffer must not fail again when Python ends."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def output_streams() -> Iterator[None]:
    r"""Standard output and error for a command.

    A letter that a stream's encoding lacks is written as ``\u6c34``, as Python does on standard error. Where the reader
    of a stream has left (``ranvier ls | head -1``), the work goes on and what it prints is discarded.
    """
    before = sys.stdout, sys.stderr
    for stream in before:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # there is none where the command was started without
    sys.stdout, sys.stderr = (None if stream is None else _Output(stream) for stream in before)
    try:
        yield
    finally:
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        finally:
            sys.stdout, sys.stderr = before


def print_error(line: str) -> None:
    """Print a line on the error stream."""
    print(escape_controls(line), file=sys.stderr)


def say(line: str) -> None:
    """Print a line; names in it are shown by :func:`ranvier.escape.escape_controls`."""
    print(escape_controls(line))
