"""``result.json``: what came out of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ranvier.files import write_text
from ranvier.runs.accuracy import Accuracy, Count, Record, Share, SplitAccuracy
from ranvier.runs.versioned import RunError, parse_versioned

VERSION = 1
Seconds = Annotated[float, Field(ge=0, le=1e12)]


class InitFrom(Record):
    """The network that a training started from.

    Attributes:
        run: its folder, or its name.
        recipe, seed, best_epoch, git_commit: of the training that made it.
        classes: whose output neurons were taken over.
        trained_on: kinds of data that it has learned from.
        interpolation: its share in the finished network's weights and delays.
    """

    run: str
    recipe: str | None = None
    seed: int | None = None
    best_epoch: Count | None = None
    git_commit: str | None = None
    classes: tuple[str, ...]
    trained_on: tuple[str, ...] = ()
    interpolation: Share = 0.0


class DelaysFound(Record):
    """How many of the decisive delays of a synthetic task are right up to a step.

    Attributes:
        found: after training.
        at_start: before training.
        decisive: how many there are.
    """

    found: Count
    at_start: Count
    decisive: Count


class ComparedTraining(Record):
    """A training with another kind of delays."""

    accuracy: dict[str, SplitAccuracy]
    parameters: Count
    seconds: Seconds


class RunResult(Record):
    """What came out of a run; ``result.json`` is its JSON.

    Attributes:
        version: of these fields.
        recipe, seed, delays, protocol: as configured.
        epoch_chosen_on: the split whose accuracy chose the epoch that is kept; ``nothing``: the last one is.
        accuracy: by split: ``validation``, ``seen`` (held-out clips of the speakers trained on), ``test``.
        before_rounding: accuracy on the validation clips with delays and widths as they were trained, of the same
            epoch; None where there was nothing to round or no validation.
        clips: how many, by split.
        left_out: why files are missing in the data, and which files hold no events.
        notes: what a reader has to know of the data.
        data: fingerprints, by split.
        parameters: learned numbers.
        epochs: that were trained.
        best_epoch: the one that is kept; None for a run of several trainings.
        seconds: of training.
        wall_seconds: with reading, testing and drawing.
        finished: when, in UTC.
        versions, git_commit, machine, threads: what it was made with.
        device: the card that it was trained on; None: the processor.
        init_from: what the training started from; None: at random.
        delays_found: for tasks whose best delays are known.
        comparison: trainings with other kinds of delays, by kind.
        folds: a training for each speaker left out, by speaker.
    """

    version: Literal[1] = 1
    recipe: str
    seed: int
    delays: str = ""
    protocol: Literal["honest", "paper"]
    epoch_chosen_on: Literal["validation", "test", "nothing"]
    accuracy: dict[str, SplitAccuracy]
    before_rounding: Accuracy | None = None
    clips: dict[str, Count] = Field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    data: dict[str, str] = Field(default_factory=dict)
    parameters: Count
    epochs: Count
    best_epoch: Count | None = None
    seconds: Seconds
    wall_seconds: Seconds | None = None
    finished: str | None = None
    versions: dict[str, str]
    git_commit: str | None = None
    machine: str
    threads: Count | None = None
    device: str | None = None
    init_from: InitFrom | None = None
    delays_found: DelaysFound | None = None
    comparison: dict[str, ComparedTraining] = Field(default_factory=dict)
    folds: dict[str, RunResult] = Field(default_factory=dict)


def read_result(folder: Path) -> RunResult | None:
    """``result.json`` of a run, or None while it is not finished.

    Raises:
        RunError: the file is damaged, or of a newer version.
    """
    file = folder / "result.json"
    if not file.exists():
        return None
    try:
        return parse_versioned(RunResult, file.read_bytes().decode("utf-8"), VERSION, upgrade_result)
    except (RunError, UnicodeDecodeError) as error:
        raise RunError(f"{file}: not a result ({error}); without the file --resume makes it again") from None


def write_result(folder: Path, result: RunResult) -> None:
    """Write ``result.json``."""
    write_text(folder / "result.json", result.model_dump_json(indent=2, exclude_none=True) + "\n")


def upgrade_result(values: dict[str, Any]) -> dict[str, Any]:
    """Fields of version 1 from those of a file without a version; what cannot be understood is left as it is."""
    fields = dict(values)
    init, chosen_on = fields.get("start"), fields.get("epoch_chosen_on")
    if isinstance(init, dict):
        renamed = {"trained_on": init.get("heard", []), "interpolation": init.get("share") or 0.0}
        fields["init_from"] = _known(InitFrom, {**init, **renamed})
    if isinstance(chosen_on, str):
        fields["epoch_chosen_on"] = next(
            (name for name in ("validation", "test", "nothing") if chosen_on.startswith(name)), chosen_on
        )
    if isinstance(fields.get("accuracy"), dict):
        fields["accuracy"] = {split: _accuracy(one) for split, one in fields["accuracy"].items()}
    if isinstance(comparison := fields.get("comparison"), dict):
        fields["comparison"] = {
            name: {**_known(ComparedTraining, one), "accuracy": upgrade_result(one).get("accuracy")}
            if isinstance(one, dict)
            else one
            for name, one in comparison.items()
            if name != fields.get("delays")
        }
    if isinstance(folds := fields.get("folds"), dict):
        fields["folds"] = {
            name: {**upgrade_result(one), "version": VERSION} if isinstance(one, dict) else one
            for name, one in folds.items()
        }
    return _known(RunResult, fields)


def _known(model: type[Record], values: dict[str, Any]) -> dict[str, Any]:
    """Other fields were somebody else's."""
    return {name: value for name, value in values.items() if name in model.model_fields}


def _accuracy(values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    correct = {}
    if "correct" not in values and type(values.get("value")) is float and type(values.get("clips")) is int:
        correct = {"correct": round(values["value"] * values["clips"])}
    speakers = values.get("speakers")
    inner = {"speakers": {s: _accuracy(one) for s, one in speakers.items()}} if isinstance(speakers, dict) else {}
    return {**_known(SplitAccuracy, values), **correct, **inner}
