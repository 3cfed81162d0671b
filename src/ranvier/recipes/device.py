"""Where a network is trained, and how exactly its products are computed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ranvier.recipes.config import ConfigError
from ranvier.recipes.sections import Precision, TrainConfig, check_device
from ranvier.runs.provenance import machine

# torch's names for the number formats that a product of float32 matrices may be computed in
_PRECISION: dict[Precision, str] = {"float32": "highest", "tf32": "high", "bfloat16": "medium"}


def find_device(name: str, field: str = "train.device") -> torch.device:
    """The device of a name.

    Args:
        name: ``auto`` (CUDA where there is a device that works, else the CPU), ``cpu``, ``cuda``, ``cuda:N``, ``mps``.
        field: that the name was given in, for the message.

    Where torchrun has started several processes on this machine, each has its own CUDA device, by LOCAL_RANK.

    Raises:
        ConfigError: this machine has no such device, or it does not work.
    """
    own = int(os.environ.get("LOCAL_RANK", "0"))  # torchrun gives each process of a machine its card
    fault = None if name in ("cpu", "mps") else _cuda_fault()
    if name == "auto" and fault is not None:
        return torch.device("cpu")
    try:
        check_device(name)
    except ValueError as error:
        raise ConfigError(f"{field}: {name!r} is not allowed ({error})") from None
    kind, _, number = name.partition(":")
    if kind in ("cuda", "auto"):
        if fault is not None:
            raise ConfigError(f"{field}: {name!r} is not available here ({fault}; auto and cpu always are)")
        if number and "LOCAL_RANK" in os.environ:
            raise ConfigError(f"{field}: {name!r} is not allowed for several processes (cuda, a device for each)")
        place, there = int(number or own), torch.cuda.device_count()
        if place >= there:
            wanted = f"process {own} of this machine" if not number else repr(name)
            raise ConfigError(f"{field}: {wanted} has no device (there are {there}; as many processes allowed, or cpu)")
        return torch.device("cuda", place)
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError(f"{field}: 'mps' is not available here (Apple's GPUs only; auto and cpu always are)")
    return torch.device(kind)


def _cuda_fault() -> str | None:
    """Why CUDA cannot be used; None if it can."""
    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    try:
        torch.ones(1, device="cuda").add_(1).item()
    except RuntimeError as error:  # a driver too old, a card that this torch was not built for
        return str(error).partition("\n")[0]
    return None


def describe_device(device: torch.device) -> str:
    """The card's name, or the processor's."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else machine()


class DeviceMemoryError(ConfigError):
    """A batch does not fit into the memory of the device."""


@contextmanager
def name_batch_size(train: TrainConfig) -> Iterator[None]:
    """Say which setting to lower where a device's memory does not suffice.

    Raises:
        DeviceMemoryError: it does not.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise DeviceMemoryError(
            f"train.batch_size: {train.batch_size} clips at once need more memory than is free on "
            f"train.device = {train.device} (lower train.batch_size)"
        ) from None


@contextmanager
def matmul_precision(precision: Precision) -> Iterator[None]:
    """Compute products of float32 matrices in that format; sums, and whatever is no matrix product, stay in float32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(_PRECISION[precision])
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def to_cpu(value: Any) -> Any:
    """The same dictionaries, lists and tuples with every tensor on the CPU."""
    if isinstance(value, Tensor):
        return value.cpu()
    if isinstance(value, dict):
        return {name: to_cpu(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(to_cpu, value))
    return value


def random_state(device: torch.device) -> Tensor:
    """State of torch's own generator on a device."""
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else torch.get_rng_state()


def set_random_state(device: torch.device, state: Tensor) -> None:
    """Restore what :func:`random_state` returned."""
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    elif device.type == "mps":
        torch.mps.set_rng_state(state)
    else:
        torch.set_rng_state(state)
