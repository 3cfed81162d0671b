"""Runs that never were, with pages made of them, for the report's tests."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.analysis.report import ReportSettings, RunReport
from ranvier.network import Decoding, Input, Layer, Network
from ranvier.runs import EpochRow, EvaluationRecord, Example, RunResult
from tests.networks import chained, changed, dense, dense_layer
from tests.results import run_result

EVENTS = (np.array([0, 0, 3, 7]), np.array([1, 5, 5, 11]), np.array([1, 2, 1, 3]))
SETTINGS = ReportSettings(
    recipe="shd",
    delays="learned",
    epochs=4,
    seed=0,
    sigma_start_ms=20.0,
    fields=(("name", "mine"), ("model.delays", "learned"), ("train.seed", "0")),
)


def layer(sources: int, targets: int, threshold: float, seed: int) -> Layer:
    generator = np.random.default_rng(seed)
    return dense_layer(
        weight=generator.normal(0.3, 1, (2, targets, sources)).astype(np.float32),
        delay_steps=generator.integers(0, 6, (2, targets, sources)).astype(np.int16),
        bias=np.zeros(targets, np.float32),
        decay=np.full(targets, 0.5, np.float32),
        threshold=np.full(targets, threshold, np.float32),
        max_delay=5,
    )


def network(classes: tuple[str, ...] = ("a", "b")) -> Network:
    layers = (layer(12, 8, 1.0, 0), layer(8, len(classes), np.inf, 1))
    return chained(10.0, layers, classes, Input(12), Decoding(6))


def sparse() -> Network:
    """Most synapses are not there; one source of the hidden layer, and one input, have none at all."""
    net, generator, layers = network(), np.random.default_rng(5), []
    for each in net.layers:
        there = generator.random(dense(each).weight.shape) < 0.2
        there[:, :, 0] = False
        layers.append(changed(each, weight=np.where(there, dense(each).weight, np.float32(0))))
    return replace(net, layers=tuple(layers))


def record(classes: int = 2, **changes: Any) -> EvaluationRecord:
    confusion = np.zeros((classes, classes), np.int64)
    confusion[:2, :2] = [[7, 3], [0, 10]]
    whole = EvaluationRecord(
        split="test",
        clips=20,
        available=20,
        confusion=confusion,
        right=np.arange(20) < 17,
        fingerprint="these",
        neuron_spikes=(np.array([0, 0.5, 1, 1, 1, 2, 3, 4]),),
        source_events=np.full(12, 0.5),
        speakers={"anna": (9, 10), "ben": (8, 10)},
        examples=(Example(1, "anna", 9, EVENTS),),
    )
    return replace(whole, **changes)


def rows(epochs: int = 4, **changes: Any) -> list[EpochRow]:
    made = [
        EpochRow(
            epoch=epoch,
            loss=1 / epoch,
            train_accuracy=0.5 + epoch / 3000,
            validation_accuracy=0.4 + epoch / 3000,
            sigma_ms=10.0 / epoch,
            seconds=2.0 * epoch,
            delay_histograms=((epoch, 0, 0, 0, 0, 2000 - epoch), (32, 0, 0, 0, 0, 0)),
        )
        for epoch in range(1, epochs + 1)
    ]
    return [row.model_copy(update=changes) for row in made]


def accuracy(correct: int, clips: int, **more: Any) -> dict[str, Any]:
    return {"value": correct / clips, "low": 0.5, "high": 0.9, "correct": correct, "clips": clips, **more}


def result(**changes: Any) -> RunResult:
    fields: dict[str, Any] = {
        "best_epoch": 3,
        "epochs": 4,
        "parameters": 1234,
        "seconds": 8.0,
        "git_commit": "abc123",
        "delays": "learned",
        "accuracy": {"validation": accuracy(8, 10), "test": accuracy(17, 20)},
    }
    return run_result(**{**fields, **changes})


def report(**changes: Any) -> RunReport:
    whole = RunReport(
        name="mine",
        description=["It tells a from b."],
        command="ranvier train mine",
        settings=SETTINGS,
        rows=rows(),
        result=result(),
        network=network(),
        record=record(),
    )
    return replace(whole, **changes)


class Page(HTMLParser):
    """What a page holds.

    Attributes:
        elements: (tag, attributes) in order.
        open: tags that are not closed.
        text: all text outside of scripts and styles.
        scripts: text of each.
        headings: of the sections.
        figures: what each figure draws.
        tables: rows of cells by caption.
        facts: values by name.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.scripts: list[str] = []
        self.headings: list[str] = []
        self.figures: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.facts: dict[str, str] = {}
        self._caption = self._name = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag not in ("meta", "link", "input"):
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")
        elif tag == "h2":
            self.headings.append("")
        elif tag == "figure":
            self.figures.append(str(attributes["data-draw"]))
        elif tag in ("caption", "dt"):
            self._caption = self._name = ""
        elif tag == "tr":
            self.tables.setdefault(self._caption, []).append([])
        elif tag in ("th", "td"):
            self.tables[self._caption][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        if inside == "script":
            self.scripts[-1] += data
            return
        if inside == "style":
            return
        self.text += data
        if inside == "h2":
            self.headings[-1] += data
        elif inside == "caption":
            self._caption += data
        elif inside == "dt":
            self._name += data
        elif inside == "dd":
            self.facts[self._name] = data
        elif "tr" in self.open and data.strip():
            self.tables[self._caption][-1][-1] = f"{self.tables[self._caption][-1][-1]} {data.strip()}".strip()

    def column(self, caption: str, name: str) -> dict[str, str]:
        """Cells of a table's column by the first of their row."""
        head, *body = self.tables[caption]
        return {row[0]: row[head.index(name)] for row in body}

    @property
    def data(self) -> Any:
        """What the scripts draw."""
        return json.loads(self.scripts[0])


def unpack(packed: str, kind: str) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(packed), kind)
