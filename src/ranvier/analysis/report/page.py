"""The page: templates beside this file, filled with a run's tables and drawings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import ranvier
from ranvier.analysis.intervals import describe_gain
from ranvier.analysis.report import accuracy, run_report
from ranvier.analysis.report.comparison import compare
from ranvier.analysis.report.drawings import MOST_CLASSES, drawings, evenly
from ranvier.analysis.report.run_report import RunReport
from ranvier.escape import escape_controls

LARGEST_BYTES = 4_900_000  # so that a report can be sent by mail
# what can be left out, what is large first
_LARGE = (("clips", "synapses"), ("scatter",), ("confusion",), ("delays",))
_SECTION_BYTES = 20_000
_MOST_ROWS = 300  # of the table of epochs
_SCRIPTS = ("charts.js", "confusion.js", "overlay.js", "travel.js", "page.js")


def render(reports: Sequence[RunReport]) -> str:
    """One HTML file that needs nothing else, for a run or for the comparison of several.

    Args:
        reports: one or more. What would make the file larger than 5 MB is left out, of the last runs first: clips to
            look at, samples, mistakes, in the end all but a run's row and curves. The page says so.

    Returns:
        The file's text.

    Raises:
        ValueError: there is no run.
    """
    if not reports:
        raise ValueError("reports: none (1 or more)")
    data = [drawings(report) for report in reports]
    whole = _page(reports, data)
    large = [(place, names) for names in _LARGE for place in reversed(range(len(data)))]
    while (excess := len(whole.encode()) - LARGEST_BYTES) > 0 and large:
        while excess > 0 and large:
            excess -= _leave_out(data, *large.pop(0))
        whole = _page(reports, data)
    return whole


def _page(reports: Sequence[RunReport], data: Sequence[Mapping[str, Any]]) -> str:
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            reports=reports,
            data=data,
            comparison=compare(reports) if len(reports) > 1 else None,
            version=ranvier.__version__,
            address=_address(),
            style=Markup(_file("page.css")),
            json=Markup(as_json(data)),
            script=Markup("\n".join(_file(name) for name in _SCRIPTS)),
        )
    )


@lru_cache
def _environment() -> Environment:
    """Texts are escaped, and what would steer a terminal is shown; an unknown name in a template is an error."""
    environment = Environment(
        loader=PackageLoader("ranvier.analysis.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: escape_controls(value) if isinstance(value, str) and type(value) is str else value,
    )
    environment.filters |= {"percent": percent, "duration": duration, "signed": _signed}
    environment.globals |= {
        "accuracy_rows": accuracy.accuracy_rows,
        "class_rows": class_rows,
        "counts_at": _counts_at,
        "describe_gain": describe_gain,
        "epoch_rows": _epoch_rows,
        "last_accuracy": accuracy.last_accuracy,
        "layer_names": run_report.layer_names,
        "main_accuracy": accuracy.main_accuracy,
        "most_classes": MOST_CLASSES,
        "np": np,
        "probe_rows": accuracy.probe_rows,
        "speakers_of": accuracy.speakers_of,
        "split_name": accuracy.split_name,
        "worst_pairs": worst_pairs,
    }
    return environment


def percent(share: float, digits: int = 1) -> str:
    """A share as per cent."""
    return f"{100 * share:.{digits}f}%"


def duration(seconds: float) -> str:
    """Seconds in the unit that fits."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def class_rows(report: RunReport) -> list[tuple[str, int, int]]:
    """Name, right and all clips of every class that has clips, worst first."""
    confusion = report.record.confusion if report.record is not None else np.zeros((0, 0), np.int64)
    right, clips = np.diag(confusion), confusion.sum(1)
    order = np.argsort(right / np.maximum(clips, 1), kind="stable")
    return [(report.classes[place], int(right[place]), int(clips[place])) for place in order if clips[place]]


def worst_pairs(report: RunReport, most: int = 10) -> list[tuple[str, str, int]]:
    """The commonest mistakes: true class, predicted class, clips."""
    if report.record is None:
        return []
    wrong = report.record.confusion * (1 - np.eye(len(report.classes), dtype=np.int64))
    places = [divmod(int(place), len(wrong)) for place in np.argsort(-wrong, axis=None, kind="stable")[:most]]
    return [(report.classes[t], report.classes[p], int(wrong[t, p])) for t, p in places if wrong[t, p]]


def _epoch_rows(report: RunReport) -> list[Any]:
    return [report.rows[place] for place in evenly(len(report.rows), _MOST_ROWS)]


def _counts_at(layers: Sequence[Mapping[str, Any]], place: int) -> list[Any]:
    """Synapses in a bin of delays, in each layer; empty where it has no such bin."""
    return [counts[place] if place < len(counts := layer["counts"][-1]) else "" for layer in layers]


def _address() -> str:
    """Where the project is at home, if the package that is installed says so."""
    try:
        urls = metadata("ranvier").get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    return urls[0].partition(", ")[2] if urls else ""


def _leave_out(data: list[dict[str, Any]], place: int, names: Sequence[str]) -> int:
    """Take what is large out of one run's drawings, which remember it; returns about how many bytes that saves."""
    there = [name for name in names if name in data[place]]
    if not there:
        return 0
    saved = len(as_json([data[place].pop(name) for name in there]))
    data[place].setdefault("left_out", []).append(names[0])
    # without its delays a run stands in the table and the curves alone
    return saved + (_SECTION_BYTES if "delays" in there else 0)


def as_json(data: Any) -> str:
    """JSON that may stand inside a ``<script>``: nothing in it can end the element; texts are shown as they are."""
    plain = json.dumps(_shown(data), allow_nan=False, separators=(",", ":"))
    return plain.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _shown(data: Any) -> Any:
    if isinstance(data, str):
        return escape_controls(data)
    if isinstance(data, Mapping):
        return {key: _shown(value) for key, value in data.items()}
    return [_shown(value) for value in data] if isinstance(data, list | tuple) else data


def _file(name: str) -> str:
    return (resources.files("ranvier.analysis.report") / name).read_text("utf-8")
