"""WISDM: activities by the sensors of a watch or phone (Weiss et al. 2019, IEEE Access 7:133190; UCI data set 507)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ranvier.corpora.corpus import FileCorpus, Progress, Protocol
from ranvier.corpora.section import time_steps
from ranvier.corpora.splits import Splits
from ranvier.data.dataset import DataError
from ranvier.data.events import Grid
from ranvier.data.file_kind import file_kind
from ranvier.data.frames import FrameDataset
from ranvier.data.split import missing_classes, split_clips
from ranvier.data.subset import Subset
from ranvier.errors import ConfigError

ACTIVITIES = {
    "A": "walking", "B": "jogging", "C": "stairs", "D": "sitting", "E": "standing", "F": "typing", "G": "teeth",
    "H": "soup", "I": "chips", "J": "pasta", "K": "drinking", "L": "sandwich", "M": "kicking", "O": "catch",
    "P": "dribbling", "Q": "writing", "R": "clapping", "S": "folding",
}  # fmt: skip
"""The letters of the published files, and what they stand for."""
DT_MS = 50.0
_COLUMNS = [("subject", "i8"), ("activity", "U8"), ("time", "f8"), ("x", "f8"), ("y", "f8"), ("z", "f8")]


class WISDM(FileCorpus):
    """WISDM 2019: which of 18 activities is it, from a sensor of a watch or phone at 20 Hz?

    A clip is a window of one subject and one activity, real numbers x, y, z, each scaled to mean 0 and standard
    deviation 1 within its file. Sensor, scaling, windows of 200 samples every 100 and the share of a fifth for the test
    are those of DelRec's HAR (arXiv 2509.24852), which are neuroseqbench's; there windows are cut from all files in a
    row, and those whose first and last activity differ are left out, here none reaches from one activity or subject
    into another. There too the test is a random fifth of the windows (``split = "windows"``), which half overlap with
    those of the training and are of the same subjects; so the default is a fifth of the subjects. A speaker, in what a
    run says, is a subject.
    """

    root_holds: ClassVar[str] = "the folder wisdm-dataset, which holds raw/watch/gyro and the other sensors"

    kind: Literal["wisdm"]
    device: Literal["watch", "phone"] = Field(description="what the subject wore")
    sensor: Literal["gyro", "accel"] = Field(description="turning or acceleration, x, y and z")
    window_ms: float = Field(gt=0, description="length of a clip [ms]")
    hop_ms: float = Field(gt=0, description="time from one clip to the next, which may overlap [ms]")
    split: Literal["subjects", "windows"] = Field(
        description="what is held out: all clips of some subjects, or some of everybody's clips (as published; they "
        "overlap with those trained on)"
    )
    test_fraction: float = Field(gt=0, lt=1, description="share of the subjects, or clips, kept for the test")
    validation_fraction: float = Field(
        ge=0, lt=1, description="share of the others that the epoch is chosen on; 0: the last epoch counts"
    )
    split_seed: int = Field(ge=0, description="seed of the shares; the same for every train.seed")

    @property
    def dt_ms(self) -> float:
        """Length of a step [ms], that of a sample."""
        return DT_MS

    @property
    def frames(self) -> bool:
        """Samples are real numbers."""
        return True

    @property
    def unseen_validation_speakers(self) -> bool:
        """Whether all validation clips are of subjects that are not trained on."""
        return self.split == "subjects"

    @property
    def unseen_test_speakers(self) -> bool:
        """Whether all test clips are of subjects that are not trained on."""
        return self.split == "subjects"

    def check(self) -> None:
        """Refuse times that are not whole numbers of samples."""
        for field in ("window_ms", "hop_ms"):
            if time_steps(f"data.{field}", getattr(self, field), DT_MS) < 1:
                raise ConfigError(f"data.{field}", getattr(self, field), f"{DT_MS:g} ms or more, one sample")

    def grid(self) -> Grid:
        """An input for each axis."""
        return Grid(3, 1, DT_MS)

    def splits(self, *, protocol: Protocol = "honest", progress: Progress = None) -> Splits:
        """Windows of all files, divided by subject or at random."""
        dataset = self._read(progress)
        generator = np.random.default_rng(self.split_seed)
        if self.split == "subjects":
            train, validation, test = self._by_subject(dataset, generator)
        else:
            rest, test, _ = split_clips(dataset, fraction=self.test_fraction, further=1, generator=generator)
            train, validation, _ = split_clips(
                dataset, among=rest, fraction=self.validation_fraction, generator=generator
            )
        every = {"training": train, "validation": validation, "test": test}
        note = missing_classes(dataset, {name: clips for name, clips in every.items() if len(clips)})
        return Splits(
            Subset(dataset, train),
            Subset(dataset, validation) if len(validation) else None,
            read_test=lambda: Subset(dataset, test) if len(test) else None,
            notes=() if note is None else (note,),
        )

    def _by_subject(self, dataset: FrameDataset, generator: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
        subjects = generator.permutation(len(dataset.speaker_names))
        tested = max(1, round(self.test_fraction * len(subjects)))
        held_out = round(self.validation_fraction * (len(subjects) - tested))
        held_out = max(1, held_out) if self.validation_fraction > 0 else 0
        if tested + held_out >= len(subjects):
            raise ConfigError(f"data.test_fraction: leaves none of {len(subjects)} subjects to train on")
        part = np.zeros(len(subjects), np.int64)
        part[subjects[:tested]] = 2
        part[subjects[tested : tested + held_out]] = 1
        return tuple(np.flatnonzero(part[dataset.speakers] == number) for number in range(3))

    def _read(self, progress: Progress) -> FrameDataset:
        files = self._files()
        length, hop = (time_steps(f"data.{name}", getattr(self, name), DT_MS) for name in ("window_ms", "hop_ms"))
        frames, labels, subjects, names = [], [], [], []
        for number, file in enumerate(files):
            subject, activity, samples = read_samples(file)
            windows, found = cut(activity, samples, length, hop)
            frames.append(windows.reshape(-1, 3))
            labels.append(found)
            subjects.append(np.full(len(found), number))
            names.append(subject)
            if progress is not None:
                progress(number + 1, len(files))
        if len(set(names)) < len(names):
            again = next(name for name in names if names.count(name) > 1)
            raise DataError(f"{files[0].parent}: two files are of subject {again} (one for each subject allowed)")
        label = np.concatenate(labels)
        if not len(label):
            raise ConfigError("data.window_ms", self.window_ms, "no longer than an activity of the recordings")
        return FrameDataset(
            frames=np.concatenate(frames),
            offsets=np.arange(len(label) + 1) * length,
            labels=label,
            speakers=np.concatenate(subjects).astype(np.int64),
            classes=tuple(ACTIVITIES.values()),
            dt_ms=DT_MS,
            speaker_names=tuple(names),
        )

    def _files(self) -> list[Path]:
        root, pattern = self.folder(), f"data_*_{self.sensor}_{self.device}.txt"
        place = Path("raw") / self.device / self.sensor
        for folder in (root, root / place, root / "wisdm-dataset" / place):
            if files := sorted(folder.glob(pattern)):
                return files
        raise DataError(f"{root}: no {place / pattern} is there (WISDM's files as published allowed)")


def read_samples(file: Path) -> tuple[str, NDArray[np.int64], NDArray[np.float32]]:
    """A published file, lines of ``subject,activity,timestamp,x,y,z;``.

    Returns:
        The subject; index into ``ACTIVITIES`` of every sample ``[sample]``; x, y, z scaled to mean 0 and standard
        deviation 1, ``[sample, 3]``.

    Raises:
        DataError: it is damaged, is of several subjects, or an axis never changes.
    """
    try:
        kind, what = file_kind(file)
        if kind != "text":
            raise DataError(file, fault=f"{'' if kind == 'unknown' else 'is '}{what} (a text file allowed)")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of no lines; they are seen below
            rows: Any = np.loadtxt(file, dtype=_COLUMNS, delimiter=",", comments=";", ndmin=1, encoding="utf-8")
    except DataError:
        raise
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(file, fault=f"is not lines of subject,activity,time,x,y,z ({reason})") from None
    samples = np.stack([rows[axis] for axis in "xyz"], axis=1)
    if not len(rows) or not np.isfinite(samples).all():
        at = f"sample {int(np.argmin(np.isfinite(samples).all(1)))} is not finite" if len(rows) else "holds no sample"
        raise DataError(file, fault=at)
    letters, activity = np.unique(np.char.strip(rows["activity"]), return_inverse=True)
    if unknown := sorted(set(letters.tolist()) - ACTIVITIES.keys()):
        raise DataError(file, fault=f"activity {unknown[0]!r} is not allowed ({', '.join(ACTIVITIES)})")
    if (rows["subject"] != rows["subject"][0]).any():
        raise DataError(file, fault="holds samples of several subjects (one allowed)")
    deviation = samples.std(axis=0)
    if not deviation.all():
        raise DataError(file, fault=f"{'xyz'[int(np.argmin(deviation))]} is the same throughout (a sensor that moves)")
    index = np.array([list(ACTIVITIES).index(letter) for letter in letters])
    scaled = ((samples - samples.mean(axis=0)) / deviation).astype(np.float32)
    return str(rows["subject"][0]), index[activity], scaled


def cut(
    activity: NDArray[np.int64], samples: NDArray[np.float32], length: int, hop: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Windows of one activity each, from the beginning of every stretch of it on.

    Args:
        activity: ``[sample]``.
        samples: ``[sample, 3]``.
        length, hop: samples of a window, and from one to the next.

    Returns:
        ``[window, length, 3]`` and the activity of each ``[window]``.
    """
    ends = np.append(np.flatnonzero(np.diff(activity)) + 1, len(activity))
    starts = [np.arange(start, end - length + 1, hop) for start, end in zip(np.append(0, ends[:-1]), ends, strict=True)]
    first = np.concatenate(starts)
    return samples[first[:, None] + np.arange(length)], activity[first]
