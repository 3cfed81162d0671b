"""Does a network use its delays, and the timing of its input? Its accuracy where one of them is disturbed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ranvier.analysis.delays import mean_delays, permuted_delays
from ranvier.analysis.intervals import Mean
from ranvier.corpora.splits import joint_fingerprint
from ranvier.data import DataError, FrameDataset, SpikeDataset, read_recording
from ranvier.data.class_names import with_classes
from ranvier.data.dataset import check_clips
from ranvier.data.disturb import Events, drop_events, equalise_channels, jitter_events, reverse_time
from ranvier.network import Network
from ranvier.recipes.config import ConfigError, flat_values
from ranvier.recipes.evaluation import evaluate, grid_of, read_network
from ranvier.recipes.run_config import read_config
from ranvier.recipes.splits import build_splits
from ranvier.runs import Gain, ProbeResult, read_result

JITTERS_MS = (5.0, 10.0, 20.0, 30.0, 50.0)
DELETIONS = (0.1, 0.2, 0.3, 0.4, 0.5)

Change = Callable[[Events, int], Events]
Progress = Callable[[int, int], None]
_Kind = Literal["nothing", "delays", "order", "counts", "jitter", "deletion", "control"]
# what may differ between a run and its control: nothing else changes what is trained
_FREE = {"name", "summary", "compare", "compare_weight_lr", "tracker", "data.root", "train.device"}
_FREE |= {"model.delays", "model.learn_sigma"}


def probe(
    network: Network,
    dataset: SpikeDataset | FrameDataset,
    clips: NDArray[np.int64],
    *,
    control: Network | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[ProbeResult]:
    """Accuracy of a frozen network as it is, with its delays disturbed, and with its input disturbed.

    Permuting shows that delays are used, whether they were learned or not. Whether learning them helped is said by a
    control, trained alike with fixed delays.

    Args:
        network: what to run.
        dataset: clips of spikes on the network's grid.
        clips: indices of the clips.
        control: the network of a twin with fixed delays, see :func:`read_control`; None for none.
        seed: of all that is drawn.
        progress: called with (clips run, clips in all).

    Raises:
        DataError: the clips are frames, or their classes not the network's, or those not the control's.

    Source: arXiv 2507.16043; the control: DelRec, arXiv 2509.24852.
    """
    if not isinstance(dataset, SpikeDataset):
        raise DataError("its clips are frames, not spikes, so they cannot be disturbed")
    if control is not None and control.classes != network.classes:
        raise DataError(f"control: classes {', '.join(control.classes)} ({', '.join(network.classes)} allowed)")
    clips = check_clips(clips, len(dataset))
    trials = [*_trials(network, seed), *_control_trials(control, seed)]
    found: list[ProbeResult] = []
    predictions: list[NDArray[np.int64]] = []
    for number, (name, kind, amount, changed, change) in enumerate(trials):

        def report(done: int, total: int, before: int = number) -> None:
            if progress is not None:
                progress(before * total + done, len(trials) * total)

        data, chosen = (dataset, clips) if change is None else (_changed(dataset, clips, change), None)
        outcome = evaluate(changed, data, chosen, progress=report)
        gain = None
        if kind == "control" and changed is control:
            labels = with_classes(dataset, network.classes)[0].labels[clips]
            gain = _gain(predictions[0] == labels, outcome.predictions == labels)
        predictions.append(outcome.predictions)
        found.append(ProbeResult(name=name, kind=kind, amount=amount, accuracy=outcome.accuracy, gain=gain))
    return found


def _gain(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> Gain:
    """How many more of the clips ``[clip]`` are right in the first than in the second."""
    mean = Mean.of((one.astype(np.int64) - other).tolist())
    if not mean.half:
        return Gain(value=mean.value)
    return Gain(value=mean.value, low=mean.value - mean.half, high=mean.value + mean.half)


def _trials(network: Network, seed: int) -> Iterator[tuple[str, _Kind, float | None, Network, Change | None]]:
    def drawn(number: int) -> np.random.Generator:
        return np.random.default_rng([seed, number])

    yield "as it is", "nothing", None, network, None
    yield "delays permuted within each layer", "delays", None, permuted_delays(network, drawn(0)), None
    yield "every delay its layer's mean", "delays", None, mean_delays(network), None
    yield "clips backwards", "order", None, network, reverse_time
    generator = drawn(1)
    yield (
        "same number of events in every channel",
        "counts",
        None,
        network,
        lambda events, _: equalise_channels(events, generator),
    )
    for number, jitter_ms in enumerate(JITTERS_MS, 10):
        change = _jitter(drawn(number), jitter_ms / network.dt_ms)
        yield f"events moved by {jitter_ms:g} ms (standard deviation)", "jitter", jitter_ms, network, change
    for number, share in enumerate(DELETIONS, 100):
        yield f"{100 * share:.0f}% of events deleted", "deletion", share, network, _deletion(drawn(number), share)


def _control_trials(
    control: Network | None, seed: int
) -> Iterator[tuple[str, _Kind, float | None, Network, Change | None]]:
    if control is not None:
        permuted = permuted_delays(control, np.random.default_rng([seed, 0]))
        yield "control, trained with fixed delays", "control", None, control, None
        yield "control, delays permuted within each layer", "control", None, permuted, None


def _jitter(generator: np.random.Generator, sigma_steps: float) -> Change:
    return lambda events, length: jitter_events(events, length, generator, sigma_steps=sigma_steps)


def _deletion(generator: np.random.Generator, share: float) -> Change:
    return lambda events, _: drop_events(events, generator, share=share)


def _changed(dataset: SpikeDataset, clips: NDArray[np.int64], change: Change) -> SpikeDataset:
    lengths = dataset.lengths[clips]
    made = SpikeDataset.pack(
        [change(dataset.clip(int(clip)), int(length)) for clip, length in zip(clips, lengths, strict=True)],
        labels=dataset.labels[clips],
        speakers=None,
        classes=dataset.classes,
        sources=dataset.sources,
        dt_ms=dataset.dt_ms,
    )
    return replace(made, lengths=lengths)  # a clip is as long as it was, whatever is left in it


def find_clips(
    place: Path,
    data: Path | None,
    data_root: Path | None = None,
    parts: Sequence[Literal["test", "validation"]] = ("test", "validation"),
) -> tuple[Network, SpikeDataset | FrameDataset, NDArray[np.int64], str]:
    """The network of a file or of a run's folder, and clips for it: of ``data``, or what the run was not trained on.

    Args:
        place: of the network.
        data: recording in SHD's format.
        data_root: where the run's data are now; None means where they were.
        parts: of the run's clips, the first that there is.

    Returns:
        Network, data set, indices of the clips, and what they are, in words.

    Raises:
        ConfigError, DataError, NetworkError: something is not there or does not fit.
    """
    network = read_network(place)
    if data is not None:
        dataset = read_recording(data, grid_of(network), classes=len(network.classes))
        try:
            dataset, by_number = with_classes(dataset, network.classes)
        except DataError as error:
            raise DataError(f"{data}: {error}") from None
        what = f"{data} (classes matched by number)" if by_number else str(data)
        return network, dataset, np.arange(len(dataset)), what
    if not place.is_dir():
        raise ConfigError(f"{place}: is a network alone: --data FILE says what to run it on")
    splits = build_splits(read_config(place, data_root))
    for name in parts:
        part = splits.read_test() if name == "test" else splits.validation
        if part is not None:
            return network, part.dataset, part.clips, f"the run's {name} clips"
    raise ConfigError(f"{place}: has no {' or '.join(parts)} clips: --data FILE says what to run it on")


def read_control(run: Path, control: Path) -> Network:
    """The network of a run's twin: the same recipe and seed, data and all, but delays fixed where they start.

    Args:
        run: folder of a run with learned delays.
        control: folder of the run with fixed delays.

    Raises:
        ConfigError: one is no run's folder, the recipes differ in more than the delays, or the data do; names what.
        RunError, NetworkError: something of them is missing or damaged.
    """
    for folder in (run, control):
        if not folder.is_dir():
            raise ConfigError(f"--control: {folder} is no run's folder (two runs' folders allowed)")
    ours, theirs = (flat_values(read_config(folder)) for folder in (run, control))
    for folder, values, delays in ((run, ours, "learned"), (control, theirs, "fixed")):
        if values["model.delays"] != delays:
            raise ConfigError(f"--control: {folder} has model.delays = {values['model.delays']} ({delays} allowed)")
    for field in sorted(ours.keys() | theirs.keys()):
        if field not in _FREE and ours.get(field) != theirs.get(field):
            raise ConfigError(
                f"--control: {control} has {field} = {theirs.get(field, 'none')}, {run} has {ours.get(field, 'none')} "
                "(only model.delays and model.learn_sigma may differ)"
            )
    results = [read_result(folder) for folder in (run, control)]
    for folder, result in zip((run, control), results, strict=True):
        if result is None:
            raise ConfigError(f"--control: {folder} has not finished (two finished runs allowed)")
    if joint_fingerprint(results[0].data) != joint_fingerprint(results[1].data):  # type: ignore[union-attr]
        raise ConfigError(f"--control: {control} was trained on other data than {run} (the same allowed)")
    return read_network(control)
