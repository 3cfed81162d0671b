"""ONNX graphs, node by node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.export.target import needed

OPSET = 17
IR_VERSION = 8


@dataclass
class Graph:
    """Nodes and constants in the making; every method that adds a node returns the name of what it gives.

    Attributes:
        prefix: of all new names, which have to differ from those of the graphs around.
        nodes: in order.
        constants: by name.
    """

    prefix: str = ""
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)

    def node(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node with one output, named ``name`` or anew."""
        name = name or f"{self.prefix}{operator}_{len(self.nodes)}"
        helper = needed("onnx.helper", "onnx")
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, values: Any, name: str = "") -> str:
        """Add an array of constants; those without a name are kept once."""
        array = np.asarray(values)
        name = name or f"{array.dtype.name}_{'_'.join(map(str, array.flat))}_{'x'.join(map(str, array.shape))}"
        self.constants[name] = array
        return name

    def integers(self, *values: int) -> str:
        """A list of int64, as operators take axes and shapes."""
        return self.constant(np.array(values, np.int64))

    def cast(self, value: str, dtype: Any) -> str:
        """In another type."""
        helper = needed("onnx.helper", "onnx")
        return self.node("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def initializers(self) -> list[Any]:
        """The constants, as a graph holds them."""
        numpy_helper = needed("onnx.numpy_helper", "onnx")
        return [numpy_helper.from_array(array, name) for name, array in self.constants.items()]


@dataclass(frozen=True)
class Value:
    """An input or output of a graph.

    Attributes:
        name: of the value.
        dtype: of NumPy.
        shape: sizes, or names of axes whose size is free.
        words: what it is.
        start: its numbers before a clip, where it is part of the state.
    """

    name: str
    dtype: Any
    shape: tuple[int | str, ...]
    words: str = ""
    start: float = 0.0

    def info(self) -> Any:
        """As a graph holds it."""
        helper = needed("onnx.helper", "onnx")
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        return helper.make_tensor_value_info(self.name, kind, self.shape, self.words)


def state_values(values: list[Value]) -> dict[str, NDArray[Any]]:
    """The state before a clip."""
    return {value.name: np.full([int(size) for size in value.shape], value.start, value.dtype) for value in values}
