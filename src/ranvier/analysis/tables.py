"""One table in the notations that papers and pages want."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

_LATEX = {"&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "σ": r"$\sigma$", "±": r"$\pm$", "†": r"$\dagger$", "−": "--"}


def as_markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A pipe table; the first column is text, the others are aligned to the right."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)


def as_csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Comma-separated, RFC 4180."""
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return text.getvalue()


def as_latex(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A ``tabular`` with the rules of the package booktabs."""

    def line(cells: Sequence[str]) -> str:
        return " & ".join("".join(_LATEX.get(c, c) for c in cell) for cell in cells) + r" \\"

    columns = "l" + "r" * (len(header) - 1)
    body = [line(row) for row in rows]
    parts = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", line(header), r"\midrule", *body, r"\bottomrule"]
    return "\n".join([*parts, r"\end{tabular}", ""])
