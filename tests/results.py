"""Results of runs that never were."""

from __future__ import annotations

from typing import Any, TypeVar

from ranvier.runs import RunResult

T = TypeVar("T")


def run_result(**changes: Any) -> RunResult:
    """A result with every field that has to be there; values are checked."""
    fields = {
        "recipe": "mine",
        "seed": 0,
        "protocol": "honest",
        "epoch_chosen_on": "validation",
        "accuracy": {},
        "parameters": 5,
        "epochs": 2,
        "best_epoch": 1,
        "seconds": 1.0,
        "versions": {"ranvier": "0.1.0"},
        "machine": "a machine, 2 cores, Linux",
    }
    return RunResult.model_validate({**fields, **changes})


def present(value: T | None) -> T:
    """A value that has to be there."""
    assert value is not None
    return value
