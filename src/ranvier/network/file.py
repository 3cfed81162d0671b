"""Network files: one safetensors file whose header describes the parts (format 3)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from reprlib import repr as short
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ranvier.files import write_atomically
from ranvier.network.decoding import Decoding
from ranvier.network.input import Input
from ranvier.network.layer import Layer
from ranvier.network.network import Network
from ranvier.network.part import Connection, Neuron, Output
from ranvier.network.rules import NetworkError, is_whole, require
from ranvier.network.upgrade import upgrade

FORMAT_VERSION = 3
_HEADER = "ranvier"
_HASH = "sha256"  # of header and tensors; the oldest files have none
_DTYPES = ("F32", "I16", "I8", "I32")
_MAX_TEXT = 200  # characters of another library's message
_Read = TypeVar("_Read")


def write(network: Network, path: str | os.PathLike[str]) -> None:
    """See :meth:`Network.write`."""
    header: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "dt_ms": network.dt_ms,
        "classes": list(network.classes),
        "input": asdict(network.input),
        "decoding": network.decoding.settings(),
        "layers": [
            {
                "name": layer.name,
                "inputs": [connection.settings() for connection in layer.inputs],
                "neuron": layer.neuron.settings(),
                "output": None if layer.output is None else layer.output.settings(),
            }
            for layer in network.layers
        ],
    }
    tensors: dict[str, NDArray[Any]] = {}
    for number, layer in enumerate(network.layers):
        tensors[f"layers.{number}.bias"] = layer.bias
        for place, part in layer.parts().items():
            tensors |= {f"layers.{number}.{place}.{name}": array for name, array in part.arrays().items()}
    header[_HASH] = content_hash(header, tensors)
    with write_atomically(path) as temporary:
        temporary.write_bytes(save(tensors, {_HEADER: json.dumps(header)}))


def read(path: str | os.PathLike[str]) -> Network:
    """See :meth:`Network.read`."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such network file")
    if not path.is_file():
        kind = "folder" if path.is_dir() else "device or pipe"
        raise NetworkError(f"{path}: is a {kind} (a network.safetensors file is needed)")
    try:
        return _network(*_content(path))
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from None


def content_hash(header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256, in hex, of all that a file says: the header but for the hash itself, and every tensor."""
    said = {name: value for name, value in header.items() if name != _HASH}
    whole = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        whole.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        whole.update(array.tobytes())
    return whole.hexdigest()


def _content(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and tensors of a file; nothing larger than the file is made before its kind is known."""
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(_HEADER)
            if text is None:
                raise NetworkError("not a Ranvier network (the file's header says nothing of one)")
            names = list(file.keys())
            for name in names:
                dtype = file.get_slice(name).get_dtype()
                require(dtype in _DTYPES, f"{short(name)}: dtype {dtype} is not allowed ({', '.join(_DTYPES)})")
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, UnicodeError, MemoryError) as error:
        raise NetworkError(f"not a whole safetensors file ({str(error)[:_MAX_TEXT]})") from None
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:  # not JSON, a number of thousands of digits, brackets without end
        raise NetworkError(f"the header cannot be read ({str(error)[:_MAX_TEXT]})") from None
    require(isinstance(header, dict), f"the header is {short(header)} (a JSON object allowed)")
    return header, tensors


def _network(header: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Network:
    version = header.get("format_version")
    require(
        is_whole(version, 1, FORMAT_VERSION),
        f"format version {short(version)} is not known (this Ranvier reads 1 ... {FORMAT_VERSION}, a newer one may "
        "more)",
    )
    if _HASH in header:
        require(
            header[_HASH] == content_hash(header, tensors),
            f"is damaged or was changed after it was written (its content is not that of its {_HASH})",
        )
    try:
        header, tensors = upgrade(header, tensors)
        layers = _layers(header["layers"], tensors)
        return Network(
            dt_ms=header["dt_ms"],
            layers=layers,
            classes=header["classes"],
            input=Input(**header["input"]),
            decoding=Decoding(**header["decoding"]),
        )
    except (KeyError, TypeError) as error:
        raise NetworkError(f"the header or a tensor is missing or malformed ({str(error)[:_MAX_TEXT]})") from None


def _layers(settings: Any, tensors: Mapping[str, NDArray[Any]]) -> tuple[Layer, ...]:
    require(isinstance(settings, list), f"layers: {short(settings)} is not allowed (a list)")
    left = dict(tensors)
    layers = []
    for number, values in enumerate(settings):
        where = f"layers.{number}"
        require(isinstance(values, dict), f"{where}: {short(values)} is not allowed (a JSON object)")
        unknown = sorted(values.keys() - {"name", "inputs", "neuron", "output"})
        require(not unknown, f"{where}.{short(next(iter(unknown), ''))}: is not known")
        require(
            isinstance(values["inputs"], list), f"{where}.inputs: {short(values['inputs'])} is not allowed (a list)"
        )
        inputs = tuple(
            _part(f"{where}.inputs.{n}", Connection.read, value, left) for n, value in enumerate(values["inputs"])
        )
        neuron = _part(f"{where}.neuron", Neuron.read, values["neuron"], left)
        output = values["output"]
        output = None if output is None else _part(f"{where}.output", Output.read, output, left)
        bias = left.pop(f"{where}.bias")
        try:
            layers.append(Layer(values["name"], inputs, bias, neuron, output))
        except NetworkError as error:
            raise NetworkError(f"{where}.{error}") from None
    # an array that this Ranvier does not know may change what the network does
    require(not left, f"{short(next(iter(left), ''))}: a tensor of that name is not known")
    return tuple(layers)


def _part(
    place: str, read: Callable[[Any, dict[str, NDArray[Any]]], _Read], settings: Any, left: dict[str, NDArray[Any]]
) -> _Read:
    """The part of that place, whose tensors are taken out of ``left``."""
    names = [name for name in left if name.startswith(f"{place}.")]
    arrays = {name.removeprefix(f"{place}."): left.pop(name) for name in names}
    try:
        return read(settings, arrays)
    except NetworkError as error:
        raise NetworkError(f"{place}.{error}") from None
