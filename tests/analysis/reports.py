"""Runs that never were, with pages made of them, for the report's tests."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.analysis.report import RunReport
from ranvier.network import Input, Layer, Network, Readout
from ranvier.runs import EvaluationRecord, Example


def layer(sources: int, targets: int, threshold: float, seed: int) -> Layer:
    generator = np.random.default_rng(seed)
    return Layer(
        weight=generator.normal(0.3, 1, (2, targets, sources)).astype(np.float32),
        delay_steps=generator.integers(0, 6, (2, targets, sources)).astype(np.int16),
        bias=np.zeros(targets, np.float32),
        decay=np.full(targets, 0.5, np.float32),
        threshold=np.full(targets, threshold, np.float32),
        max_delay=5,
    )


def network(classes: tuple[str, ...] = ("a", "b")) -> Network:
    layers = (layer(12, 8, 1.0, 0), layer(8, len(classes), np.inf, 1))
    return Network(10.0, layers, classes, Input(12), Readout(6))


EVENTS = (np.array([0, 0, 3, 7]), np.array([1, 5, 5, 11]), np.array([1, 2, 1, 3]))


def observed(classes: int = 2, **changes: Any) -> EvaluationRecord:
    confusion = np.zeros((classes, classes), np.int64)
    confusion[:2, :2] = [[7, 3], [0, 10]]
    return replace(
        EvaluationRecord(
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
        ),
        **changes,
    )


def rows(epochs: int = 4, *, histograms: bool = True) -> list[dict[str, Any]]:
    made = []
    for epoch in range(1, epochs + 1):
        row: dict[str, Any] = {
            "epoch": epoch,
            "loss": 1 / epoch,
            "train_accuracy": 0.5 + epoch / 100,
            "validation_accuracy": 0.4 + epoch / 100,
            "sigma_ms": 10.0 / epoch,
            "seconds": 2.0 * epoch,
        }
        if histograms:
            row["delay_histograms"] = [[epoch, 0, 0, 0, 0, 192 - epoch], [32, 0, 0, 0, 0, 0]]
        made.append(row)
    return made


def accuracy(correct: int, clips: int) -> dict[str, Any]:
    return {"value": correct / clips, "low": 0.5, "high": 0.9, "correct": correct, "clips": clips}


def report(**changes: Any) -> RunReport:
    result = {
        "best_epoch": 3,
        "epochs": 4,
        "parameters": 1234,
        "seconds": 8.0,
        "wall_seconds": 9.0,
        "machine": "a machine, 2 cores, Linux",
        "threads": 2,
        "git_commit": "abc123+",
        "versions": {"ranvier": "0.1.0"},
        "seed": 0,
        "delays": "learned",
        "protocol": "honest",
        "epoch_chosen_on": "validation",
        "accuracy": {"validation": accuracy(8, 10), "test": accuracy(17, 20)},
    }
    whole = RunReport(
        name="mine",
        story=["It learned to tell a from b."],
        command="ranvier train mine",
        settings={"name": "mine", "model.delays": "learned", "train.seed": "0", "train.sigma_start_ms": "20.0"},
        epochs=4,
        rows=rows(),
        result=result,
        network=network(),
        observed=observed(),
    )
    return replace(whole, **changes)


class Reading(HTMLParser):
    """Elements with their attributes, the text of each script, and all other text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "input"):
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif not (self.open and self.open[-1] == "style"):
            self.text += data


def data_of(page: str) -> Any:
    return json.loads(Reading(page).scripts[0])


def unpack(packed: str, kind: str) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(packed), kind)
