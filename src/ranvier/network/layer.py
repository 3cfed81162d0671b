"""A layer of a frozen network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from reprlib import repr as short

import numpy as np
from numpy.typing import NDArray

from ranvier.network.part import ArrayRule, Connection, Neuron, Output, Part
from ranvier.network.rules import NetworkError, require

INPUT = "input"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_BIAS = {False: ArrayRule("float32", ("target",)), True: ArrayRule("int32", ("target",))}
_NUMBERS = {False: "float32 weights", True: "int8 weights"}


@dataclass(frozen=True, eq=False)
class Layer:
    """Connections onto neurons: I[t] = bias + the sum of what the connections give.

    Args:
        name: lower-case letters, digits and ``_``, each once in a network; not ``input``.
        inputs: one connection or more.
        bias: float32 ``[target]``, finite; int32 where the neuron is an integer one, as then the connections are.
        neuron: makes spikes, or the voltage that is decoded, of the current.
        output: what other layers receive of the spikes; None means the spikes themselves.

    Raises:
        NetworkError: the parts do not fit together.
    """

    name: str
    inputs: tuple[Connection, ...]
    bias: NDArray[np.float32] | NDArray[np.int32]
    neuron: Neuron
    output: Output | None = None

    def __post_init__(self) -> None:
        named = isinstance(self.name, str) and _NAME.fullmatch(self.name) and self.name != INPUT
        require(
            bool(named),
            f"name: {short(self.name)} is not allowed (up to 64 of a-z, 0-9 and _, a letter first; not input)",
        )
        object.__setattr__(self, "inputs", tuple(self.inputs))
        require(len(self.inputs) >= 1, "inputs: none (1 or more connections)")
        _BIAS[self.integer].check("bias", self.bias, {})
        view = np.ascontiguousarray(self.bias).view()
        view.flags.writeable = False
        object.__setattr__(self, "bias", view)
        for place, part in self.parts().items():
            require(part.targets == len(self.bias), f"{place}: {part.targets} targets, but a bias of {len(self.bias)}")
        for number, connection in enumerate(self.inputs):
            numbers = _NUMBERS[connection.integer]
            require(
                connection.integer == self.integer,
                f"inputs.{number}: {numbers} before {self.neuron.kind} ({_NUMBERS[self.integer]} allowed)",
            )
        require(self.output is None or not self.integer, "output: not allowed after an integer neuron")
        if self.output is not None and not self.neuron.spikes:
            raise NetworkError(f"output: not allowed after a neuron that never spikes ({self.neuron.kind})")

    def parts(self) -> dict[str, Connection | Neuron | Output]:
        """Every part by its place: ``inputs.0``, ``neuron``, ``output`` if there is one."""
        placed: dict[str, Connection | Neuron | Output] = {f"inputs.{n}": part for n, part in enumerate(self.inputs)}
        placed["neuron"] = self.neuron
        if self.output is not None:
            placed["output"] = self.output
        return placed

    @property
    def targets(self) -> int:
        """Neurons."""
        return len(self.bias)

    @property
    def spikes(self) -> bool:
        """False for a readout."""
        return self.neuron.spikes

    @property
    def integer(self) -> bool:
        """Whether it computes in integers."""
        return self.neuron.integer

    @property
    def max_delay(self) -> int:
        """Longest delay that its connections may have, in time steps."""
        return max(connection.max_delay for connection in self.inputs)

    def nbytes(self) -> int:
        """Bytes of all arrays."""
        parts: list[Part] = list(self.parts().values())
        return self.bias.nbytes + sum(array.nbytes for part in parts for array in part.arrays().values())
