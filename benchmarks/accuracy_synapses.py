"""Accuracy against the number of synapses, from a table that ``ranvier reproduce`` wrote.

    ranvier reproduce motion
    python benchmarks/accuracy_synapses.py runs/motion/table.csv docs/motion.png

Rows whose names differ only in ``, 1/N left`` are a curve; a row without it begins the curves that ``CURVES`` names.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

CURVES = {  # of the table motion: its whole network, colour, marker
    "dense convolution, smallest weights pruned": ("dense convolution", "#2e4057", "s"),
    "smallest weights pruned": ("learned delays", "#d1495b", "o"),
    "smallest weights per time step pruned": ("learned delays", "#edae49", "^"),
    "longest delays pruned": ("learned delays", "#66a182", "v"),
}
POINTS = {"no delays": "x", "random delays": "+", "random synapses, 1/8 from the start": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="table.csv")
    parser.add_argument("out", type=Path, help="picture to write, .png")
    options = parser.parse_args()
    with options.table.open(encoding="utf-8", newline="") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    places = {
        name: (float(row["synapses"]), *map(float, row["ours [%] ± over seeds"].partition(" ± ")[::2]))
        if "±" in row["ours [%] ± over seeds"]
        else (float(row["synapses"]), float(row["ours [%] ± over seeds"]), 0.0)
        for name, row in rows.items()
    }
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    for curve, (whole, colour, marker) in CURVES.items():
        of_curve = [whole, *(name for name in rows if name.rpartition(", 1/")[0] == curve)]
        synapses, accuracy, half = zip(*(places[name] for name in of_curve), strict=True)
        ax.errorbar(synapses, accuracy, half, color=colour, marker=marker, capsize=3, linewidth=1.4, label=curve)
    for name, marker in POINTS.items():
        synapses_, accuracy_, half_ = places[name]
        ax.errorbar(
            synapses_, accuracy_, half_, color="#555f6b", marker=marker, markersize=8, linestyle="none", label=name
        )
    ax.set(xscale="log", xlabel="synapses", ylabel="test accuracy (%)", ylim=(0, 100))
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)
    ax.legend(frameon=False, fontsize=8)
    figure.savefig(options.out, dpi=150)


if __name__ == "__main__":
    main()
