"""Names, numbers and texts of Python, in C99."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.export.target import ExportError

_WIDTH = 118  # letters of a line
_LONGEST = 48  # letters of a name: C99 compares at least 63
# a file of such a name would be found in place of C's own header
_HEADERS = {
    "assert", "complex", "ctype", "errno", "fenv", "float", "inttypes", "iso646", "limits", "locale", "math",
    "setjmp", "signal", "stdalign", "stdarg", "stdatomic", "stdbool", "stddef", "stdint", "stdio", "stdlib",
    "stdnoreturn", "string", "tgmath", "threads", "time", "uchar", "wchar", "wctype", "memory", "strings",
}  # fmt: skip
_MAX_TEXT = 1000  # bytes of a literal: C99 has 4095, and an escape takes four

TYPES = {
    np.dtype(np.float32): "float",
    np.dtype(np.int8): "int8_t",
    np.dtype(np.int16): "int16_t",
    np.dtype(np.int32): "int32_t",
    np.dtype(np.uint8): "uint8_t",
    np.dtype(np.uint16): "uint16_t",
    np.dtype(np.uint32): "uint32_t",
}


@dataclass(frozen=True)
class Identifier:
    """A name as C has it.

    Attributes:
        lower: of files, types and functions.
        upper: of macros.
    """

    lower: str
    upper: str

    @classmethod
    def of(cls, name: str) -> Identifier:
        """Letters, digits and ``_`` of a name in lower case; anything else between them becomes one ``_``.

        Raises:
            ExportError: nothing is left, or more than 48 letters.
        """
        lower = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        if not lower:
            raise ExportError("name", repr(name), "a letter or digit in it")
        if lower[0].isdigit() or lower in _HEADERS:
            lower = f"network_{lower}"
        if len(lower) > _LONGEST:
            raise ExportError("name", repr(name), f"up to {_LONGEST} letters")
        return cls(lower, lower.upper())


def array(name: str, values: NDArray[Any]) -> str:
    """The definition of a constant array."""
    lines = "\n".join(_lines(literal(value) for value in values))
    return f"static const {TYPES[values.dtype]} {name}[{len(values)}] = {{\n{lines}\n}};"


def literal(value: np.generic) -> str:
    """An integer of up to 32 bits, or a float32, to the bit."""
    if not isinstance(value, np.floating):
        return str(value) if int(value) < 2**31 else f"{value}u"
    return real(float(value))


def real(value: float) -> str:
    """A float32."""
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def text(words: str) -> str:
    """A string of UTF-8, with octal escapes for all that is not plain.

    Raises:
        ExportError: it is too long.
    """
    raw = words.encode()
    if len(raw) > _MAX_TEXT:
        raise ExportError("classes", f"a name of {len(raw)} bytes", f"up to {_MAX_TEXT}")
    plain = [chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}" for byte in raw]
    return f'"{"".join(plain)}"'


def _lines(words: Iterator[str]) -> Iterator[str]:
    """Words with commas, in lines."""
    line = "   "
    for word in words:
        if len(line) + len(word) + 2 > _WIDTH:
            yield line
            line = "   "
        line += f" {word},"
    yield line
