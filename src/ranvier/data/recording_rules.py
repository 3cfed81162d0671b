"""What a recording has to keep to: one place for all who read, check or join recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

TimeUnit = Literal["s", "ms", "us"]
PER_SECOND: Mapping[str, int] = {"s": 1, "ms": 1000, "us": 1_000_000}
LONGEST_S = 60.0
"""Longest clip whose times are taken for seconds without a word about it. Clips of these data sets last about a second;
milliseconds taken for seconds pass 60 from a clip of 60 ms on, six steps of 10 ms."""

MOST_CLASSES = 65536
_MOST_SPEAKERS = 2**31


class Fault(NamedTuple):
    """A broken rule: which, where and what is allowed; in how many clips; faults of a kind are counted together."""

    text: str
    kind: str = ""
    clips: int = 1


@dataclass(frozen=True, eq=False)
class Lists:
    """One list of numbers per clip: all values one after the other, and how many each clip has."""

    values: NDArray[Any]
    sizes: NDArray[np.int64]

    def clips(self) -> list[NDArray[Any]]:
        """Those of each clip."""
        return np.split(self.values, np.cumsum(self.sizes)[:-1])

    def clip_of(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Clip of each of some values."""
        clips: NDArray[np.int64] = np.searchsorted(np.cumsum(self.sizes), places, side="right")
        return clips


def check_sizes(sizes: Mapping[str, int]) -> Iterator[Fault]:
    """All parts have as many clips, one or more."""
    if len(set(sizes.values())) > 1:
        yield Fault(f"{', '.join(f'{name} has {n} clips' for name, n in sizes.items())} (equal allowed)")
    if sizes and not min(sizes.values()):
        yield Fault("no clips (1 or more)")


def check_names(part: str, names: Sequence[str]) -> Iterator[Fault]:
    """Names of classes or speakers differ, and are text."""
    for name, count in Counter(names).items():
        if count > 1:
            yield Fault(f"extra/{part}: {name!r} stands there {count} times (each name once)", part)
    for number, name in enumerate(names):
        # an unnamed speaker is one that a file's name does not give
        if "\0" in name or (part == "keys" and not name.strip()):
            yield Fault(f"extra/{part}[{number}] is {name!r} (a name allowed)", part)


def count_classes(names: Sequence[str], classes: int | None, labels: NDArray[Any]) -> int:
    """Classes by their names, else as given, else by the largest label."""
    # a damaged label must not name millions of classes
    return len(names) or classes or min(int(labels.max(initial=0)) + 1, MOST_CLASSES)


def check_labels(labels: NDArray[Any], classes: int) -> Iterator[Fault]:
    """Labels are classes."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        clip = wrong[0]
        yield Fault(f"labels[{clip}] is {labels[clip]} (0 ... {classes - 1} allowed)", "labels", len(wrong))


def check_speakers(speakers: NDArray[Any], names: Sequence[str]) -> Iterator[Fault]:
    """Speakers are numbers from 0 on, with a name each where there are names."""
    wrong = np.flatnonzero((speakers < 0) | (speakers >= _MOST_SPEAKERS))
    if len(wrong):
        clip = wrong[0]
        yield Fault(f"extra/speaker[{clip}] is {speakers[clip]} (0 or more allowed)", "speaker", len(wrong))
    elif names and int(speakers.max(initial=0)) >= len(names):
        yield Fault(f"extra/speaker names number {speakers.max()} of {len(names)} speaker_names")


def check_channels(own: int | None, asked: int) -> Iterator[Fault]:
    """A recording that says how many channels it has is read as having these."""
    if own is not None and own != asked:
        yield Fault(f"was made with {own} channels (its attribute 'ear'), but {asked} are asked for")


def check_clips(
    start: int,
    times: Lists | None,
    units: Lists | None,
    *,
    channels: int,
    unit: TimeUnit | None,
    file: str | None = None,
) -> Iterator[Fault]:
    """Events of some clips, from clip ``start`` on.

    Args:
        start: number of the first.
        times, units: of their events; None where the recording has none.
        channels: units lie in [0, channels).
        unit: of the times; None takes seconds, and asks where a clip lasts longer than ``LONGEST_S``.
        file: begins the faults of a clip in a file of its own, may be empty; None for clips of a recording.
    """
    if times is not None and units is not None:
        odd = np.flatnonzero(times.sizes != units.sizes)
        if len(odd):
            clip = odd[0]
            yield Fault(
                f"clip {start + clip} has {times.sizes[clip]} times and {units.sizes[clip]} units (equal allowed)",
                "lengths",
                len(odd),
            )
    if times is not None:
        # against double precision, since NumPy compares in half precision slowly
        usual = (times.values >= np.float64(0)) & (times.values <= np.float64(LONGEST_S))
        if not usual.all():
            good = np.isfinite(times.values) & (times.values >= 0)
            if file is None:
                yield from _check_values(start, "times", times, good, "finite, 0 s or later")
            elif not good.all():
                at = int(np.argmin(good))
                text = f"{file}event {at} is at {times.values[at]} {unit or 's'} (finite, 0 or later allowed"
                yield Fault(f"{text}; before 0: take the first time off all of them)", "times")
            if unit is None:
                yield from _check_unit(start, times, good, file)
    if units is not None:
        good = (units.values >= 0) & (units.values < channels)
        if file is None:
            yield from _check_values(start, "units", units, good, f"0 ... {channels - 1}")
        elif not good.all():
            at = int(np.argmin(good))
            yield Fault(f"{file}event {at} has x = {units.values[at]} (0 ... {channels - 1} allowed)", "units")


def _check_values(start: int, name: str, lists: Lists, good: NDArray[np.bool_], allowed: str) -> Iterator[Fault]:
    wrong = np.flatnonzero(~good)
    if len(wrong):
        clips = lists.clip_of(wrong)
        at = int(wrong[0] - lists.sizes[: clips[0]].sum())
        text = f"spikes/{name}[{start + clips[0]}][{at}] is {lists.values[wrong[0]]} ({allowed} allowed)"
        yield Fault(text, name, len(np.unique(clips)))


def _check_unit(start: int, times: Lists, good: NDArray[np.bool_], file: str | None) -> Iterator[Fault]:
    late = np.flatnonzero(good & (times.values > LONGEST_S))
    if len(late):
        clips = times.clip_of(late)
        latest = int(np.argmax(times.values[late]))
        last = float(times.values[late][latest])
        clip = f"clip {start + clips[latest]} " if file is None else file
        where = "as an option, or data.time_unit in a recipe" + (", or the file's attribute" if file is None else "")
        yield Fault(
            f"{clip}ends at {last:.4g}: seconds, milliseconds ({last / 1e3:.4g} s) or "
            f"microseconds ({last / 1e6:.4g} s)? Over {LONGEST_S:g} s it has to be said "
            f"(time_unit s, ms or us, {where})",
            "duration",
            len(np.unique(clips)),
        )
