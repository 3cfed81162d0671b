"""A search over a recipe's fields, by validation accuracy: any number of processes and machines share its folder.

A trial is an ordinary run, ``trials/N``. Its process claims it (:mod:`ranvier.locks`); a trial whose process has
died is continued by another one, from its checkpoint. The test split is never read.
"""

from __future__ import annotations

import time
import tomllib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tomli_w

from ranvier.files import write_new
from ranvier.locks import Claim, LostClaimError, claim
from ranvier.recipes.config import Config, ConfigError, build_config, flat_values
from ranvier.recipes.device import DeviceMemoryError, find_device
from ranvier.recipes.diverged import DivergedError
from ranvier.recipes.fit import ProgressCallback
from ranvier.recipes.run_config import config_values
from ranvier.recipes.search_space import Dimension
from ranvier.recipes.splits import build_splits
from ranvier.recipes.trackers import check_tracker
from ranvier.recipes.train_run import resume, train
from ranvier.runs import BusyError, EpochRow, read_metrics

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

_LOOK_AGAIN_S = 1.0
_NUMBER, _FAULT = "trial", "fault"  # what a trial of the study notes of itself
_MEDIAN_OF = 5  # finished trials that pruning begins with


@dataclass(frozen=True)
class Sweep:
    """A search.

    Attributes:
        folder: where it goes.
        config: the recipe, with what is the same in all trials.
        space: what is drawn.
        seed: of the draws.
        prune: stop trials whose validation accuracy is below the median of the others at the same epoch.
    """

    folder: Path
    config: Config
    space: tuple[Dimension, ...]
    seed: int = 0
    prune: bool = True

    def place(self, number: int) -> Path:
        """The run folder of a trial."""
        return self.folder / "trials" / str(number)

    def trial_config(self, drawn: dict[str, Any]) -> Config:
        """The recipe of a trial.

        Raises:
            ConfigError: the values do not go together.
        """
        return build_config(config_values(self.config), drawn)


@dataclass(frozen=True)
class TrialResult:
    """What became of a trial.

    Attributes:
        number: of the trial, from 0 on.
        state: ``finished``, ``pruned``, or ``failed``: it diverged, or its values do not go together.
        drawn: by field.
        accuracy: on the validation clips, of the best epoch so far, in [0, 1]; None without an epoch.
        epochs: that it was trained for.
        seconds: of training.
        fault: why it failed.
    """

    number: int
    state: Literal["finished", "pruned", "failed"]
    drawn: dict[str, Any]
    accuracy: float | None
    epochs: int
    seconds: float
    fault: str = ""


class _PrunedError(Exception):
    """The trial is not worth more epochs."""


class _Reports:
    """Passes a trial's epochs to the study, and stops it where it is pruned or taken over."""

    def __init__(self, shown: ProgressCallback, trial: Trial, known: set[int], held: Claim, prune: bool) -> None:
        self.step, self.clips = shown.step, shown.clips
        self._shown, self._trial, self._known, self._held, self._prune = shown, trial, known, held, prune
        self._epochs = 0

    def begin(self, title: str, epochs: int) -> None:
        self._epochs = epochs
        self._shown.begin(f"{title}, trial {self._held.place.name}", epochs)
        for row in read_metrics(self._held.place):  # a process may have died before it reported its last epoch
            self._report(row)

    def epoch(self, row: EpochRow) -> None:
        self._shown.epoch(row)
        self._held.check()
        self._report(row)

    def _report(self, row: EpochRow) -> None:
        assert row.validation_accuracy is not None
        if row.epoch not in self._known:
            self._trial.report(row.validation_accuracy, row.epoch)
            self._known.add(row.epoch)
            if self._prune and row.epoch < self._epochs and self._trial.should_prune():
                raise _PrunedError


def check_sweep(sweep: Sweep, progress: ProgressCallback) -> None:
    """See that the search can begin, or go on in its folder; nothing is written.

    Raises:
        ConfigError: the recipe holds out no validation clips, or the folder holds another search, or none.
        DataError: the data are not there.
    """
    config, folder = sweep.config, sweep.folder
    if config.protocol == "paper":
        raise ConfigError("protocol: 'paper' is not allowed in a sweep (honest; it would choose on the test set)")
    if config.leaves_each_speaker_out:
        raise ConfigError("data.validation: leave-one-speaker-out is not allowed in a sweep (one training a trial)")
    if (folder / "sweep.toml").exists():
        _check_same(sweep)
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder}: exists already and holds no sweep (--out another folder)")
    find_device(config.train.device)
    check_tracker(config)
    if build_splits(config, progress=progress.clips).validation is None:
        raise ConfigError("data: no validation clips are held out, and a sweep reads nothing else (a recipe with some)")


def run_sweep(sweep: Sweep, trials: int, progress: ProgressCallback) -> list[TrialResult]:
    """Finish every trial that nobody has finished; those of other processes are waited for.

    Args:
        sweep: the search.
        trials: in all, with those that are finished.
        progress: called while it goes on.

    Raises:
        ConfigError: ``optuna`` is not installed, or the folder holds another search.
    """
    study = _open(sweep)
    while True:
        worked, busy = False, False
        for number in range(trials):
            if _is_finished(study, number):
                continue
            try:
                with claim(sweep.place(number)) as held:
                    if not _is_finished(study, number):
                        _run_trial(sweep, study, held, progress)
                    worked = True
            except (BlockingIOError, BusyError, LostClaimError):
                busy = True
        if not busy:
            return [_result(sweep, trial) for number in range(trials) if (trial := _find(study, number)) is not None]
        if not worked:
            time.sleep(_LOOK_AGAIN_S)


def best_trial(results: Sequence[TrialResult]) -> TrialResult | None:
    """The finished trial of highest validation accuracy; the first of several."""
    finished = [one for one in results if one.state == "finished"]
    return max(finished, key=lambda one: (one.accuracy or 0.0, -one.number), default=None)


def importances(sweep: Sweep) -> dict[str, float]:
    """How much of the accuracy each field decides, PED-ANOVA's, as shares; empty where there are too few trials.

    Source: Watanabe, Bansal, Hutter, IJCAI 2023, arXiv 2304.10255.
    """
    from optuna import importance
    from optuna.exceptions import ExperimentalWarning
    from optuna.trial import TrialState

    study = _open(sweep)
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len({trial.value for trial in finished}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # what optuna 4 calls this evaluator
        return importance.get_param_importances(study, evaluator=importance.PedAnovaImportanceEvaluator())


def _open(sweep: Sweep) -> Study:
    try:
        import optuna
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
    except ImportError:
        raise ConfigError("optuna: is not installed (pip install 'ranvier[sweep]')") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sweep.place(0).parent.mkdir(parents=True, exist_ok=True)
    if not write_new(sweep.folder / "sweep.toml", tomli_w.dumps(_settings(sweep))):
        _check_same(sweep)
    file = str((sweep.folder / "study.journal").absolute())
    pruner = optuna.pruners.MedianPruner(_MEDIAN_OF, n_warmup_steps=max(1, sweep.config.train.epochs // 4))
    return optuna.create_study(
        storage=optuna.storages.JournalStorage(JournalFileBackend(file, JournalFileOpenLock(file))),
        study_name="sweep",
        direction="maximize",
        pruner=pruner,
        load_if_exists=True,
    )


def _settings(sweep: Sweep) -> dict[str, Any]:
    drawn = {dimension.field: dimension.text for dimension in sweep.space}
    return {"seed": sweep.seed, "prune": sweep.prune, "set": drawn, "recipe": config_values(sweep.config)}


def _check_same(sweep: Sweep) -> None:
    file = sweep.folder / "sweep.toml"
    try:
        there = _by_name(tomllib.loads(file.read_text(encoding="utf-8")))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file}: is damaged ({error})") from None
    here = _by_name(_settings(sweep))
    for name in {**there, **here}:
        if name not in ("data.root", "tracker") and there.get(name) != here.get(name):
            raise ConfigError(
                f"{sweep.folder}: was begun with {name} = {there.get(name)}, not {here.get(name)} "
                "(--out another folder)"
            )


def _by_name(known: dict[str, Any]) -> dict[str, str]:
    """What :func:`_settings` says, by the names that the command line has for it."""
    own = {"--seed": str(known["seed"]), "pruning": str(known["prune"])}
    return {**flat_values(build_config(known["recipe"])), **own, **known["set"]}


def _find(study: Study, number: int) -> FrozenTrial | None:
    return next((one for one in study.get_trials(deepcopy=False) if one.user_attrs.get(_NUMBER) == number), None)


def _is_finished(study: Study, number: int) -> bool:
    trial = _find(study, number)
    return trial is not None and trial.state.is_finished()


def _trial(sweep: Sweep, study: Study, number: int) -> tuple[Trial, set[int]]:
    """The trial of that number, new or as its last process left it, and the epochs that are reported."""
    import optuna

    there = _find(study, number)
    if there is None:  # made with its number at once: a process may die at any time
        made = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING, user_attrs={_NUMBER: number})
        study.add_trial(made)
        there = _find(study, number)
        assert there is not None
    # the draws of a trial depend on its number and on what is known, not on the process
    seed = int(np.random.SeedSequence([sweep.seed, number]).generate_state(1)[0])
    study.sampler = optuna.samplers.TPESampler(seed=seed)
    return optuna.trial.Trial(study, there._trial_id), set(there.intermediate_values)


def _run_trial(sweep: Sweep, study: Study, held: Claim, progress: ProgressCallback) -> None:
    from optuna.trial import TrialState

    place = held.place
    trial, known = _trial(sweep, study, int(place.name))
    drawn = {dimension.field: dimension.suggest(trial) for dimension in sweep.space}
    reports = _Reports(progress, trial, known, held, sweep.prune)

    def fail(error: ConfigError) -> None:
        trial.set_user_attr(_FAULT, str(error).removeprefix(f"{place}: "))
        study.tell(trial, state=TrialState.PRUNED)

    try:
        config = sweep.trial_config(drawn)
    except ConfigError as error:
        return fail(error)
    try:
        if (place / "config.toml").exists():
            result = resume(place, reports, read_test=False)
        else:
            result = train(config, place, reports, read_test=False)
    except _PrunedError:
        study.tell(trial, state=TrialState.PRUNED)
    except (DivergedError, DeviceMemoryError) as error:  # whatever else is wrong is not of what was drawn
        fail(error)
    else:
        study.tell(trial, result.accuracy["validation"].value)


def _result(sweep: Sweep, trial: FrozenTrial) -> TrialResult:
    from optuna.trial import TrialState

    number, fault = trial.user_attrs[_NUMBER], trial.user_attrs.get(_FAULT, "")
    finished = trial.state == TrialState.COMPLETE
    rows = read_metrics(sweep.place(number)) if sweep.place(number).is_dir() else []
    seen = list(trial.intermediate_values.values())
    return TrialResult(
        number,
        "finished" if finished else "failed" if fault else "pruned",
        trial.params,
        trial.value if finished else max(seen, default=None),
        len(seen),
        rows[-1].seconds if rows else 0.0,
        fault,
    )
