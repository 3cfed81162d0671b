"""Runs a frozen network, event by event."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.engine import (  # noqa: F401 - they register their runners
    adaptive_lif,
    conv,
    dense,
    integer_integrator,
    integer_lif,
    integrator,
    lif,
    soft_reset_lif,
    trace,
)
from ranvier.engine.clip import Events
from ranvier.engine.layer_state import LayerRunner
from ranvier.engine.run import Run
from ranvier.engine.stream import Stream
from ranvier.network import Network

Clip = tuple[Events | NDArray[Any], int | None]
"""Events, or their dense form, and the length in time steps; see :meth:`Engine.run`."""


class Engine:
    """Runs a network event by event: a spike reaches every target once, at its delay.

    Its time grows with spikes times synapses, not with time steps times the longest delay. Sums are taken in double
    precision, so that the order of the events within a time step changes no spike; those of an integer network are
    exact.

    Args:
        network: what to run; its weights are put in order once.

    Raises:
        TypeError: a part cannot be run; the message names it.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.layers = [LayerRunner(layer, number) for number, layer in enumerate(network.layers)]
        self._streams = local()  # one for each thread: a stream runs one clip at a time

    def stream(self) -> Stream:
        """A stream at rest, that runs a clip or an endless input piece by piece."""
        return Stream(self)

    def run(self, events: Events | NDArray[Any], length: int | None = None) -> Run:
        """Run one clip from silence, and its tail.

        Args:
            events: (time step, source, size) arrays as in :data:`Events`; or the dense ``[time, source]`` form of the
                same, finite, as wide as the network has sources. Sizes of an integer network are whole numbers in
                [0, 255].
            length: time steps of the clip, in [1, 2^24]; None means up to the last event, or all of the dense form.

        Returns:
            Spikes, voltages, scores and prediction.

        Raises:
            ValueError: events of another type, shape or length, outside the clip or the network's sources, not finite,
                or unsorted; a length out of range.
        """
        if not hasattr(self._streams, "stream"):
            self._streams.stream = self.stream()
        stream: Stream = self._streams.stream
        stream.reset()
        clip = stream.push(events, length)
        tail = stream.finish()
        spikes = tuple(np.concatenate(both) for both in zip(clip.spikes, tail.spikes, strict=True))
        return Run(spikes, np.concatenate([clip.voltage, tail.voltage]), tail.scores, tail.prediction)

    def run_many(self, clips: Iterable[Clip], *, workers: int | None = None) -> Iterator[Run]:
        """Run clips on several cores, each from silence.

        Args:
            clips: events and length of each, as :meth:`run` takes them; read as they are needed.
            workers: threads, 1 or more; None means one for each core that this process may use.

        Yields:
            As :meth:`run` returns, in the order of the clips.

        Raises:
            ValueError: as :meth:`run`; or fewer than one worker.
        """
        workers = _cores() if workers is None else workers
        if workers < 1:
            raise ValueError(f"workers: {workers} is not allowed (1 or more)")
        if workers == 1:
            yield from (self.run(*clip) for clip in clips)
            return
        with ThreadPoolExecutor(workers) as pool:
            ahead: deque[Future[Run]] = deque()
            for clip in clips:
                ahead.append(pool.submit(self.run, *clip))
                if len(ahead) > 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()


def _cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
