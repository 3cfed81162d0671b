"""The page: text and tables here, drawings by the scripts beside this file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.metadata import PackageNotFoundError, metadata
from string import Template
from typing import Any

import ranvier
from ranvier.analysis.report.comparison import comparison
from ranvier.analysis.report.drawings import drawings
from ranvier.analysis.report.markup import text
from ranvier.analysis.report.run_report import RunReport
from ranvier.analysis.report.sections import run_sections
from ranvier.escape import escape_controls

LARGEST_BYTES = 4_900_000  # so that a report can be sent by mail
# what can be left out, what is large first
_LARGE = (("clips", "synapses"), ("scatter",), ("confusion",), ("delays",))
_TOLD_BYTES = 20_000
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
    alone = len(reports) == 1
    return Template(_file("page.html")).substitute(
        title=text(f"{reports[0].name}: a Ranvier run" if alone else f"{len(reports)} Ranvier runs compared"),
        style=_file("page.css"),
        body=run_sections(reports[0], data[0], 0) if alone else comparison(reports, data),
        version=text(ranvier.__version__),
        address=text(_address()),
        data=as_json(data),
        script="\n".join(_file(name) for name in _SCRIPTS),
    )


def _address() -> str:
    """Where the project is at home, if the package that is installed says so."""
    try:
        urls = metadata("ranvier").get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    return f" {urls[0].partition(', ')[2]}" if urls else ""


def _leave_out(data: list[dict[str, Any]], place: int, names: Sequence[str]) -> int:
    """Take what is large out of one run's drawings, which remember it; returns about how many bytes that saves."""
    there = [name for name in names if name in data[place]]
    if not there:
        return 0
    saved = len(as_json([data[place].pop(name) for name in there]))
    data[place].setdefault("left_out", []).append(names[0])
    # without its delays a run is told in the table and the curves alone
    return saved + (_TOLD_BYTES if "delays" in there else 0)


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
