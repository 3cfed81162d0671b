"""The frozen network: plain arrays with units, read and written without torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from numbers import Real
from pathlib import Path
from reprlib import repr as short
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ranvier.files import write_atomically
from ranvier.names import name_fault

FORMAT_VERSION = 2  # what it added: synapse_decay; a network without is written as version 1, which it always was
MOST_STEPS = 65535  # of a tail, as of a clip
_MOST_CHANNELS = 2**24
_MOST_VALUES = 2**24  # of what one layer keeps while it runs
_SHORTEST_MS, _LONGEST_MS = 1e-6, 1e9
_HEADER = "ranvier"
_HASH = "sha256"  # of header and tensors; older files have none, and an older Ranvier passes over it
_DTYPES = ("F32", "I16")
_MOST_TEXT = 200  # characters of another library's message
_ARRAYS = ("weight", "delay_steps", "bias", "decay", "threshold")
_TRACE = "synapse_decay"

Alignment = Literal["zero", "first_event"]
Tail = Literal["clip", "per_layer"]


class NetworkError(ValueError):
    """A network, or a file that should hold one, breaks a rule; the message says which, where and what is allowed."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise NetworkError(message)


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


@dataclass(frozen=True)
class Input:
    """How raw events become the network's input counts.

    Args:
        channels: channels of the raw events, in [1, 2^24]; unit ids lie in [0, channels).
        pool: neighbouring channels summed into one source, in [1, 2^24].
        alignment: where step 0 lies: ``zero`` at time 0 of the recording, ``first_event`` at its first event.
    """

    channels: int
    pool: int = 1
    alignment: Alignment = "zero"

    def __post_init__(self) -> None:
        for name in ("channels", "pool"):
            value = getattr(self, name)
            _require(
                _whole(value, 1, _MOST_CHANNELS),
                f"input.{name}: {short(value)} is not allowed (1 ... {_MOST_CHANNELS})",
            )
        _require(
            self.alignment in ("zero", "first_event"),
            f"input.alignment: {short(self.alignment)} is not allowed (zero, first_event)",
        )

    @property
    def sources(self) -> int:
        """Input lines after pooling."""
        return -(-self.channels // self.pool)


@dataclass(frozen=True)
class Readout:
    """How output voltages become class scores: r = sum over t of softmax(v[t]), over the clip's steps and its tail.

    Args:
        tail_steps: steps of silence after a clip, in [0, 65535].
        tail: ``clip``: one silence after the clip, the same for every layer, so that a clip and a stream mean the
            same. ``per_layer``: every layer adds ``tail_steps`` to what its predecessor gave and hears nothing of it
            later, as the official DCLS-Delays code pads.
    """

    tail_steps: int = 0
    tail: Tail = "clip"

    def __post_init__(self) -> None:
        _require(
            _whole(self.tail_steps, 0, MOST_STEPS),
            f"readout.tail_steps: {short(self.tail_steps)} is not allowed (0 ... {MOST_STEPS} steps)",
        )
        _require(
            self.tail in ("clip", "per_layer"), f"readout.tail: {short(self.tail)} is not allowed (clip, per_layer)"
        )

    def steps(self, clip_steps: int, layer: int) -> int:
        """Steps for which layer number ``layer`` (0 = first) runs on a clip of ``clip_steps``."""
        return clip_steps + self.tail_steps * (1 if self.tail == "clip" else layer + 1)


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer: delayed weights onto leaky integrate-and-fire neurons.

        I[t, j] = bias[j] + sum over branch, i of weight[branch, j, i] * x[t - delay_steps[branch, j, i], i]
        v[t] = decay * v[t-1] * (1 - s[t-1]) + I[t]        s[t] = 1 if v[t] >= threshold else 0

    What the next layer hears as its x is s; with ``synapse_decay`` it is the spikes' trace y:

        y[t] = y[t-1] - (1 - s[t]) * (1 - synapse_decay) * y[t-1] + s[t]        y[-1] = 0

    Args:
        weight: float32 ``[branch, target, source]``, finite.
        delay_steps: int16, same shape, in [0, max_delay]; 0 = the same step.
        bias: float32 ``[target]``, finite.
        decay: float32 ``[target]``, share of the voltage kept per step, in [0, 1].
        threshold: float32 ``[target]``, > 0; +inf everywhere marks a readout, which never spikes.
        max_delay: longest delay the layer may use, in steps, in [0, 32767].
        reset: what a spike does to the voltage; ``hard`` sets it to 0.
        synapse_decay: float32 ``[target]``, share of a neuron's trace kept in a step without a spike, in [0, 1]; None
            means plain spikes. A readout has none.

    Raises:
        NetworkError: an array has the wrong shape, is not finite, or lies outside its range.
    """

    weight: NDArray[np.float32]
    delay_steps: NDArray[np.int16]
    bias: NDArray[np.float32]
    decay: NDArray[np.float32]
    threshold: NDArray[np.float32]
    max_delay: int
    reset: Literal["hard"] = "hard"
    synapse_decay: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        for name in self._arrays():
            array = getattr(self, name)
            _require(isinstance(array, np.ndarray), f"{name}: {type(array).__name__} is not allowed (a NumPy array)")
            dtype = np.int16 if name == "delay_steps" else np.float32
            _require(array.dtype == dtype, f"{name}: dtype {array.dtype} is not allowed ({np.dtype(dtype)})")
            view = np.ascontiguousarray(array).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)
        _require(
            self.weight.ndim == 3 and self.weight.size > 0,
            f"weight: shape {self.weight.shape} is not [branch, target, source], each 1 or more",
        )
        _require(
            self.delay_steps.shape == self.weight.shape,
            f"delay_steps: shape {self.delay_steps.shape} differs from the weight's {self.weight.shape}",
        )
        for name in self._arrays()[2:]:
            shape = getattr(self, name).shape
            _require(shape == (self.targets,), f"{name}: shape {shape} is not [{self.targets}], one per target")
        _require(
            _whole(self.max_delay, 0, 32767),
            f"max_delay: {short(self.max_delay)} is not allowed (0 ... 32767 steps)",
        )
        _require(
            self.max_delay * self.targets <= _MOST_VALUES,
            f"max_delay: {self.max_delay} steps for {self.targets} targets (a product up to {_MOST_VALUES} allowed)",
        )
        _require(self.reset == "hard", f"reset: {short(self.reset)} is not allowed (hard)")
        self._check_values()

    def _arrays(self) -> tuple[str, ...]:
        """Names of the arrays that there are; all but the first two have one number per target."""
        return _ARRAYS if self.synapse_decay is None else (*_ARRAYS, _TRACE)

    def _check_values(self) -> None:
        for name in ("weight", "bias"):
            _require(bool(np.isfinite(getattr(self, name)).all()), f"{name}: NaN or infinite values (finite allowed)")
        low, high = int(self.delay_steps.min(initial=0)), int(self.delay_steps.max(initial=0))
        _require(
            low >= 0 and high <= self.max_delay,
            f"delay_steps: values from {low} to {high} (0 ... {self.max_delay} steps allowed)",
        )
        for name in ("decay", _TRACE):
            shares = getattr(self, name)
            within = shares is None or bool(((shares >= 0) & (shares <= 1)).all())
            _require(within, f"{name}: values outside [0, 1] or NaN")
        _require(bool((self.threshold > 0).all()), "threshold: values that are NaN or not above 0")
        infinite = np.isinf(self.threshold)
        _require(bool(infinite.all() or not infinite.any()), "threshold: either all or none of a layer is +inf")
        _require(self.spikes or self.synapse_decay is None, f"{_TRACE}: not allowed in a readout, which never spikes")

    @property
    def branches(self) -> int:
        return int(self.weight.shape[0])

    @property
    def targets(self) -> int:
        return int(self.weight.shape[1])

    @property
    def sources(self) -> int:
        return int(self.weight.shape[2])

    @property
    def spikes(self) -> bool:
        """False for a readout layer."""
        return not bool(np.isinf(self.threshold).any())


@dataclass(frozen=True, eq=False)
class Network:
    """A feedforward network with frozen integer delays.

    Args:
        dt_ms: length of a step in ms, in [1e-6, 1e9].
        layers: from input to readout; all but the last spike.
        classes: names of the output neurons: text, not empty, without control characters, each once.
        input: how raw events become the first layer's input.
        readout: how output voltages become class scores.

    Raises:
        NetworkError: layers, input and classes do not fit together.
    """

    dt_ms: float
    layers: tuple[Layer, ...]
    classes: tuple[str, ...]
    input: Input
    readout: Readout

    def __post_init__(self) -> None:
        real = isinstance(self.dt_ms, Real) and not isinstance(self.dt_ms, bool)
        _require(
            real and _SHORTEST_MS <= self.dt_ms <= _LONGEST_MS,
            f"dt_ms: {short(self.dt_ms)} is not allowed ({_SHORTEST_MS:g} ... {_LONGEST_MS:g} ms)",
        )
        object.__setattr__(self, "dt_ms", float(self.dt_ms))
        _require(len(self.layers) >= 1, "layers: none (1 or more)")
        sources = self.input.sources
        for number, layer in enumerate(self.layers):
            _require(
                layer.sources == sources,
                f"layers.{number}.weight: {layer.sources} sources, but {sources} arrive",
            )
            last = number == len(self.layers) - 1
            _require(
                layer.spikes != last, f"layers.{number}.threshold: the last layer, and only it, is a readout (+inf)"
            )
            sources = layer.targets
        _require(
            isinstance(self.classes, list | tuple), f"classes: {short(self.classes)} is not allowed (a list of names)"
        )
        object.__setattr__(self, "classes", tuple(self.classes))
        _require(len(self.classes) == sources, f"classes: {len(self.classes)} names for {sources} output neurons")
        fault = name_fault(self.classes)
        _require(fault is None, f"classes: {fault}")
        for number, layer in enumerate(self.layers):
            tail = self.readout.steps(0, number)
            _require(
                tail * layer.targets <= _MOST_VALUES,
                f"readout.tail_steps: {tail} steps in layer {number} for {layer.targets} targets (a product up to "
                f"{_MOST_VALUES} allowed)",
            )

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write one safetensors file, with the SHA-256 of its content, whole or not at all.

        Raises:
            OSError: the file cannot be written.
        """
        traced = any(layer.synapse_decay is not None for layer in self.layers)
        header: dict[str, Any] = {
            "format_version": FORMAT_VERSION if traced else 1,
            "dt_ms": self.dt_ms,
            "classes": list(self.classes),
            "input": asdict(self.input),
            "readout": asdict(self.readout),
            "layers": [{"max_delay": layer.max_delay, "reset": layer.reset} for layer in self.layers],
        }
        tensors = {
            f"layers.{i}.{name}": getattr(layer, name)
            for i, layer in enumerate(self.layers)
            for name in layer._arrays()
        }
        header[_HASH] = _content_hash(header, tensors)
        with write_atomically(path) as temporary:
            temporary.write_bytes(save(tensors, {_HEADER: json.dumps(header)}))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Network:
        """Read a network written by :meth:`write`; every rule is checked, and the content's hash where there is one.

        Raises:
            NetworkError: whatever is wrong with the content: cut short, changed since it was written, of a newer
                format, a broken rule; the message names the file.
            FileNotFoundError: there is no such file.
        """
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such network file")
        if not path.is_file():
            kind = "folder" if path.is_dir() else "device or pipe"
            raise NetworkError(f"{path}: is a {kind} (a network.safetensors file is needed)")
        try:
            return _from_parts(*_read_parts(path))
        except NetworkError as error:
            raise NetworkError(f"{path}: {error}") from None


def _read_parts(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and tensors of a file; nothing larger than the file is made before its kind is known."""
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(_HEADER)
            if text is None:
                raise NetworkError("not a Ranvier network (the file's header says nothing of one)")
            names = list(file.keys())
            for name in names:
                dtype = file.get_slice(name).get_dtype()
                _require(dtype in _DTYPES, f"{short(name)}: dtype {dtype} is not allowed ({', '.join(_DTYPES)})")
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, UnicodeError, MemoryError) as error:
        raise NetworkError(f"not a whole safetensors file ({str(error)[:_MOST_TEXT]})") from None
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:  # not JSON, a number of thousands of digits, brackets without end
        raise NetworkError(f"the header cannot be read ({str(error)[:_MOST_TEXT]})") from None
    _require(isinstance(header, dict), f"the header is {short(header)} (a JSON object allowed)")
    return header, tensors


def _content_hash(header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256, in hex, of all that a file says: the header but for the hash itself, and every tensor."""
    said = {name: value for name, value in header.items() if name != _HASH}
    whole = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        whole.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        whole.update(array.tobytes())
    return whole.hexdigest()


def _from_parts(header: dict[str, Any], tensors: Mapping[str, NDArray[Any]]) -> Network:
    version = header.get("format_version")
    _require(
        _whole(version, 1, FORMAT_VERSION),
        f"format version {short(version)} is not known (this Ranvier reads 1 ... {FORMAT_VERSION}, a newer one may "
        "more)",
    )
    if _HASH in header:
        _require(
            header[_HASH] == _content_hash(header, tensors),
            f"is damaged or was changed after it was written (its content is not that of its {_HASH})",
        )
    try:
        return Network(
            dt_ms=header["dt_ms"],
            layers=_layers(header["layers"], tensors, traced=version != 1),
            classes=header["classes"],
            input=Input(**header["input"]),
            readout=Readout(**header["readout"]),
        )
    except (KeyError, TypeError) as error:
        raise NetworkError(f"the header or a tensor is missing or malformed ({str(error)[:_MOST_TEXT]})") from None


def _layers(settings: Any, tensors: Mapping[str, NDArray[Any]], *, traced: bool) -> tuple[Layer, ...]:
    _require(isinstance(settings, list), f"layers: {short(settings)} is not allowed (a list)")
    left = dict(tensors)
    layers = []
    for number, values in enumerate(settings):
        arrays: dict[str, Any] = {name: left.pop(f"layers.{number}.{name}") for name in _ARRAYS}
        arrays[_TRACE] = left.pop(f"layers.{number}.{_TRACE}", None)
        _require(
            traced or arrays[_TRACE] is None,
            f"layers.{number}.{_TRACE}: is not allowed in format version 1 (2 or above)",
        )
        try:
            layers.append(Layer(**arrays, **values))
        except NetworkError as error:
            raise NetworkError(f"layers.{number}.{error}") from None
    # an array that this Ranvier does not know may change what the network does
    _require(not layers or not left, f"{short(next(iter(left), ''))}: a tensor of that name is not known")
    return tuple(layers)
