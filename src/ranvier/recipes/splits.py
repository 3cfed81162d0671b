"""From plain values to data: what a recipe trains on, chooses the epoch on, and is tested on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ranvier.data import DataError, Grid, SpikeDataset, find_recording, read_recording
from ranvier.data.cache import cache_folder, cache_lock
from ranvier.data.class_names import with_classes
from ranvier.data.coincidence import CoincidenceTask
from ranvier.data.digits import read_digits
from ranvier.data.event_files import find_event_files
from ranvier.data.frames import FrameDataset
from ranvier.data.gsc import partition
from ranvier.data.hdf5 import read_files, read_left_out, require_recording
from ranvier.data.recording import CHANNELS, own_channels
from ranvier.data.sound_files import is_sound
from ranvier.data.split import missing_classes, split_clips
from ranvier.errors import RuleError
from ranvier.names import name_fault, natural_order, split_names, unknown_names
from ranvier.recipes.config import Config, ConfigError, steps
from ranvier.recipes.sections import CoincidenceData, DigitsData, FolderData, GSCData, SHDData, SSCData
from ranvier.recipes.speech_commands import read_words

Progress = Callable[[int, int], None] | None


@dataclass(frozen=True, eq=False)
class Part:
    """Some clips of a data set."""

    dataset: SpikeDataset | FrameDataset
    clips: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.clips)

    def fingerprint(self) -> str:
        """Of what the data set holds, and which of its clips these are."""
        clips = np.ascontiguousarray(self.clips, "<i8").tobytes()
        return hashlib.sha256(self.dataset.fingerprint.encode() + clips).hexdigest()

    def by_speaker(self) -> dict[str, NDArray[np.bool_]]:
        """Name of every speaker in the order of their numbers, and which of the clips are theirs ``[clip]``."""
        speakers = self.dataset.speakers[self.clips]
        return {
            _name(self.dataset, speaker): speakers == speaker
            for speaker in np.unique(speakers).tolist()
            if speaker >= 0
        }


@dataclass(frozen=True, eq=False)
class Splits:
    """What a training may see, and when.

    Attributes:
        train: to learn from.
        validation: to choose the epoch on; None keeps the last epoch.
        seen: held-out clips of the training speakers, only reported; None if there are none.
        read_test: reads the test split, or None if it is not there; called after training has ended, and only then.
        offsets: ``[class, channel]`` steps of the planted patterns, where the task has them.
        example: there is no file that holds the test clips: a run writes one, so that they can be looked at.
        left_out: why sound files were left out, a line each.
        notes: what else is to be known of the division, a line each.
    """

    train: Part
    validation: Part | None
    seen: Part | None
    read_test: Callable[[], Part | None]
    offsets: NDArray[np.int64] | None = None
    example: bool = False
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def fingerprints(self) -> dict[str, str]:
        """Of the data set to train on, and of every part of the clips that is there before the test."""
        parts = {"train": self.train, "validation": self.validation, "seen": self.seen}
        known = {name: part.fingerprint() for name, part in parts.items() if part is not None}
        return {"dataset": self.train.dataset.fingerprint, **known}

    def fingerprint(self) -> str:
        """Of the clips, their events and how they are divided: a training must not go on with others."""
        return hashlib.sha256(repr(self.fingerprints()).encode()).hexdigest()

    def unseen(self, part: Part) -> bool:
        """Whether the part's speakers are known and none of them is one of the training's."""
        speakers = part.by_speaker()
        return bool(speakers) and not speakers.keys() & self.train.by_speaker().keys()


def check_same_data(
    one: Path, its: Mapping[str, str], other: Path, others: Mapping[str, str], *, only: Sequence[str] = ()
) -> None:
    """Refuse to put results of different data together.

    Args:
        one, other: the runs' folders.
        its, others: fingerprints of their data; one that was written before results had them passes.
        only: what is compared, of ``dataset``, ``train``, ``validation``, ``seen`` and ``test``; all if none is named.

    Raises:
        ConfigError: the data are not the same; both runs are named.
    """
    if not its or not others:
        return
    for name in only or {**its, **others}:
        # a test file may come later; nothing else may be there in one of them only
        late = name == "test" and not (name in its and name in others)
        if its.get(name) != others.get(name) and not late:
            what = "recording" if name == "dataset" else f"{name} clips"
            raise ConfigError(
                f"{one} and {other}: their data differ ({what}), so they are not put together (--out another folder)"
            )


def build_splits(config: Config, *, progress: Progress = None) -> Splits:
    """Read or make the recipe's data and divide it.

    Raises:
        DataError: the data are not there or are damaged.
        ConfigError: the division asks for what the data do not hold.
    """
    splits = _build(config, progress)
    if (fault := name_fault(splits.train.dataset.classes)) is not None:  # before a training that could not be frozen
        raise DataError(f"classes: {fault}")
    return splits


def _build(config: Config, progress: Progress) -> Splits:
    data = config.data
    if isinstance(data, DigitsData):
        return _digits(config, data)
    if isinstance(data, CoincidenceData):
        return _coincidence(config, data)
    if data.root is None:
        raise ConfigError(f"data.root: no folder given (--data-root FOLDER: {_WANTED[data.kind]})")
    root = Path(data.root)
    if not root.exists():
        raise DataError(f"data.root: {root} is not there (--data-root FOLDER: {_WANTED[data.kind]})")
    if isinstance(data, SHDData):
        return _shd(config, data, root, progress)
    if isinstance(data, FolderData):
        return _folder(config, data, root, progress)
    if isinstance(data, SSCData):
        return _ssc(config, data, root, progress)
    return _gsc(config, data, root, progress)


_WANTED = {
    "shd": "the folder that holds shd_train.h5",
    "ssc": "the folder that holds ssc_train.h5 and ssc_valid.h5",
    "gsc": "the folder that holds the folders of words",
    "folder": "a folder of labelled sound, or a recording in SHD's format",
}


def _digits(config: Config, data: DigitsData) -> Splits:
    _no_paper(config)
    digits = read_digits(None if data.file is None else Path(data.file))
    dataset = digits.dataset()
    train, validation, test = (Part(dataset, digits.clips(name)) for name in ("train", "validation", "test"))
    return Splits(train, validation, None, lambda: test, example=True)


def _coincidence(config: Config, data: CoincidenceData) -> Splits:
    _no_paper(config)
    try:
        task = CoincidenceTask(
            classes=data.classes,
            channels=data.channels,
            gap=steps(config, "data.gap_ms"),
            jitter=data.jitter,
            noise=data.noise,
            steps=steps(config, "data.clip_ms"),
            dt_ms=data.dt_ms,
        )
    except ConfigError:
        raise
    except RuleError as error:
        # the task speaks of steps, the recipe of milliseconds
        name = {"gap": "gap_ms", "steps": "clip_ms"}.get(error.place, error.place)
        raise ConfigError(f"data.{name}", error.value, error.allowed) from None
    generator = np.random.default_rng(data.seed)
    offsets = task.offsets(generator)

    def draw(clips: int) -> Part:
        return Part(task.draw(offsets, clips, generator), np.arange(clips))

    train, validation, test = (draw(n) for n in (data.train_clips, data.validation_clips, data.test_clips))
    return Splits(train, validation, None, lambda: test, offsets, example=True)


def _shd(config: Config, data: SHDData, root: Path, progress: Progress) -> Splits:
    train_file, test_file = require_recording(root, "shd_train"), find_recording(root, "shd_test")
    if config.protocol == "paper" and test_file is None:
        raise DataError(
            f"{root}: neither shd_test.h5 nor shd_test.h5.gz is there (protocol = paper chooses the epoch on it; with "
            "--protocol honest data.validation says on what)"
        )
    dataset = _read(data, train_file, progress)

    def read_test() -> Part | None:
        return None if test_file is None else _like(dataset, data, test_file, progress)

    if config.protocol == "paper":
        test = read_test()
        return Splits(_whole(dataset), test, None, lambda: test)
    return _held_out(dataset, np.arange(len(dataset)), data, data.validation_speakers, read_test)


def _ssc(config: Config, data: SSCData, root: Path, progress: Progress) -> Splits:
    _no_paper(config)
    files = {name: require_recording(root, f"ssc_{name}") for name in ("train", "valid")}
    test = find_recording(root, "ssc_test")
    files |= {} if test is None else {"test": test}

    def read(name: str) -> Part | None:
        return _like(train, data, files[name], progress) if name in files else None

    train = _read(data, files["train"], progress)
    return Splits(_whole(train), read("valid"), None, lambda: read("test"))


def _like(train: SpikeDataset, data: SHDData | SSCData, file: Path, progress: Progress) -> Part:
    """Another file of the same data set: its labels count by the training file's classes."""
    dataset = _read(data, file, progress, classes=len(train.classes))
    try:
        return _whole(with_classes(dataset, train.classes)[0])
    except DataError as error:
        raise DataError(f"{file}: {error}") from None


def _folder(config: Config, data: FolderData, root: Path, progress: Progress) -> Splits:
    _no_paper(config)
    if data.validation == "leave-one-speaker-out" and data.test == "speakers":
        raise ConfigError("data.test: speakers is not allowed with validation = leave-one-speaker-out (fraction, none)")
    for name, mode in (("test", data.test), ("validation", data.validation)):
        given = getattr(data, f"{name}_speakers")
        if given and mode != "speakers":
            raise ConfigError(
                f"data.{name}_speakers: {', '.join(given)} mean nothing with data.{name} = {mode} (speakers)"
            )
    both = set(data.test_speakers) & set(data.validation_speakers)
    if both:
        raise ConfigError(
            f"data.validation_speakers: {', '.join(sorted(both, key=natural_order))} are test speakers already"
        )
    recording = _recording(data, root, progress)
    dataset = _read(data, recording, progress)
    generator = np.random.default_rng(data.split_seed)
    speakers: Sequence[int] = ()
    if data.test == "fsdd":
        train, test = _fsdd(recording)
    else:
        speakers = _numbers("data.test_speakers", data.test_speakers, dataset) if data.test == "speakers" else ()
        if data.test == "speakers" and not speakers:
            raise ConfigError("data.test_speakers: names none (one or more, or --data.test none)")
        fraction = data.test_fraction if data.test == "fraction" else 0.0
        further = int(data.validation == "fraction" or (data.validation == "speakers" and data.seen_fraction > 0))
        train, test, _ = split_clips(
            dataset, speakers=speakers, fraction=fraction, further=further, generator=generator
        )
        if data.test == "fraction" and not len(test):
            raise ConfigError(f"data.test_fraction: {data.test_fraction:g} of the clips is less than one clip")
    held_out: Sequence[int] = ()
    if data.validation == "speakers":
        held_out = _numbers("data.validation_speakers", data.validation_speakers, dataset)
        if both := {_name(dataset, speaker) for speaker in set(held_out) & set(speakers)}:
            named = ", ".join(sorted(both, key=natural_order))
            raise ConfigError(f"data.validation_speakers: {named} are test speakers already")
    splits = _held_out(dataset, train, data, held_out, lambda: Part(dataset, test) if len(test) else None, test)
    return replace(splits, example=True, left_out=tuple(read_left_out(recording)))


def _recording(data: FolderData, root: Path, progress: Progress) -> Path:
    """The recording itself, or what our ear makes of a folder of sound, kept in the cache."""
    from ranvier.data.ear import Ear
    from ranvier.data.encode import encode, fingerprint
    from ranvier.data.naming import Naming
    from ranvier.data.sound_files import find_sounds

    patterns = (data.label_pattern, data.speaker_pattern)
    if not root.is_dir() or _holds_events(root):
        if patterns != (None, None):
            raise ConfigError(f"data.label_pattern, data.speaker_pattern: mean nothing for a recording ({root})")
        return root
    naming = None if patterns == (None, None) else Naming(*patterns)
    key = fingerprint(find_sounds([root]).files, asdict(Ear()), patterns, data.ear_seed)
    out = cache_folder(None) / f"sound-{key[:16]}.h5"
    if not out.exists():
        with cache_lock(out, "the ear's spikes"):
            if not out.exists():
                encode([root], out, seed=data.ear_seed, naming=naming, progress=progress)
    return out


def _holds_events(folder: Path) -> bool:
    """Whether a folder holds clips of events (.npz, .npy, .csv) and no sound."""
    events, others = find_event_files(folder)
    return bool(events) and not any(is_sound(other) for other in others)


def _read(
    data: SHDData | SSCData | FolderData, recording: Path, progress: Progress, *, classes: int | None = None
) -> SpikeDataset:
    unit = None if data.time_unit == "recording" else data.time_unit
    return read_recording(recording, build_grid(data), classes=classes, time_unit=unit, progress=progress)


def build_grid(data: SHDData | SSCData | FolderData) -> Grid:
    """The grid that a recording is counted on; without ``data.channels`` it has the recording's own, else 700."""
    channels = data.channels
    if channels is None and data.root is not None:
        name = "" if isinstance(data, FolderData) else f"{data.kind}_train"
        file = find_recording(data.root, name) if name else Path(data.root)
        channels = None if file is None else own_channels(file)
    return Grid(channels or CHANNELS, data.pool, data.dt_ms, data.alignment)


def with_channels(config: Config) -> Config:
    """The configuration with the recording's own channels where it names none and they are not 700.

    So a run knows them when its recording has been moved.
    """
    data = config.data
    if not isinstance(data, SHDData | SSCData | FolderData) or data.channels is not None:
        return config
    channels = build_grid(data).channels
    if channels == CHANNELS:
        return config
    return config.model_copy(update={"data": data.model_copy(update={"channels": channels})})


def _fsdd(recording: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Clips to train on, and takes 0 to 4, which are the official test set."""
    takes = [re.search(r"_(\d+)\.[a-z0-9]+$", name, re.IGNORECASE) for name in read_files(recording)]
    if not takes or None in takes:
        raise DataError(
            f"{recording}: does not say which files its clips are (data.test = fsdd needs digit_speaker_take)"
        )
    official = np.array([int(take.group(1)) < 5 for take in takes if take is not None])
    return np.flatnonzero(~official), np.flatnonzero(official)


def _gsc(config: Config, data: GSCData, root: Path, progress: Progress) -> Splits:
    _no_paper(config)
    train, validation = (read_words(data, root, split, progress) for split in ("train", "validation"))
    if not any(spoken.split == "test" for spoken in partition(root)):
        return Splits(_whole(train), _whole(validation), None, lambda: None)
    return Splits(_whole(train), _whole(validation), None, lambda: _whole(read_words(data, root, "test", progress)))


def _whole(dataset: SpikeDataset | FrameDataset) -> Part:
    return Part(dataset, np.arange(len(dataset)))


def _no_paper(config: Config) -> None:
    if config.protocol == "paper":
        raise ConfigError("protocol: 'paper' is not allowed with these data (honest)")


def _name(dataset: SpikeDataset | FrameDataset, speaker: int) -> str:
    return dataset.speaker_names[speaker] if dataset.speaker_names else str(speaker)


def _numbers(field: str, names: Sequence[str], dataset: SpikeDataset) -> list[int]:
    """Speakers by name, or by number where the recording has no names."""
    known = dataset.speaker_names or tuple(str(speaker) for speaker in np.unique(dataset.speakers) if speaker >= 0)
    if not known:
        raise DataError("the recording does not name its speakers (extra/speaker), so none can be held out")
    found: list[str] = []
    for text in names:
        some = split_names(text, known)
        if some is None:
            raise ConfigError(f"{field}: {unknown_names(text, known)}")
        found += some
    return [known.index(name) if dataset.speaker_names else int(name) for name in found]


def _held_out(
    dataset: SpikeDataset,
    clips: NDArray[np.int64],
    data: SHDData | FolderData,
    speakers: Sequence[int],
    read_test: Callable[[], Part | None],
    test: Sequence[int] | NDArray[np.int64] = (),
) -> Splits:
    """Divide the clips that may be trained on; ``test`` are those of the data set that are kept for the test."""
    if data.validation == "leave-one-speaker-out":
        raise ConfigError("data.validation: leave-one-speaker-out is a series of trainings, not one split")
    if data.validation == "speakers" and not speakers:
        raise ConfigError("data.validation_speakers: names none (one or more, or --data.validation none)")
    train, validation, seen = split_clips(
        dataset,
        among=clips,
        speakers=speakers if data.validation == "speakers" else (),
        fraction=data.validation_fraction if data.validation == "fraction" else 0.0,
        seen_fraction=data.seen_fraction if data.validation == "speakers" else 0.0,
        generator=np.random.default_rng(data.split_seed),
    )
    if data.validation != "none" and not len(validation):
        raise ConfigError(f"data.validation_fraction: {data.validation_fraction:g} of the clips is less than one clip")

    def part(chosen: NDArray[np.int64]) -> Part | None:
        return Part(dataset, chosen) if len(chosen) else None

    every = {"training": train, "validation": validation, "seen": seen, "test": np.asarray(test, np.int64)}
    note = missing_classes(dataset, {name: clips for name, clips in every.items() if len(clips)})
    return Splits(Part(dataset, train), part(validation), part(seen), read_test, notes=() if note is None else (note,))
