"""C99 as an export target."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from ranvier.export.c.header import header
from ranvier.export.c.layout import layout
from ranvier.export.c.source import constant_bytes, source
from ranvier.export.c.state import state_bytes
from ranvier.export.target import ExportError, Target
from ranvier.files import write_atomically
from ranvier.network import Network


@dataclass(frozen=True)
class CSizes:
    """What a network takes of a device.

    Attributes:
        flash_bytes: constants. Code comes on top: up to 2 kB on a Cortex-M for three layers, and ``expf`` where the
            network is one of floats.
        ram_bytes: the state, to the byte. The stack takes up to 256 bytes besides.
    """

    flash_bytes: int
    ram_bytes: int


def c_sizes(network: Network) -> CSizes:
    """Flash and RAM of a network's C code.

    Raises:
        ExportError: as :func:`to_c`.
    """
    plan = layout(network, "network")
    return CSizes(constant_bytes(plan), state_bytes(plan))


def to_c(network: Network, name: str = "network") -> dict[str, str]:
    """A network as C99, for microcontrollers.

    The code allocates nothing, prints nothing, and keeps its whole state in one struct. An integer network needs no C
    library but ``memset`` and gives the same spikes and scores to the bit everywhere. A float network sums in float32,
    so that a voltage within about 1e-5 of its threshold may spike otherwise than in the engine, and calls ``expf`` for
    its scores.

    Args:
        network: of dense connections, convolutions and LIF neurons (hard or soft reset, integer or adaptive), at most
            65,535 neurons in a layer.
        name: of the files, and what every public name begins with; in lower case, anything but letters and digits
            becomes ``_``.

    Returns:
        The text of ``NAME.h`` and ``NAME.c``, by file name.

    Raises:
        ExportError: C code cannot say a part of the network, or the name is none; the message names the place.
    """
    plan = layout(network, name)
    files = {".h": header(plan, constant_bytes(plan)), ".c": source(plan)}
    return {f"{plan.name.lower}{suffix}": text for suffix, text in files.items()}


def write_c(network: Network, path: Path) -> None:
    """Write ``NAME.h`` and ``NAME.c`` into a folder, which is made, where NAME is the folder's.

    Raises:
        ExportError: as :func:`to_c`, or the path is a file.
        OSError: a file cannot be written.
    """
    files = to_c(network, path.absolute().name)
    if path.exists() and not path.is_dir():
        raise ExportError(path, fault="is a file (a folder allowed)")
    new = not path.exists()
    path.mkdir(exist_ok=True)
    try:
        with ExitStack() as stack:  # both files take their names at its end
            for name, text in files.items():
                temporary = stack.enter_context(write_atomically(path / name))
                temporary.write_text(text, encoding="utf-8", newline="\n")
    finally:
        if new:
            with suppress(OSError):  # it is not empty where all is well
                path.rmdir()


def summary(network: Network) -> str:
    """What it takes, in a line."""
    sizes = c_sizes(network)
    flash, ram = f"{sizes.flash_bytes:,} bytes of flash for constants", f"{sizes.ram_bytes:,} bytes of RAM"
    return f"{flash} (code: 1 to 2 kB more), {ram}"


TARGET = Target("c", "C99 for microcontrollers: a folder with one .h and one .c", "", write_c, summary)
