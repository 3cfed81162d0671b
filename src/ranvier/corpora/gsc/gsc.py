"""Google Speech Commands as a recipe asks for them: log-mel frames, or an ear's spikes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from ranvier.audio.mel import DEFAULT, PAPER, MelSettings
from ranvier.corpora.corpus import FileCorpus, Progress, Protocol
from ranvier.corpora.gsc.clips import Classes
from ranvier.corpora.gsc.files import Split, partition
from ranvier.corpora.gsc.frames import read_gsc
from ranvier.corpora.section import OptionalPath, number_as_text
from ranvier.corpora.splits import Splits
from ranvier.data.cache import cache_folder, cache_lock
from ranvier.data.dataset import SpikeDataset
from ranvier.data.events import Grid
from ranvier.data.frames import FrameDataset
from ranvier.data.hdf5 import read_recording
from ranvier.data.subset import Subset
from ranvier.errors import ConfigError

_EAR_GRID = Grid(channels=700, pool=5, dt_ms=10.0)


class GSC(FileCorpus):
    """Google Speech Commands v0.02, folders of words, as log-mel frames or as an ear's spikes."""

    root_holds: ClassVar[str] = "the folder that holds the folders of words"

    kind: Literal["gsc"]
    root: OptionalPath = Field(None, description="folder that holds the folders of words")
    words: Annotated[Literal["35", "12"], BeforeValidator(number_as_text)] = Field(
        description="classes: all 35 words, or ten, unknown and silence"
    )
    input: Literal["mel", "mel-paper", "ear"] = Field(
        description="140 log-mel bands, the same as published (53 of them always empty), or spikes of our ear"
    )
    split_seed: int = Field(ge=0, description="seed of what stands for unknown and silence")
    ear_seed: int = Field(ge=0, description="seed of the ear's nerve fibres")

    @property
    def dt_ms(self) -> float:
        """Length of a step [ms]."""
        return self.grid().dt_ms

    @property
    def frames(self) -> bool:
        """Whether clips are log-mel frames."""
        return self.input != "ear"

    @property
    def zero_is_silence(self) -> bool:
        """Published log-mel bands are decibels, of which 0 is loud."""
        return self.input != "mel-paper"

    def grid(self) -> Grid:
        """A source for each mel band, or the grid that the ear's spikes are counted on."""
        return Grid(self._mel.bands, 1, self._mel.dt_ms) if self.frames else _EAR_GRID

    @property
    def _mel(self) -> MelSettings:
        return PAPER if self.input == "mel-paper" else DEFAULT

    @property
    def from_ear(self) -> bool:
        """Whether an ear of 700 channels made the spikes."""
        return self.input == "ear"

    def splits(self, *, protocol: Protocol = "honest", progress: Progress = None) -> Splits:
        """The official splits; what was computed once lies in the cache."""
        root = self.folder()
        if self.input == "ear" and self.words == "12":
            raise ConfigError("data.words: 12 is not allowed with data.input = ear (35; silence gives no spikes)")
        train, validation = (self._read(root, split, progress) for split in ("train", "validation"))
        if not any(spoken.split == "test" for spoken in partition(root)):
            return Splits(train, validation)
        return Splits(train, validation, read_test=lambda: self._read(root, "test", progress))

    def _read(self, root: Path, split: Split, progress: Progress) -> Subset:
        dataset: SpikeDataset | FrameDataset
        if self.frames:
            words: Classes = 35 if self.words == "35" else 12
            generator = np.random.default_rng(self.split_seed)
            dataset = read_gsc(root, split, classes=words, settings=self._mel, generator=generator, progress=progress)
        else:
            dataset = self._encoded(root, split, progress)
        return Subset.every(dataset)

    def _encoded(self, root: Path, split: Split, progress: Progress) -> SpikeDataset:
        from ranvier.audio.ear import Ear
        from ranvier.audio.encode import EncodeSettings, encode_files, fingerprint
        from ranvier.audio.naming import KNOWN, Naming
        from ranvier.audio.sound_files import SoundFiles
        from ranvier.audio.write_encoded import Labelled

        spoken = partition(root)
        files = [(one.path, f"{one.word}/{one.path.name}") for one in spoken if one.split == split]
        classes, title = sorted({one.word for one in spoken}), "Google Speech Commands"
        key = fingerprint(files, asdict(Ear()), classes, self.ear_seed)
        out = cache_folder(None) / f"gsc-{split}-{key[:16]}.h5"
        if not out.exists():
            with cache_lock(out, "the ear's spikes"):
                if not out.exists():
                    encode_files(
                        SoundFiles(tuple(files)),
                        out,
                        EncodeSettings(Naming(label=KNOWN[title]), self.ear_seed),
                        Labelled(title, classes),
                        progress=progress,
                    )
        return read_recording(out, _EAR_GRID, progress=progress)
