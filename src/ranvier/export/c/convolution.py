"""Convolutions in C: one table of weights and one of delays, and a function that adds the kernel around an event."""

from __future__ import annotations

from dataclasses import dataclass
from string import Template
from typing import Protocol

import numpy as np

from ranvier.export.c.literals import Identifier
from ranvier.export.c.table import Table
from ranvier.network import Conv

_FUNCTION = Template("""\
/* Adds the kernels of $words around an event. */
static void convolve_$place(${name}_state *state, uint32_t source$size_argument)
{
    const uint32_t kernels = source / ${plane}u * ${kernels}u; /* those of its channel */
    const uint32_t row = source % ${plane}u / ${width}u + ${above}u, column = source % ${width}u + ${beside}u;
    uint32_t o, u, v;
    for (o = 0; o < ${channels}u; o++)
        for (u = $first_row; u < ${rows}u && u <= row; u += ${down}u)
            for (v = $first_column; v < ${columns}u && v <= column; v += ${right}u) {
                const uint32_t k = kernels + (o * ${rows}u + u) * ${columns}u + v;
                const uint32_t target = (o * ${out_height}u + (row - u) / ${down}u) * ${out_width}u;
                uint32_t at = state->${layer}_now + $delay[k] * ${targets}u + target + (column - v) / ${right}u;
                if (at >= ${length}u)
                    at -= ${length}u;
                state->${layer}_current[at] += $weight[k]$factor;
            }
}
""")


class Names(Protocol):
    """What the C code calls things."""

    @property
    def name(self) -> Identifier:
        """Of the network."""

    def name_of(self, name: str) -> str:
        """The array that stands for the table of that name."""


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution.

    Attributes:
        number: of the layer, and of the connection among its inputs.
        part: the connection.
        layer: that it reaches.
        slots: time steps of that layer's ring of currents.
        sized: its events have sizes; those of spikes are 1.
    """

    number: tuple[int, int]
    part: Conv
    layer: str
    slots: int
    sized: bool

    @property
    def source(self) -> str:
        """``input`` or a layer's name."""
        return self.part.source

    @property
    def _place(self) -> str:
        return "_".join(map(str, self.number))

    def tables(self) -> list[Table]:
        """Weights and delays by source channel, target channel, row and column."""
        weight = self.part.weight.transpose(1, 0, 2, 3).ravel()
        # an element without weight may have a delay beyond the ring
        delay = np.where(weight != 0, self.part.delay_steps.transpose(1, 0, 2, 3).ravel(), 0)
        words = f"{self.source} to {self.layer}, {len(weight)} kernel elements"
        return [
            Table(f"kernel_{self._place}", weight, f"{words}: weights"),
            Table(f"delay_{self._place}", delay.astype(np.uint8 if delay.max() < 2**8 else np.uint16), "time steps"),
        ]

    def function(self, names: Names) -> str:
        """The C function that adds the kernels."""
        part = self.part
        channels, _, rows, columns = part.weight.shape
        (height, width), (out_height, out_width) = part.size, part.out_size
        return _FUNCTION.substitute(
            words=f"{self.source} to {self.layer}",
            place=self._place,
            name=names.name.lower,
            size_argument=", float size" if self.sized else "",
            plane=height * width,
            width=width,
            kernels=channels * rows * columns,
            above=part.padding[0],
            beside=part.padding[1],
            channels=channels,
            rows=rows,
            columns=columns,
            down=part.stride[0],
            right=part.stride[1],
            first_row=_first("row", part.stride[0], out_height),
            first_column=_first("column", part.stride[1], out_width),
            out_height=out_height,
            out_width=out_width,
            layer=self.layer,
            delay=names.name_of(f"delay_{self._place}"),
            weight=names.name_of(f"kernel_{self._place}"),
            targets=part.targets,
            length=self.slots * part.targets,
            factor=" * size" if self.sized else "",
        )

    def call(self) -> str:
        """The C statement that calls it."""
        return f"    convolve_{self._place}(state, source{', size' if self.sized else ''});"


def _first(place: str, stride: int, out: int) -> str:
    """The first row or column of the kernel that brings ``place`` to one of ``out``, in steps of ``stride``."""
    last = stride * (out - 1)
    start = f"{place} % {stride}u" if stride > 1 else "0"
    return f"{place} > {last}u ? {place} - {last}u : {start}"
