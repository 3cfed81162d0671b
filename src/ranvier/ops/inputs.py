"""What an equation takes: tensors over time, of its parameters' own type and device."""

from __future__ import annotations

import torch
from torch import Tensor


def over_time(name: str, x: object, parameter: Tensor, axis: str, size: int | None = None) -> Tensor:
    """``x [time, batch, axis]`` in the type of the parameter that it meets.

    Another type is converted where that loses nothing but digits, as ``x.float()`` does for NumPy's float64; on a GPU
    values are not looked at.

    Args:
        name: of the argument, for the message.
        x: real numbers.
        parameter: whose type and device are wanted.
        axis: name of the last axis.
        size: its length, if it is given.

    Raises:
        ValueError: ``x`` is not such a tensor; the message names its shape, its type or its device.
    """
    if not isinstance(x, Tensor):
        hint = "; ranvier.models.Stack takes modules that return (y, state)" if isinstance(x, tuple) else ""
        raise ValueError(f"{name}: {type(x).__name__} is not allowed (a tensor [time, batch, {axis}]{hint})")
    if x.ndim != 3 or size not in (None, x.shape[2]):
        wanted = f"[time, batch, {axis}]" if size is None else f"[time, batch, {size} {axis}s]"
        hint = " (x.unsqueeze(1) makes a batch of one)" if x.ndim == 2 else ""
        raise ValueError(f"{name}: shape {tuple(x.shape)} is not {wanted}{hint}")
    return of_type(name, x, parameter)


def neuron_inputs(
    name: str, x: Tensor, state: Tensor | None, rows: tuple[int, ...] = (), **per_neuron: Tensor
) -> tuple[Tensor, Tensor | None]:
    """``x [time, batch, neuron]`` and ``state [batch, *rows, neuron]`` in the type of the decay.

    Args:
        name: of ``x``, for the message.
        x: see :func:`over_time`.
        state: at the end of the steps before, or None.
        rows: numbers that a neuron's state has, ``(n,)``; one if empty.
        per_neuron: ``decay`` and other values, scalar or ``[neuron]``.

    Raises:
        ValueError: a shape, a type or a device does not fit; the message names the argument.
    """
    x = over_time(name, x, per_neuron["decay"], "neuron")
    for key, value in per_neuron.items():
        if value.shape not in ((), x.shape[2:]):
            raise ValueError(f"{key}: shape {tuple(value.shape)} is neither a scalar nor [{x.shape[2]}]")
    wanted = (x.shape[1], *rows, x.shape[2])
    if state is not None and state.shape != wanted:
        raise ValueError(f"state: shape {tuple(state.shape)} is not {wanted}")
    return x, None if state is None else of_type("state", state, per_neuron["decay"])


def of_type(name: str, x: Tensor, parameter: Tensor) -> Tensor:
    """``x`` in the type of ``parameter``; see :func:`over_time`."""
    if x.device != parameter.device and parameter.ndim:  # torch takes a number from any device
        raise ValueError(f"{name}: is on {x.device} ({parameter.device} allowed, where the parameters are)")
    if x.dtype == parameter.dtype:
        return x
    wanted = str(parameter.dtype).removeprefix("torch.")
    if x.is_complex():
        raise ValueError(f"{name}: {x.dtype} is not allowed (real numbers that {wanted} can hold)")
    converted = x.to(parameter.dtype)
    # a compiled graph cannot look at values, and to look at those on a GPU is to wait for them
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return converted
    if torch.promote_types(x.dtype, parameter.dtype) != parameter.dtype:
        held = converted.isfinite()
    elif not x.is_floating_point() and x.dtype != torch.bool:
        held = converted.to(x.dtype) == x
    else:
        return converted
    if not held.all():
        raise ValueError(f"{name}: {x.dtype} with values that {wanted} cannot hold is not allowed (finite numbers)")
    return converted


def clip_lengths(name: str, lengths: object, x: Tensor) -> Tensor:
    """Steps of each clip of ``x [time, batch, ...]`` as int64 ``[batch]``.

    Args:
        name: of the argument, for the message.
        lengths: whole numbers in [0, time], one for each clip; on a GPU not compared with the time, which would be to
            wait for them.
        x: holds the clips.

    Raises:
        ValueError: they are not such numbers; the message names their type, shape or range.
    """
    time, batch = x.shape[:2]
    try:
        steps = torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name}: {type(lengths).__name__} is not allowed (whole numbers [{batch}])") from None
    if steps.is_floating_point() or steps.is_complex() or steps.dtype == torch.bool:
        raise ValueError(f"{name}: {steps.dtype} is not allowed (whole numbers of steps)")
    if steps.shape != (batch,):
        raise ValueError(f"{name}: shape {tuple(steps.shape)} is not [{batch}], the clips of the batch")
    if steps.device.type == "cpu" and batch and not torch.compiler.is_compiling():
        shortest, longest = (int(end) for end in steps.aminmax())
        if shortest < 0 or longest > time:
            raise ValueError(f"{name}: {shortest} ... {longest} is not allowed (0 ... {time} steps)")
    return steps.to(x.device, torch.int64, non_blocking=True)
