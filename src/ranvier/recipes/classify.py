"""What a frozen network says of sound files, of clips of a recording, and of sound that comes through a pipe."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.audio.ear import Ear, StreamingEar, clip_generator
from ranvier.audio.pcm import PcmStream
from ranvier.audio.sound import read_sound
from ranvier.audio.sound_files import find_sounds
from ranvier.corpora.corpus import EarForm
from ranvier.data.dataset import DataError
from ranvier.data.event_files import SUFFIXES
from ranvier.data.file_kind import file_kind
from ranvier.data.recording import Recording
from ranvier.data.recording_rules import TimeUnit
from ranvier.engine import Engine
from ranvier.engine.clip import Events
from ranvier.network import Network
from ranvier.recipes.config import ConfigError
from ranvier.recipes.evaluation import grid_of
from ranvier.recipes.live import Decision, Live, lead
from ranvier.recipes.run_config import read_config

LONGEST_S = 60.0
_WARM_S = 0.5
_HELPS = "--time-unit names another unit"
_HELPS_ALONE = f"{_HELPS}, --clips leaves clips out"


@dataclass(frozen=True)
class Classified:
    """What the network says of a clip.

    Attributes:
        input: file that it comes from.
        clip: number in a recording; None of a sound file.
        name: of the class with the highest score.
        margin: by how much it leads, as a share of all scores, in [0, 1].
        second: class with the next highest score; None where there is one class.
    """

    input: str
    clip: int | None
    name: str
    margin: float
    second: str | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "margin": round(self.margin, 4)}


@dataclass(frozen=True)
class TimedDecision:
    """A decision on live sound.

    Attributes:
        decision: what was decided.
        latency_ms: from the last sound that it rests on to now.
    """

    decision: Decision
    latency_ms: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        decision = asdict(self.decision)
        del decision["index"]
        rounded = {name: round(decision[name], 4) for name in ("begin_s", "decided_s", "margin")}
        return {**decision, **rounded, "latency_ms": round(self.latency_ms, 1)}


def trained_ear(place: Path) -> EarForm | None:
    """Which ear the spikes came from that a network was trained on, by its run; None where nothing says so.

    Args:
        place: a run's folder, or a network file; that of a run lies in its folder.
    """
    folder = place if place.is_dir() else place.parent
    return read_config(folder).data.ear_form if (folder / "config.toml").is_file() else None


def choose_ear(trained: EarForm | None, asked: EarForm | None) -> EarForm:
    """The ear that sound files pass: what was asked for, else that of the training.

    Raises:
        ConfigError: nothing says which.
    """
    if asked is not None:
        return asked
    if trained is None:
        raise ConfigError("--ear: nothing says which ear the network was trained with (--ear streaming, --ear clip)")
    if trained == "custom":
        raise ConfigError(
            "the network was trained on spikes of an ear with settings of its own: encode the sound with these, and "
            "run the recording (or --ear streaming, --ear clip)"
        )
    return trained


def is_recording(place: Path) -> bool:
    """Whether an input is a recording of spikes or a clip of events, not sound."""
    return place.is_file() and (place.suffix.lower() in SUFFIXES or file_kind(place)[0] in ("hdf5", "gzip"))


def classify_sounds(network: Network, places: Sequence[Path], form: EarForm, *, seed: int = 0) -> Iterator[Classified]:
    """Encode sound files and classify them, one after the other.

    Args:
        network: what to run.
        places: files and folders.
        form: which ear, ``clip`` or ``streaming``.
        seed: of the nerve fibres.

    Raises:
        DataError, FileNotFoundError: a file is no sound, is damaged or silent, or lasts more than 60 s.
    """
    channels = network.input.channels
    streaming, whole, engine = StreamingEar(channels=channels), Ear(channels=channels), Engine(network)
    for path, _ in find_sounds(places).files:
        sound = read_sound(path, longest_s=LONGEST_S)
        try:
            if form == "streaming":
                times, units = streaming.encode(sound, seed=seed)
            else:
                times, units = whole.encode(sound, clip_generator(seed, sound))
            events = grid_of(network).count(times, units)
        except ValueError as error:
            raise DataError(f"{path}: {error}") from None
        yield _classified(engine, events, str(path), None)


def classify_clips(
    network: Network,
    path: Path,
    chosen: str | None = None,
    time_unit: TimeUnit | None = None,
    *,
    alone: bool = True,
) -> Iterator[Classified]:
    """Classify clips of a recording; it needs no labels.

    Args:
        network: what to run.
        path: recording in SHD's HDF5 format, or a clip of events (t, x) in ``.npz``, ``.npy``, HDF5 or ``.csv``.
        chosen: numbers and ranges, as ``0,5,7-9``; None takes all.
        time_unit: unit of its times; None takes what it says, else seconds.
        alone: whether ``chosen`` may be given, as it is the only input; errors name what helps.

    Raises:
        DataError, FileNotFoundError: the recording is damaged or lacks such a clip, or a clip is too long.
    """
    recording = Recording.open(path, channels=network.input.channels, time_unit=time_unit)
    clips = None if chosen is None else chosen_clips(chosen, recording.size)
    helps = _HELPS_ALONE if alone and recording.size > 1 else _HELPS
    engine = Engine(network)
    for number, (times, units) in enumerate(recording.events()):
        if clips is None or number in clips:
            try:
                counted = grid_of(network).count(times, units, per_second=recording.per_second)
            except ValueError as error:
                raise recording.refused_steps(number, times, error, helps) from None
            yield _classified(engine, counted, str(path), number)
        if clips is not None and number >= max(clips):
            return


def chosen_clips(text: str, size: int) -> set[int]:
    """Clips of a list of numbers and ranges, as ``0,5,7-9``.

    Raises:
        DataError: it is something else, or names a clip that is not there.
    """
    clips: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part)
        first = int(found[1]) if found else 0
        last = int(found[2] or first) if found else -1
        if not first <= last < size:
            raise DataError(f"--clips: {part!r} is not allowed (numbers and ranges in 0 ... {size - 1}, as 0,5,7-9)")
        clips.update(range(first, last + 1))
    return clips


def _classified(engine: Engine, events: Events, path: str, clip: int | None) -> Classified:
    network = engine.network
    length = int(events[0].max(initial=0)) + 1
    run = engine.run(events, length)
    best, margin = lead(run.scores, network.decoding.scores, len(run.voltage))
    order = np.argsort(-run.scores, kind="stable")
    second = network.classes[order[1]] if len(order) > 1 else None
    return Classified(path, clip, network.classes[best], margin, second)


def warm_up(network: Network) -> None:
    """Make and load all that live sound needs, so that none of it is lost; some seconds the first time."""
    live = Live(network, 44_100)
    live.push(np.random.default_rng(0).standard_normal(round(44_100 * _WARM_S)) * 0.3)
    live.finish()


def follow(network: Network, sound: PcmStream, *, seed: int = 0) -> Iterator[TimedDecision]:
    """Decisions on sound as it comes, each as soon as it is stable.

    Args:
        network: what to run.
        sound: where it comes from.
        seed: of the nerve fibres.

    Raises:
        DataError: at its end, where the sound was cut short, silent or without an utterance; what was said before
            has been yielded.
        RuleError: its rate is not one of the ear's.
    """
    live, fault, loud = Live(network, sound.rate, seed=seed), None, False
    pieces = iter(sound)
    while True:
        try:
            piece = next(pieces, None)
        except DataError as error:
            piece, fault = None, error
        came = time.monotonic()
        found = live.finish() if piece is None else live.push(piece)
        encoded_s = live.ear.samples / sound.rate
        for decision in found:
            yield TimedDecision(decision, 1000 * (max(0.0, encoded_s - decision.decided_s) + time.monotonic() - came))
        if piece is None:
            break
        loud = loud or bool(piece.any())
    if fault is not None:
        raise fault
    if not live.utterances:
        length = f"{live.ear.samples / sound.rate:.3g} s of sound"
        raise DataError(f"{sound.name}: {length}, {'no utterance in it' if loud else 'all of it silent'}")
