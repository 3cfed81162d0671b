"""The user's own clips: a folder of labelled sound or events, or one recording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ranvier.audio.sound_files import is_sound
from ranvier.corpora.corpus import EarForm, Progress, Protocol
from ranvier.corpora.fsdd import official_split
from ranvier.corpora.held_out import HeldOut, speaker_numbers
from ranvier.corpora.section import Names, OptionalText
from ranvier.corpora.splits import Splits
from ranvier.data.cache import cache_folder, cache_lock
from ranvier.data.camera import Camera
from ranvier.data.dataset import SpikeDataset
from ranvier.data.event_files import find_event_files
from ranvier.data.events import Grid
from ranvier.data.hdf5 import read_left_out, read_recording
from ranvier.data.recording import Recording
from ranvier.data.split import split_clips
from ranvier.data.subset import Subset, speaker_name
from ranvier.errors import ConfigError, RuleError
from ranvier.names import natural_order


class LabelledFolder(HeldOut):
    """A folder of labelled sound or of event files, or a recording in SHD's format (.h5, .h5.gz)."""

    root_holds: ClassVar[str] = "a folder of labelled sound or event files, or a recording in SHD's format"

    kind: Literal["folder"]
    validation_speakers: Names = Field(description="speakers held out by validation = speakers")
    test: Literal["speakers", "fraction", "fsdd", "none"] = Field(
        description="what is read once, after training: every clip of test_speakers, a random share, the official test "
        "set of the Free Spoken Digit Dataset (takes 0 to 4), or nothing"
    )
    test_speakers: Names = Field(description="speakers kept for the test by test = speakers")
    test_fraction: float = Field(gt=0, lt=1, description="share kept for the test by test = fraction")
    label_pattern: OptionalText = Field(
        None, description="regular expression that finds the class in a sound file's path, instead of its folder"
    )
    speaker_pattern: OptionalText = Field(
        None, description="regular expression that finds the speaker in a sound file's path"
    )
    camera: OptionalText = Field(
        None,
        description="size of an event camera, WIDTHxHEIGHT pixels, whose events (t, x, y, p) the files hold (.npz, "
        ".npy or .h5, a clip each, in a folder per class): pool x pool pixels of a polarity are an input; none for "
        "other data",
    )
    merge_polarities: bool = Field(False, description="a camera's brighter and darker pixels are the same inputs")
    ear: EarForm = Field(
        "clip",
        description="which ear encodes a folder of sound: that of whole clips, or streaming, for a network that is to "
        "run on sound as it comes; a run notes what a recording says of itself (custom: with settings of its own)",
    )
    ear_seed: int = Field(ge=0, description="seed of the ear's nerve fibres")

    def train_file(self, root: Path) -> Path | None:
        """All that there is."""
        return root

    def without_speaker(self, number: int, name: str) -> Self:
        """The same with one speaker's clips as validation."""
        return self.model_copy(update={"validation": "speakers", "validation_speakers": (name,)})

    def check(self) -> None:
        """Refuse an ear whose settings nobody knows, and a camera that does not fit."""
        super().check()
        if self._camera() is not None:
            if self.channels is not None:
                raise ConfigError(f"data.channels: {self.channels} is not allowed with data.camera (none)")
        elif self.merge_polarities:
            raise ConfigError("data.merge_polarities: true is not allowed without data.camera (false)")
        if self.ear == "custom" and self.root is not None and Path(self.root).is_dir():
            raise ConfigError("data.ear: custom is not allowed for a folder of sound (clip, streaming)")

    def _camera(self) -> Camera | None:
        try:
            return None if self.camera is None else Camera.of(self.camera, pool=self.pool, merged=self.merge_polarities)
        except RuleError as error:
            field = "pool" if error.place == "pool" else "camera"
            raise ConfigError(f"data.{field}", fault=error.fault) from None

    @property
    def picture(self) -> tuple[int, int] | None:
        """Rows and columns of blocks of a camera's pixels."""
        camera = self._camera()
        return None if camera is None else (camera.rows, camera.columns)

    def grid(self) -> Grid:
        """As of every recording; of a camera an input for each block of pixels and polarity."""
        camera = self._camera()
        return super().grid() if camera is None else Grid(camera.channels, 1, self.dt_ms, self.alignment)

    def read(self, file: Path, progress: Progress, *, classes: int | None = None) -> SpikeDataset:
        """A recording on this grid."""
        unit, camera = self.given_unit, self._camera()
        return read_recording(file, self.grid(), classes=classes, time_unit=unit, camera=camera, progress=progress)

    def resolved(self) -> Self:
        """With the channels and the ear that a recording names itself."""
        if self.camera is not None:
            return self
        data = super().resolved()
        if self.root is None or Path(self.root).is_dir():
            return data
        return data.model_copy(update={"ear": _ear_of(Recording.open(self.root).ear)})

    @property
    def ear_form(self) -> EarForm:
        """Which ear made the spikes."""
        return self.ear

    @property
    def unseen_test_speakers(self) -> bool:
        """Whether all test clips are of speakers that are not trained on."""
        return self.test == "speakers"

    def splits(self, *, protocol: Protocol = "honest", progress: Progress = None) -> Splits:
        """First the test clips are chosen, then validation clips of the others."""
        root = self.folder()
        self._check_speakers()
        recording = self._recording(root, progress)
        dataset = self.read(recording, progress)
        train, test, test_speakers = self._keep_test(recording, dataset)
        held_out: Sequence[int] = ()
        if self.validation == "speakers":
            held_out = speaker_numbers("data.validation_speakers", self.validation_speakers, dataset)
            _refuse_both(speaker_name(dataset, speaker) for speaker in set(held_out) & set(test_speakers))
        splits = self.divide(dataset, train, held_out, lambda: Subset(dataset, test) if len(test) else None, test)
        return replace(splits, example=True, left_out=tuple(read_left_out(recording, dataset)))

    def _check_speakers(self) -> None:
        if self.leave_one_speaker_out and self.test == "speakers":
            raise ConfigError(
                "data.test: speakers is not allowed with validation = leave-one-speaker-out (fraction, none)"
            )
        for name, mode, given in (
            ("test", self.test, self.test_speakers),
            ("validation", self.validation, self.validation_speakers),
        ):
            if given and mode != "speakers":
                raise ConfigError(
                    f"data.{name}_speakers: {', '.join(given)} mean nothing with data.{name} = {mode} (speakers)"
                )
        _refuse_both(set(self.test_speakers) & set(self.validation_speakers))

    def _keep_test(
        self, recording: Path, dataset: SpikeDataset
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], Sequence[int]]:
        """Clips that may be trained on, clips of the test, and numbers of the test's speakers if it goes by them."""
        if self.test == "fsdd":
            return *official_split(recording), ()
        speakers = speaker_numbers("data.test_speakers", self.test_speakers, dataset) if self.test == "speakers" else ()
        if self.test == "speakers" and not speakers:
            raise ConfigError("data.test_speakers: names none (one or more, or --data.test none)")
        further = self.validation == "fraction" or (self.validation == "speakers" and self.seen_fraction > 0)
        train, test, _ = split_clips(
            dataset,
            speakers=speakers,
            fraction=self.test_fraction if self.test == "fraction" else 0.0,
            further=int(further),
            generator=np.random.default_rng(self.split_seed),
        )
        if self.test == "fraction" and not len(test):
            raise ConfigError(f"data.test_fraction: {self.test_fraction:g} of the clips is less than one clip")
        return train, test, speakers

    def _recording(self, root: Path, progress: Progress) -> Path:
        """The recording itself, or what our ear makes of a folder of sound, kept in the cache."""
        from ranvier.audio.ear import Ear, StreamingEar
        from ranvier.audio.encode import ear_settings, encode, fingerprint
        from ranvier.audio.naming import Naming
        from ranvier.audio.sound_files import find_sounds

        patterns = (self.label_pattern, self.speaker_pattern)
        if not root.is_dir() or self.camera is not None or _holds_events(root):
            if patterns != (None, None):
                raise ConfigError(f"data.label_pattern, data.speaker_pattern: mean nothing for a recording ({root})")
            return root
        naming = None if patterns == (None, None) else Naming(*patterns)
        ear = StreamingEar() if self.ear == "streaming" else Ear()
        key = fingerprint(find_sounds([root]).files, ear_settings(ear), patterns, self.ear_seed)
        out = cache_folder(None) / f"sound-{key[:16]}.h5"
        if not out.exists():
            with cache_lock(out, "the ear's spikes"):
                if not out.exists():
                    encode(
                        [root], out, ear=ear, seed=self.ear_seed, naming=naming, progress=progress, need_classes=True
                    )
        return out


def _ear_of(settings: Mapping[str, Any] | None) -> EarForm:
    """Which ear a recording says it was made with."""
    from ranvier.audio.ear import Ear, StreamingEar
    from ranvier.audio.encode import ear_settings

    if settings is None:
        return "clip"
    channels = settings["channels"]
    if settings == ear_settings(StreamingEar(channels=channels)):
        return "streaming"
    return "clip" if settings == ear_settings(Ear(channels=channels)) else "custom"


def _refuse_both(speakers: Iterable[str]) -> None:
    """Refuse speakers that are asked for as test and as validation speakers."""
    if both := sorted(speakers, key=natural_order):
        raise ConfigError(f"data.validation_speakers: {', '.join(both)} are test speakers already")


def _holds_events(folder: Path) -> bool:
    """Whether a folder holds clips of events (.npz, .npy, .h5, .csv) and no sound."""
    events, others = find_event_files(folder)
    return bool(events) and not any(is_sound(other) for other in others)
