"""What a network mistakes for what, and which classes it knows worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.analysis.report.clips import listed, part_name
from ranvier.analysis.report.drawings import MOST_CLASSES
from ranvier.analysis.report.markup import LEFT_OUT, details, figure, percent, section, several, table, text
from ranvier.analysis.report.run_report import RunReport

_NAMED = 3  # of the worst classes
_MOST_NEVER = 8  # of those that are never right


def mistakes_section(report: RunReport, data: Mapping[str, Any], run: int) -> str:
    """The worst classes, the commonest mistakes, and all of them."""
    observed = report.observed
    title = "What it mistakes for what"
    if observed is None:
        return section("confusion", run, title, "<p>No clips were at hand to look at.</p>")
    classes = report.classes
    right = int(np.trace(observed.confusion))
    share = "" if observed.clips == observed.available else f", evenly picked from {observed.available:,}"
    where = part_name(report.settings, observed.split)
    intro = (
        f"<p>The finished network, run spike by spike on {observed.clips:,} {text(where)}{share}: {right:,} right "
        f"({percent(right / observed.clips)}). {text(worst_classes(observed.confusion, classes))}</p>"
    )
    wrong = observed.confusion * (1 - np.eye(len(observed.confusion), dtype=np.int64))
    order = [place for place in np.argsort(-wrong, axis=None, kind="stable")[:10] if wrong.flat[place] > 0]
    pairs = [
        [classes[int(place) // len(classes)], classes[int(place) % len(classes)], int(wrong.flat[place])]
        for place in order
    ]
    mistakes = (
        table("Commonest mistakes", ["class", "taken for", "clips"], pairs, kind="words")
        if pairs
        else "<p>No mistakes.</p>"
    )
    common = details("Commonest mistakes", mistakes, opened=True)
    each = details(
        "Table: every class, worst first",
        table("Every class, worst first", ["class", "right", "of clips", ""], _by_class(observed.confusion, classes)),
    )
    if "confusion" in data.get("left_out", ()):
        return section("confusion", run, title, intro, LEFT_OUT, mistakes)
    if len(classes) > MOST_CLASSES:
        many = f"<p>{len(classes)} classes are too many to draw.</p>"
        return section("confusion", run, title, intro, many, common, each)
    numbers = [[name, *counts] for name, counts in zip(classes, observed.confusion.tolist(), strict=True)]
    return section(
        "confusion",
        run,
        title,
        intro,
        figure(
            "confusion",
            run,
            "A square for every pair of true class (row) and answer (column), stronger where clips are more.",
            "Rows: the true class. Columns: what the network answered. On the diagonal it is right, and a dotted "
            "square there is a class that it never got right; squares beside it are mistakes. Point at a square, tap "
            "it, or use the arrow keys, to read it.",
        ),
        common,
        each,
        details("Table: all counts", table("Rows: true class. Columns: answer.", ["", *classes], numbers)),
    )


def _shares(confusion: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], list[int]]:
    """Right and all clips of every class, and the classes that have clips, worst first."""
    right, clips = np.diag(confusion), confusion.sum(1)
    there = [int(place) for place in np.argsort(right / np.maximum(clips, 1), kind="stable") if clips[place]]
    return right, clips, there


def worst_classes(confusion: NDArray[np.int64], classes: Sequence[str]) -> str:
    """In words: which are never right, or else which are so most seldom."""
    right, clips, order = _shares(confusion)
    never = [place for place in order if not right[place]]
    if len(order) < 2 or bool((right == clips).all()):
        return ""
    worst = [place for place in order if 0 < right[place] < clips[place]][: max(0, _NAMED - len(never))]
    told = listed(
        [f"“{classes[place]}” ({percent(right[place] / clips[place])} of {clips[place]:,})" for place in worst]
    )
    if not never:
        return f"Worst of {len(order)} classes: {told}."
    named = listed([f"“{classes[place]}”" for place in never[:_MOST_NEVER]])
    more = "" if len(never) <= _MOST_NEVER else f", and {len(never) - _MOST_NEVER} more"
    then = f"; next worst: {told}" if told else ""
    return f"Never right (0%): {len(never)} of {several(len(order), 'class', 'classes')}, {named}{more}{then}."


def _by_class(confusion: NDArray[np.int64], classes: Sequence[str]) -> list[list[Any]]:
    right, clips, order = _shares(confusion)
    return [[classes[p], int(right[p]), int(clips[p]), percent(right[p] / clips[p])] for p in order]
