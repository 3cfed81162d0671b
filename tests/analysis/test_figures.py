"""Figures show what they are given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imread

from ranvier.analysis import figures
from ranvier.network import Decoding, Input, Layer, Network
from tests.drawn import counted
from tests.networks import chained, dense_layer


def network() -> Network:
    def layer(sources: int, targets: int, threshold: float) -> Layer:
        return dense_layer(
            weight=np.ones((1, targets, sources), np.float32),
            delay_steps=np.full((1, targets, sources), 2, np.int16),
            bias=np.zeros(targets, np.float32),
            decay=np.zeros(targets, np.float32),
            threshold=np.full(targets, threshold, np.float32),
            max_delay=4,
        )

    return chained(10.0, (layer(3, 2, 1.0), layer(2, 2, np.inf)), ("a", "b"), Input(3), Decoding(3))


def test_delays_are_counted_before_and_after(tmp_path: Path) -> None:
    before, after = np.array([[[0, 1], [1, 4]]], np.int16), np.array([[[0, 2], [2, 2]]], np.int16)
    figure = figures.plot_delays([before], [after], 10.0)
    spread, moved = figure.axes
    heights = [patch.get_height() for patch in spread.patches[:5]]  # type: ignore[attr-defined]
    assert heights == [1, 2, 0, 0, 1]
    assert "4 delays" in spread.get_title()
    assert [patch.get_height() for patch in moved.patches] == [1, 0, 1, 2]  # type: ignore[attr-defined]
    assert "mean move 10 ms" in moved.get_title()
    figures.save(figure, tmp_path / "delays.png")
    assert [file.name for file in tmp_path.iterdir()] == ["delays.png"]
    assert imread(tmp_path / "delays.png").std() > 0.01


def test_learned_delays_line_a_pattern_up() -> None:
    offsets = np.array([[0, 3, 6]])
    figure = figures.plot_detectors(np.array([[5, 1, 9]]), 7 - offsets, offsets, 2.0)
    sent, before, after = (ax.collections[0].get_offsets() for ax in figure.axes)
    assert np.asarray(sent)[:, 0].tolist() == [0, 6, 12]
    assert np.asarray(before)[:, 0].tolist() == [10, 8, 30]
    assert np.asarray(after)[:, 0].tolist() == [14, 14, 14]


def test_a_raster_shows_every_layer_up_to_the_end_of_the_tail() -> None:
    events = (np.array([0, 4]), np.array([0, 2]), np.array([1, 1]))
    figure = figures.plot_raster(network(), events, 5, "a")
    inputs, hidden, output = figure.axes
    marks = [np.asarray(ax.collections[0].get_segments()) for ax in (inputs, hidden)]  # type: ignore[attr-defined]
    places = [each.mean(1).round(6).tolist() for each in marks]
    assert places == [[[0, 0], [40, 2]], [[20, 0], [20, 1], [60, 0], [60, 1]]]
    assert all((np.ptp(each[:, :, 1], axis=1) < 1).all() for each in marks)  # lower than a row
    assert len(np.asarray(output.lines[0].get_xdata())) == 5 + 3
    assert "class a" in inputs.get_title()


def test_spikes_that_are_counted_are_drawn_as_they_add_up() -> None:
    events = (np.array([0, 0, 2]), np.array([0, 1, 0]), np.array([1, 1, 1]))
    figure = figures.plot_raster(counted(network()), events, 5, "a")
    drawn = [np.asarray(line.get_ydata()).tolist() for line in figure.axes[-1].lines[:2]]
    assert drawn == [[0, 0, 0, 0, 1, 1, 2, 2]] * 2
    assert figure.axes[-1].get_ylabel() == "output spikes so far"


def test_any_name_is_drawn_without_a_word_from_matplotlib(tmp_path: Path) -> None:
    names = ("水 zwölf \u202e\x1b σ", r"$\frac$ a$b$c")
    figure = figures.plot_raster(
        replace(network(), classes=("水", names[1])), (np.array([0]), np.array([0]), np.array([1])), 5, names[0]
    )
    assert r"class \u6c34 zwölf \u202e\x1b σ:" in figure.axes[0].get_title()
    figures.save(figure, tmp_path / "raster.png")  # a warning is an error here
    row = {"accuracies": [80.0], "mean": 80.0, "half": None, "published": None, "published_half": None}
    table = figures.plot_table(names[0], [{**row, "name": name} for name in names])
    assert table.axes[0].get_title() == r"\u6c34 zwölf \u202e\x1b σ"
    figures.save(table, tmp_path / "table.png")
    assert all(imread(file).std() > 0.01 for file in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 2


def test_a_table_is_drawn_as_it_is(tmp_path: Path) -> None:
    empty: dict[str, Any] = {"accuracies": [], "mean": None, "half": None, "published": None, "published_half": None}
    rows = [
        {**empty, "name": "a", "accuracies": [80.0, 84.0], "mean": 82.0, "half": 25.4, "published": 95.07},
        {**empty, "name": "b"},
    ]
    figure = figures.plot_table("toy", rows)
    (ax,) = figure.axes
    seeds = next(c for c in ax.collections if c.get_label() == "a seed")
    assert np.asarray(seeds.get_offsets()).tolist() == [[80, 0], [84, 0]]
    drawn = {str(c.get_label()): [float(x) for x in c[0].get_xdata()] for c in ax.containers}
    assert drawn == {"published": [95.07], "mean, 95% t-interval over seeds": [82.0]}
    assert [text.get_text() for text in ax.texts] == ["not run"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    figures.save(figure, tmp_path / "table.png")
    assert imread(tmp_path / "table.png").std() > 0.01
