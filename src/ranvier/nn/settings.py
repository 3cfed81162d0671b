"""Settings that are no tensors as part of a module's state."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

Settings = dict[str, tuple[str, ...]]


class WithSettings(nn.Module):
    """A module whose state holds what defines it besides its tensors; a state of another module is refused.

    The settings are one tensor of numbers in the state, so that what goes through a state tensor by tensor can go on
    doing so. A state without them, of a version before there were any, is loaded unchecked.
    """

    defined_by: ClassVar[Settings] = {}
    """Name of every such attribute, and its choices where it is no number. New ones are added at the end."""

    def _settings(self) -> list[Any]:
        return [attrgetter(name)(self) for name in self.defined_by]

    def get_extra_state(self) -> Tensor:
        """The settings as numbers; a choice by its place among the choices."""
        pairs = zip(self._settings(), self.defined_by.values(), strict=True)
        numbers = [float(choices.index(value) if choices else value) for value, choices in pairs]
        return torch.tensor(numbers, dtype=torch.float64, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        """Nothing: settings are compared before anything is loaded."""

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        theirs = state_dict.setdefault(f"{prefix}_extra_state", self.get_extra_state())
        # the shorter of the two is of an earlier version
        rows = zip(self.defined_by.items(), self._settings(), self.get_extra_state().tolist(), strict=True)
        other = [
            f"{prefix}{name}: {_named(there, choices)} in the state, {ours} here (must be equal)"
            for ((name, choices), ours, here), there in zip(rows, theirs.tolist(), strict=False)
            if there != here
        ]
        error_msgs.extend(other)
        if not other:
            super()._load_from_state_dict(
                state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
            )


def _named(number: float, choices: tuple[str, ...]) -> str:
    return choices[int(number)] if choices and 0 <= number < len(choices) else f"{number:g}"
