"""Which way does a picture move? Events of a camera before images that translate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ranvier.corpora.corpus import Corpus, Progress, Protocol
from ranvier.corpora.section import check_length, time_steps
from ranvier.corpora.splits import Splits
from ranvier.data.camera import Camera
from ranvier.data.dataset import SpikeDataset
from ranvier.data.events import Grid
from ranvier.data.subset import Subset
from ranvier.errors import ConfigError, RuleError

_CUT_OFF = 0.2  # cycles per pixel, above which an image has little
_MOST = 255  # events of a pixel in a step


@dataclass(frozen=True)
class MotionTask:
    """Images move in one of several directions, all at one speed, before an event camera.

    An image is whitened 1/f noise: Gaussian noise whose spectrum is flat up to a cut-off, exp(-(f / 0.2)^4) for f in
    cycles per pixel, with a standard deviation of 1. Every clip has an image of its own. The camera looks at a part of
    it that never leaves it, so that nothing comes in again that went out, and takes values between pixels linearly. A
    pixel remembers the intensity at its last event and sends an event, of polarity 1 (brighter) or 0 (darker), for
    every ``threshold`` by which the intensity has changed since. Counts of events say nothing of the direction; the
    events of a single step say along which axis it moves, for they are edges across it, but not which way.

    Args:
        directions: classes, >= 2, evenly spaced from 0 degrees (to the right) on, counter-clockwise.
        speed: pixels per time step, > 0.
        size: pixels of the camera's rows and of its columns, >= 1.
        steps: time steps of a clip, >= 1.
        threshold: change of intensity for an event, in standard deviations of the image, > 0.

    Raises:
        RuleError: an argument is out of range.

    Source: Grimaldi and Perrinet 2023 (arXiv 2307.14077), who have 12 directions at 3 speeds of 128 x 128 pixels and
    natural images, which they shift circularly and use for training and test.
    """

    directions: int
    speed: float
    size: int
    steps: int
    threshold: float = 1.0

    def __post_init__(self) -> None:
        for name, low in (("directions", 2), ("size", 1), ("steps", 1)):
            if getattr(self, name) < low:
                raise RuleError(name, getattr(self, name), f"{low} or more")
        for name in ("speed", "threshold"):
            if not getattr(self, name) > 0:
                raise RuleError(name, getattr(self, name), "above 0")
        if self._side > 4096:
            raise RuleError("speed", self.speed, "an image of up to 4,096 pixels a side, of which a clip sees all")

    @property
    def camera(self) -> Camera:
        """Which input each pixel and polarity is."""
        return Camera(self.size, self.size)

    @property
    def _side(self) -> int:
        """Pixels of an image's side: as far as the camera looks."""
        return self.size + int(np.ceil(self.speed * (self.steps - 1))) + 2

    def image(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """Draw an image ``[row, column]``."""
        whole = 2 * self._side  # opposite sides of what is made are alike: only a part is used
        frequency = np.hypot(np.fft.fftfreq(whole)[:, None], np.fft.rfftfreq(whole))
        spectrum = np.fft.rfft2(generator.standard_normal((whole, whole))) * np.exp(-((frequency / _CUT_OFF) ** 4))
        smooth = np.fft.irfft2(spectrum, (whole, whole))
        part: NDArray[np.float64] = smooth[: self._side, : self._side] / smooth.std()
        return part

    def film(self, image: NDArray[np.float64], direction: int) -> NDArray[np.float64]:
        """What the camera sees of an image that moves: intensities ``[time, row, column]``."""
        angle = 2 * np.pi * direction / self.directions
        # to the right and up, as the image does, the camera's view of it goes to the left and down
        moved = self.speed * (np.arange(self.steps)[:, None] - (self.steps - 1) / 2) * [np.sin(angle), -np.cos(angle)]
        middle = (self._side - self.size) / 2
        corner = middle + moved
        first = np.floor(corner).astype(np.int64)
        film = np.empty((self.steps, self.size, self.size))
        for frame, (row, column), (below, beside) in zip(film, first, corner - first, strict=True):
            seen = image[row : row + self.size + 1, column : column + self.size + 1]
            rows = seen[:-1] * (1 - below) + seen[1:] * below
            frame[:] = rows[:, :-1] * (1 - beside) + rows[:, 1:] * beside
        return film

    def events(self, film: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Time step, input and count of what the camera sends; of the first frame nothing."""
        remembered = film[0].copy()
        found = []
        for t, frame in enumerate(film):
            change = np.trunc((frame - remembered) / self.threshold).clip(-_MOST, _MOST).astype(np.int64)
            remembered += change * self.threshold
            for polarity in (0, 1):
                row, column = np.nonzero(change > 0 if polarity else change < 0)
                unit = self.camera.units(column, row, np.full(len(row), polarity))
                found.append((np.full(len(row), t), unit, np.abs(change[row, column])))
        step, source, count = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return step, source, count

    def draw(self, clips: int, generator: np.random.Generator, *, dt_ms: float) -> SpikeDataset:
        """Draw clips, the directions in turn.

        Args:
            clips: how many.
            generator: randomness of the images.
            dt_ms: length of a time step in ms.
        """
        labels = np.arange(clips) % self.directions
        return SpikeDataset.pack(
            [self.events(self.film(self.image(generator), int(label))) for label in labels],
            labels=labels,
            speakers=None,
            classes=[f"{360 * number / self.directions:g} degrees" for number in range(self.directions)],
            sources=self.camera.channels,
            dt_ms=dt_ms,
        )


class Motion(Corpus):
    """A synthetic task made on the spot: which way does a picture move before an event camera?"""

    kind: Literal["motion"]
    dt_ms: float = Field(gt=0, le=1000, description="length of a step [ms]")
    clip_ms: float = Field(gt=0, description="length of a clip [ms]")
    directions: int = Field(ge=2, le=360, description="directions, evenly spaced")
    speed: float = Field(gt=0, le=10, description="pixels per ms")
    size: int = Field(ge=1, le=181, description="pixels of the camera's rows and columns")
    threshold: float = Field(1.0, gt=0, description="change for an event, in standard deviations of the image")
    train_clips: int = Field(ge=1, le=10_000_000, description="clips to train on")
    validation_clips: int = Field(ge=1, le=10_000_000, description="clips to choose the epoch on")
    test_clips: int = Field(ge=1, le=10_000_000, description="clips read once, after training")
    seed: int = Field(ge=0, description="seed of the images; each split has a stream of its own")

    def check(self) -> None:
        """Refuse a clip that is not a whole number of time steps, or sees more of an image than can be made."""
        check_length("data.clip_ms", self.clip_ms, self.dt_ms)
        self._task()

    def _task(self) -> MotionTask:
        steps = time_steps("data.clip_ms", self.clip_ms, self.dt_ms)
        try:
            return MotionTask(self.directions, self.speed * self.dt_ms, self.size, steps, self.threshold)
        except RuleError as error:  # the task speaks of time steps, the recipe of milliseconds
            raise ConfigError(f"data.{error.place.replace('steps', 'clip_ms')}", error.value, error.allowed) from None

    @property
    def picture(self) -> tuple[int, int]:
        """Rows and columns of the camera."""
        return self.size, self.size

    def grid(self) -> Grid:
        """An input for each pixel and polarity."""
        return Grid(2 * self.size * self.size, 1, self.dt_ms)

    def splits(self, *, protocol: Protocol = "honest", progress: Progress = None) -> Splits:
        """Draw the clips of each split, each clip with an image of its own."""
        task = self._task()

        def drawn(split: int, clips: int) -> Subset:
            return Subset.every(task.draw(clips, np.random.default_rng([self.seed, split]), dt_ms=self.dt_ms))

        return Splits(
            drawn(0, self.train_clips),
            drawn(1, self.validation_clips),
            read_test=lambda: drawn(2, self.test_clips),
        )
