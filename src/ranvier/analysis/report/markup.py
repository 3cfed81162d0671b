"""Pieces of HTML; whatever a user named is escaped here."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ranvier.escape import escape_controls

LEFT_OUT = '<p class="note">Left out here to keep this file small; the report of this run alone has it.</p>'


def text(value: Any) -> str:
    """A value as text that may stand anywhere in HTML, in attributes too; control characters are shown escaped."""
    return html.escape(escape_controls(str(value)), quote=True)


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Any]], *, kind: str = "numbers") -> str:
    """A table of plain values; the first cell of a row names it."""
    header = "".join(f'<th scope="col">{text(name)}</th>' for name in head)
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td>{text(value)}</td>" for value in rest)
        lines.append(f'<tr><th scope="row">{text(first)}</th>{cells}</tr>')
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}"><table class="{kind}">'
        f"<caption>{text(caption)}</caption><thead><tr>{header}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def stacked(
    caption: str, head: Sequence[str | tuple[str, str]], rows: Iterable[Sequence[str | tuple[str, str]]], *, kind: str
) -> str:
    """A table whose rows become blocks on a narrow screen, each cell with its column's name; cells are HTML.

    A cell may be (class, HTML). The roles are told, for a table whose rows are blocks is none to a screen reader.
    """

    def parts(cell: str | tuple[str, str]) -> tuple[str, str]:
        return ("", cell) if isinstance(cell, str) else (f' class="{cell[0]}"', cell[1])

    header = "".join(f'<th scope="col" role="columnheader"{about}>{inside}</th>' for about, inside in map(parts, head))
    names = [inside if isinstance(cell, str) else "" for cell, (_, inside) in zip(head, map(parts, head), strict=True)]
    lines = []
    for first, *rest in rows:
        cells = "".join(
            f'<td role="cell"{about} data-name="{name}">{inside}</td>'
            for name, (about, inside) in zip(names[1:], map(parts, rest), strict=True)
        )
        lines.append(
            f'<tr class="depth0" role="row"><th scope="row" role="rowheader">{parts(first)[1]}</th>{cells}</tr>'
        )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}">'
        f'<table class="stacked {kind}" role="table"><caption>{text(caption)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{header}</tr></thead><tbody role="rowgroup">{"".join(lines)}</tbody>'
        "</table></div>"
    )


def details(summary: str, inside: str, *, opened: bool = False) -> str:
    """What is there for those who ask; ``inside`` is HTML."""
    return f"<details{' open' if opened else ''}><summary>{text(summary)}</summary>{inside}</details>"


def facts(pairs: Mapping[str, str]) -> str:
    """Names and values."""
    return "<dl>" + "".join(f"<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>" for k, v in pairs.items()) + "</dl>"


def figure(draw: str, run: int, label: str, caption: str, controls: str = "") -> str:
    """A place that the script named ``draw`` fills; ``controls`` is HTML.

    The label is what is read instead of the drawing, the caption says what to see, a paragraph in each line.
    """
    told = "".join(f"<p>{text(line)}</p>" for line in caption.split("\n") if line)
    return (
        f'<figure data-draw="{text(draw)}" data-run="{run}">{controls}'
        f'<div class="drawing" data-label="{text(label)}"></div>'
        f'<p class="read" aria-live="polite"></p><figcaption>{told}</figcaption></figure>'
    )


def slider(name: str, label: str, *, play: bool = False) -> str:
    """A control for a figure, and the place where its value is told."""
    button = '<button type="button" data-control="play">Play</button>' if play else ""
    return (
        f'<div class="controls">{button}<label>{text(label)} '
        f'<input type="range" data-control="{name}" min="0" max="0" value="0" step="1"></label><output></output></div>'
    )


def section(name: str, run: int, title: str, *inside: str) -> str:
    """A part of the page with its heading; ``inside`` is HTML."""
    identity = f"run{run}-{name}"
    heading = f'<h2 id="{identity}-h">{text(title)}</h2>'
    return f'<section id="{identity}" aria-labelledby="{identity}-h">{heading}{"".join(inside)}</section>'


def percent(share: float, digits: int = 1) -> str:
    """A share as per cent."""
    return f"{100 * share:.{digits}f}%"


def several(number: int, one: str, many: str = "") -> str:
    """``1 thread``, ``2 threads``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Seconds in the unit that fits."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"
