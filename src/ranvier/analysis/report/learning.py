"""How a run learned: curves over the epochs, and what they show here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ranvier.analysis.report.clips import part_name, speakers_heard
from ranvier.analysis.report.drawings import evenly
from ranvier.analysis.report.markup import details, figure, percent, section, slider, table
from ranvier.analysis.report.run_report import RunReport, learns_delays

_MOST_ROWS = 300
_FAR = 0.1  # accuracies that differ by more are told
# fields of [augment] that change nothing at these values; the others mean something only beside them
_UNCHANGED = {
    "blend_probability": 0,
    "shift_channels": 0,
    "shift_ms": 0,
    "keep_probability": 1,
    "jitter_ms": 0,
    "channel_mask_probability": 0,
    "time_mask_probability": 0,
    "cut_mix_probability": 0,
}


def learning_section(report: RunReport, run: int) -> str:
    """Curves, what they mean, and their numbers."""
    if not report.rows:
        return section("learning", run, "How it learned", "<p>No epoch has been finished.</p>")
    blurred = any("sigma_ms" in row for row in report.rows)
    return section(
        "learning",
        run,
        "How it learned",
        figure(
            "learning",
            run,
            "Curves over the epochs: share of clips that were right, loss"
            + (", and width σ of the delays' blur." if blurred else "."),
            "\n".join(" ".join(part(report)) for part in (_how_counted, _what_it_shows, _blur)),
            slider("epoch", "Epoch"),
        ),
        _numbers(report),
    )


def _how_counted(report: RunReport) -> Iterator[str]:
    yield "An epoch is one pass over all training clips."
    settings = report.settings
    harder = ["while the network still changes"]
    if float(settings.get("model.dropout", 0)) > 0:
        harder.append(f"with {100 * float(settings['model.dropout']):g}% of the hidden neurons silenced at random")
    if any(float(settings.get(f"augment.{field}", same)) != same for field, same in _UNCHANGED.items()):
        harder.append("with the clips changed at random")
    after = "after it, with the whole network"
    if learns_delays(report):
        harder.append("with blurred delays")
        after += " and every delay rounded to a whole step"
    yield f"Training clips are counted during it: {', '.join(harder)}."
    if any("validation_accuracy" in row or "seen_accuracy" in row for row in report.rows):
        yield f"All other clips are counted {after}."
    if report.best_epoch is not None:
        yield "Grey band: the epoch that was kept."


def _what_it_shows(report: RunReport) -> Iterator[str]:
    """What the curves at hand say at the epoch that was kept, or at the last."""
    row = next((row for row in report.rows if row["epoch"] == report.best_epoch), report.rows[-1])
    train, new, seen = (row.get(f"{name}_accuracy") for name in ("train", "validation", "seen"))
    if train is None or new is None:
        return
    never = speakers_heard(report.settings, "validation") == "never"
    name = part_name(report.settings, "validation").partition(" (")[0]
    at = f"at epoch {row['epoch']}, {percent(train)} of the training clips are right and {percent(new)} of the {name}"
    if train - new > _FAR:
        own, others = "training clips", "clips it has not heard"
        if never:
            own, others = "training speakers", "speakers it never heard"
        yield f"Training lies far above: {at}. Much of what it learned holds for its {own}, not for {others}."
    elif new > train:
        yield f"Training lies below: {at}. That can be, for training clips are counted under harder conditions."
    else:
        yield f"The curves lie close together: {at}."
    if never and seen is not None and seen - new > _FAR:
        yield (
            f"Of the clips set aside, new to it too but of speakers it heard, {percent(seen)} are right: "
            "what it finds hard is these new speakers, more than that clips are new."
        )


def _blur(report: RunReport) -> Iterator[str]:
    """What σ is, how wide it was, and what the kept network has instead."""
    widths = [row["sigma_ms"] for row in report.rows if row.get("sigma_ms") is not None]
    if not widths:
        return
    began, now = float(report.settings.get("train.sigma_start_ms", widths[0])), widths[-1]
    yield "σ is the width of the blur through which a delay is learned, so that it feels spikes near it too."
    ended = "training ended" if report.result is not None else "so far it is"
    if began == now:
        yield f"It was {now:.4g} ms from first to last."
    else:
        yield f"It began at {began:.4g} ms, drawn is its value at the end of each epoch, and {ended} at {now:.4g} ms."
    if report.network is not None:
        yield (
            "The network that was kept has no blur: its delays were rounded to whole steps of "
            f"{report.network.dt_ms:g} ms."
        )
        if (report.result or {}).get("accuracy"):
            yield "All accuracies but those of training clips are of such rounded delays."


def _numbers(report: RunReport) -> str:
    """The curves as a table."""
    names = {
        "loss": "loss",
        **{f"{part}_accuracy": part_name(report.settings, part) for part in ("train", "validation", "seen")},
        "sigma_ms": "σ at its end (ms)",
        "seconds": "seconds so far",
    }
    there = [name for name in names if any(name in row for row in report.rows)]
    told = "every epoch" if len(report.rows) <= _MOST_ROWS else f"{_MOST_ROWS} of {len(report.rows)} epochs"

    def cell(name: str, value: Any) -> str:
        return "" if value is None else percent(value) if name.endswith("accuracy") else f"{value:.4g}"

    kept = evenly(len(report.rows), _MOST_ROWS)
    rows = [
        [row["epoch"], *(cell(name, row.get(name)) for name in there)] for row in (report.rows[place] for place in kept)
    ]
    return details(f"Table: {told}", table(told, ["epoch", *(names[name] for name in there)], rows))
