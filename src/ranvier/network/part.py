"""Parts: the connections, neurons and traces that a frozen network is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.metadata import entry_points
from reprlib import repr as short
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ranvier.network.rules import NetworkError, require

PLUGINS = "ranvier.parts"  # entry points of installed packages that define further parts
_RULE = "array"


@dataclass(frozen=True)
class ArrayRule:
    """What an array of a part must be.

    Attributes:
        dtype: of its values; several with `` | `` between them.
        axes: names of its axes; axes of one name have one size within a part.
        low, high: values lie in [low, high] and are finite.
        positive: values are above 0.
        broadcast: an axis may have size 1 and then stands for its full size.
    """

    dtype: str
    axes: tuple[str, ...]
    low: float = -np.inf
    high: float = np.inf
    positive: bool = False
    broadcast: bool = False

    def check(self, name: str, array: object, sizes: dict[str, int]) -> None:
        """Check an array against the rule; notes the sizes of its axes.

        Raises:
            NetworkError: it breaks the rule.
        """
        require(isinstance(array, np.ndarray), f"{name}: {type(array).__name__} is not allowed (a NumPy array)")
        assert isinstance(array, np.ndarray)
        allowed = self.dtype.split(" | ")
        require(array.dtype.name in allowed, f"{name}: dtype {array.dtype} is not allowed ({', '.join(allowed)})")
        axes = ", ".join(self.axes)
        require(
            array.ndim == len(self.axes) and array.size > 0,
            f"{name}: shape {array.shape} is not [{axes}], each 1 or more",
        )
        for axis, size in zip(self.axes, array.shape, strict=True):
            known = sizes.setdefault(axis, size)
            fits = size == known or (self.broadcast and size == 1)
            require(fits, f"{name}: shape {array.shape} is not [{axes}] with {known} of {axis}")
        require(bool(np.isfinite(array).all()), f"{name}: NaN or infinite values (finite allowed)")
        low, high = array.min(), array.max()
        require(
            bool(low >= self.low and high <= self.high),
            f"{name}: values from {low:g} to {high:g} ({self.low:g} ... {self.high:g} allowed)",
        )
        require(not self.positive or bool(low > 0), f"{name}: values from {low:g} on (above 0 allowed)")


def array(dtype: str, *axes: str, **rule: Any) -> Any:
    """A dataclass field that holds an array; arguments as :class:`ArrayRule`."""
    return field(metadata={_RULE: ArrayRule(dtype, axes, **rule)})


@dataclass(frozen=True, eq=False)
class Part:
    """Base of all parts: frozen dataclasses whose fields are arrays (declared with :func:`array`) and settings (JSON).

    A subclass of :class:`Connection`, :class:`Neuron` or :class:`Trace` with a ``kind`` of its own is known to
    :meth:`read` from its definition on.

    Raises:
        NetworkError: an array breaks its rule; see also each part.
    """

    kind: ClassVar[str]
    role: ClassVar[str]
    kinds: ClassVar[dict[str, type[Part]]]

    def __init_subclass__(cls, *, role: str | None = None) -> None:
        if role is not None:
            cls.role, cls.kinds = role, {}
        elif "kind" in cls.__dict__:
            cls.kinds[cls.kind] = cls

    def __post_init__(self) -> None:
        sizes: dict[str, int] = {}
        for name, rule in self._rules().items():
            rule.check(name, getattr(self, name), sizes)
            view = np.ascontiguousarray(getattr(self, name)).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)
        self.check()

    def check(self) -> None:
        """Raise :class:`NetworkError` where a rule beyond those of single arrays is broken."""

    @classmethod
    def _rules(cls) -> dict[str, ArrayRule]:
        return {f.name: f.metadata[_RULE] for f in fields(cls) if _RULE in f.metadata}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name."""
        return {name: getattr(self, name) for name in self._rules()}

    def settings(self) -> dict[str, Any]:
        """Kind and everything that is no array, as JSON values."""
        others = {f.name: getattr(self, f.name) for f in fields(self) if _RULE not in f.metadata}
        return {"kind": self.kind, **others}

    @classmethod
    def read(cls, settings: Any, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The part of this role that :meth:`settings` and :meth:`arrays` describe.

        Raises:
            NetworkError: its kind is not known, something is missing or unknown, or a rule is broken.
        """
        require(isinstance(settings, Mapping), f"{short(settings)} is not allowed (a JSON object)")
        values = dict(settings)
        found = cls._of_kind(values.pop("kind", None))
        wanted = {f.name for f in fields(found)}
        for name in {**values, **arrays}:
            require(name in wanted, f"{short(name)}: is not known in a {found.kind} ({', '.join(sorted(wanted))})")
        rules = found._rules()
        for name in wanted:
            require(name in (arrays if name in rules else values), f"{name}: is missing")
        part = found(**values, **arrays)
        assert isinstance(part, cls)
        return part

    @classmethod
    def _of_kind(cls, kind: object) -> type[Part]:
        if isinstance(kind, str) and kind not in cls.kinds:
            for plugin in entry_points(group=PLUGINS):
                plugin.load()
        if not isinstance(kind, str) or kind not in cls.kinds:
            raise NetworkError(f"{cls.role} {short(kind)} is not known ({', '.join(sorted(cls.kinds))})")
        return cls.kinds[kind]


class Synapses(NamedTuple):
    """Synapses one by one, arrays ``[synapse]``: those of weight 0 are not there."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    weight: NDArray[np.float32] | NDArray[np.int8]
    delay_steps: NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Connection(Part, role="connection"):
    """From the output of a layer, or the input, to a layer's current.

    Args:
        source: ``input`` or the name of a layer; of the own or a later layer, delays are 1 step or more.
    """

    source: str
    max_delay: int

    @property
    def integer(self) -> bool:
        """Whether its currents are integers."""
        return False

    def largest_current(self, size: int) -> NDArray[np.int64]:
        """Of an integer connection, ``[target]``: a bound of its currents while no event is larger than ``size``."""
        raise NotImplementedError

    @property
    def sources(self) -> int:
        """Lines that come in."""
        raise NotImplementedError

    @property
    def targets(self) -> int:
        """Neurons that it reaches."""
        raise NotImplementedError

    def check_listed(self) -> int:
        """How many synapses there are; raises :class:`NetworkError` where they are too many to be listed one by one."""
        return self.synapse_count

    def synapses(self) -> Synapses:
        """Every synapse that there is, in a fixed order."""
        raise NotImplementedError

    @property
    def synapse_count(self) -> int:
        """How many synapses there are."""
        return len(self.synapses().weight)

    def delays(self) -> NDArray[np.int16]:
        """Every delay that can be set by itself, in time steps: one for each of :meth:`synapses`, in their order,
        unless the kind of connection says otherwise."""
        return self.synapses().delay_steps

    def with_delays(self, delay_steps: NDArray[np.int16]) -> Self:
        """The same with other delays, as many as :meth:`delays` has, in its order."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Neuron(Part, role="neuron"):
    """From current to spikes, or to the voltage that is decoded.

    ``spikes`` is False for a readout; ``integer`` is True where current and voltage are integers.
    """

    spikes: ClassVar[bool] = True
    integer: ClassVar[bool] = False

    @property
    def targets(self) -> int:
        """Neurons."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Output(Part, role="output"):
    """From a layer's spikes to what other layers receive of them."""

    @property
    def targets(self) -> int:
        """Neurons."""
        raise NotImplementedError
