"""C99 as an export target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ranvier.export.c.header import header
from ranvier.export.c.layout import layout
from ranvier.export.c.source import constant_bytes, source
from ranvier.export.c.state import state_bytes
from ranvier.export.target import ExportError, Target
from ranvier.files import write_text
from ranvier.network import Network


@dataclass(frozen=True)
class CSizes:
    """What a network takes of a device.

    Attributes:
        flash_bytes: constants. Code comes on top: up to 4 kB on a Cortex-M at -Os, and expf of a float network.
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
        network: of dense connections and LIF neurons or their integer kinds, at most 65,535 neurons in a layer.
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
    path.mkdir(exist_ok=True)
    for name, text in files.items():
        write_text(path / name, text)


TARGET = Target("c", "C99 for microcontrollers: a folder with one .h and one .c", "", write_c)
