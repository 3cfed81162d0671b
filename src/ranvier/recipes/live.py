"""Decisions on sound as it comes: where an utterance begins and ends, and what it is as soon as that is stable."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier.audio.ear import EarStream, StreamingEar
from ranvier.data.dataset import DataError
from ranvier.data.events import time_to_steps
from ranvier.engine import Engine
from ranvier.network import Network, Scores
from ranvier.network.decoding import RATE_LOGIT


@dataclass(frozen=True)
class Rule:
    """When an utterance begins, when it is decided and when it ends.

    The ear's rate r, in spikes per channel and second over 30 ms, is compared with the background b that it had between
    utterances (a mean over 1 s). An utterance begins where r > 2 b + ``onset``; it ends where r stays below
    1.5 b + ``onset`` / 2 for ``pause_ms``, or after ``longest_ms``. It is decided when one class has led for
    ``hold_ms`` by ``margin`` or more, and at its end at the latest. The lead is the difference between the two highest
    scores, as a share of all. The network receives an utterance from ``before_ms`` before its beginning to ``after_ms``
    after it was last loud, from silence on, and then the silence that its decoding asks for, as for a clip. One of
    less than ``shortest_ms`` is a click, not an utterance.

    The numbers are those that decided best on the validation clips of the package's digits, half a second of faint
    noise around each.
    """

    onset: float = 1.5
    pause_ms: float = 250.0
    longest_ms: float = 2000.0
    shortest_ms: float = 100.0
    before_ms: float = 40.0
    after_ms: float = 100.0
    hold_ms: float = 100.0
    margin: float = 0.15


@dataclass(frozen=True)
class Decision:
    """What an utterance is.

    Attributes:
        name: of the class.
        index: of the class.
        begin_s: where the utterance begins in the sound.
        decided_s: up to where the network had received the sound.
        margin: by how much its score leads, as a share of all scores, in [0, 1].
        stable: decided while the utterance went on; else at its end.
    """

    name: str
    index: int
    begin_s: float
    decided_s: float
    margin: float
    stable: bool


class Live:
    """A network that follows sound.

    Decisions depend on the sound and the seed alone, not on the pieces it comes in. Memory stays the same however long
    it goes on.

    Args:
        network: trained on spikes of the streaming ear.
        rate: of the sound, samples per second.
        seed: of the ear's nerve fibres.
        rule: when there is something to decide.

    Raises:
        DataError: the network's steps count from an utterance's first event.
        RuleError: the rate is not one of the ear's.
    """

    def __init__(self, network: Network, rate: int, *, seed: int = 0, rule: Rule | None = None) -> None:
        if network.input.alignment != "zero":
            raise DataError(f"input.alignment: {network.input.alignment} is not allowed for a stream (zero)")
        self.network, self.rule = network, rule or Rule()
        self.ear: EarStream = StreamingEar(channels=network.input.channels).stream(rate, seed=seed)
        self.stream = Engine(network).stream()
        self.utterances = 0
        self._step = 0  # the next time step of the sound
        self._times, self._units = np.empty(0), np.empty(0, np.uint16)
        self._before: deque[NDArray[np.int64]] = deque(maxlen=self._steps(self.rule.before_ms))
        self._counts: deque[int] = deque([0] * self._steps(30.0), maxlen=self._steps(30.0))
        self._background = 0.8  # of cells in silence
        self._begin: int | None = None  # of the utterance that goes on
        self._quiet = 0  # steps
        self._decided = False
        self._leader, self._led = -1, 0
        self._last = self.stream.state()

    def _steps(self, ms: float) -> int:
        return max(1, math.ceil(ms / self.network.dt_ms))

    def push(self, samples: ArrayLike) -> list[Decision]:
        """Take the next samples; returns what has been decided by them.

        Args:
            samples: as :meth:`ranvier.audio.ear.EarStream.push` takes them.
        """
        return self._receive(*self.ear.push(samples), self.ear.seconds)

    def finish(self) -> list[Decision]:
        """The sound is over; what goes on is decided."""
        times, units = self.ear.finish()
        found = self._receive(times, units, self.ear.samples / self.ear.rate)
        if self._begin is not None:
            found += self._end()
        return found

    def _receive(self, times: NDArray[np.float64], units: NDArray[np.uint16], until_s: float) -> list[Decision]:
        self._times, self._units = np.concatenate([self._times, times]), np.concatenate([self._units, units])
        step_s = self.network.dt_ms / 1000
        ready = int(time_to_steps(np.array([until_s]), step_s)[0])
        if ready <= self._step:
            return []
        steps = time_to_steps(self._times, step_s)
        found: list[Decision] = []
        for step in range(self._step, ready):
            self._step = step + 1
            found += self._advance(self._units[steps == step].astype(np.int64) // self.network.input.pool)
        left = steps >= ready
        self._times, self._units = self._times[left], self._units[left]
        return found

    def _advance(self, events: NDArray[np.int64]) -> list[Decision]:
        """One time step of the sound."""
        self._counts.append(len(events))
        per_second = 1000 / self.network.dt_ms / self.network.input.channels
        rate = sum(self._counts) / len(self._counts) * per_second
        if self._begin is None:
            self._before.append(events)
            if rate <= 2 * self._background + self.rule.onset:
                self._background += (rate - self._background) * min(1.0, self.network.dt_ms / 1000)
                return []
            return self._start()
        self._quiet = self._quiet + 1 if rate < 1.5 * self._background + self.rule.onset / 2 else 0
        self._send(events)
        found = self._decide()
        if self._step - self._begin >= self._steps(self.rule.longest_ms):
            self._background = rate  # what never pauses is background
            return found + self._end()
        return found + (self._end() if self._quiet >= self._steps(self.rule.pause_ms) else [])

    def _start(self) -> list[Decision]:
        self.stream.reset()
        self._begin = self._step - len(self._before)
        self._quiet, self._decided, self._leader, self._led = 0, False, -1, 0
        for events in self._before:
            self._send(events)
        self._before.clear()
        return []

    def _send(self, events: NDArray[np.int64]) -> None:
        source, count = np.unique(events, return_counts=True)
        self.stream.step(source, count)
        if self._quiet <= self._steps(self.rule.after_ms):
            self._last = self.stream.state()

    def _decide(self) -> list[Decision]:
        """The decision, once it is stable."""
        if self._decided or self._is_short():
            return []
        leader, margin = lead(self.stream.scores, self.network.decoding.scores, self.stream.t)
        held = leader == self._leader and margin >= self.rule.margin
        self._led = self._led + 1 if held else 0
        self._leader = leader
        if self._led < self._steps(self.rule.hold_ms):
            return []
        return [self._decision(stable=True)]

    def _is_short(self) -> bool:
        """Whether it was loud for so short a time only that it is a click."""
        assert self._begin is not None
        return self._step - self._begin - self._quiet < self._steps(self.rule.shortest_ms + self.rule.before_ms)

    def _end(self) -> list[Decision]:
        assert self._begin is not None
        found: list[Decision] = []
        if not self._decided and not self._is_short():
            self.stream.restore(self._last)
            self.stream.finish()
            found = [self._decision(stable=False)]
        self._begin = None
        return found

    def _decision(self, *, stable: bool) -> Decision:
        assert self._begin is not None
        self._decided = True
        self.utterances += 1
        leader, margin = lead(self.stream.scores, self.network.decoding.scores, self.stream.t)
        step_s = self.network.dt_ms / 1000
        name = self.network.classes[leader]
        return Decision(name, leader, self._begin * step_s, self._step * step_s, margin, stable)


def lead(scores: NDArray[np.float64], kind: Scores, steps: int) -> tuple[int, float]:
    """The class with the highest score, the first of equal ones, and its lead over the next as a share of all.

    Scores that are voltages become shares by a softmax, sums of them by that of their mean over ``steps``, numbers of
    spikes by that of 10 times their mean, as in the loss.
    """
    best = int(scores.argmax())
    if kind != "softmax":
        mean = RATE_LOGIT if kind == "count" else 1.0
        scores = np.exp((scores - scores[best]) * mean / (max(steps, 1) if kind in ("sum", "count") else 1))
    others = np.delete(scores, best)
    return best, float(scores[best] - others.max(initial=0.0)) / max(float(scores.sum()), 1e-300)
