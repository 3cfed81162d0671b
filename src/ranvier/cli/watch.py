"""``ranvier watch``: how a run is doing, in the terminal."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ranvier.cli.report import RUN
from ranvier.escape import escape_controls

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from ranvier.recipes.progress import RunState, TrainingState
    from ranvier.runs import OverSpeakers

_BLOCKS = " ▁▂▃▄▅▆▇█"
_PLAIN = " .:-=+*#@"  # for terminals that cannot show blocks
_HEIGHT = 3
_EVERY_S = 1.0


def add_watch(commands: Any) -> None:
    """Its options."""
    watch = commands.add_parser(
        "watch",
        help="follow a run while it trains",
        description="Show epochs, loss, accuracy and the width sigma of the delays as curves, and the time left, "
        "until the run is finished or Ctrl-C is pressed. It only reads. Where the output is no terminal it says how "
        "the run is doing once.",
        allow_abbrev=False,
    )
    watch.add_argument("run", metavar="RUN", help=RUN)
    watch.add_argument("--once", action="store_true", help="say how it is doing, and end")


def run_watch(options: argparse.Namespace) -> int:
    """Show it until there is nothing more to come."""
    from rich.console import Console
    from rich.live import Live

    from ranvier.recipes.pretrained import find_run
    from ranvier.recipes.progress import run_state

    console = Console()
    folder = find_run(options.run)
    state = run_state(folder)
    if options.once or state.finished or not console.is_terminal:
        console.print(show_state(state, console))
        return 0
    try:
        with Live(show_state(state, console), console=console, refresh_per_second=4) as live:
            while not state.finished:
                time.sleep(_EVERY_S)
                state = run_state(folder)
                live.update(show_state(state, console))
    except KeyboardInterrupt:
        pass  # the run goes on; only looking at it has ended
    return 0


def show_state(state: RunState, console: Console) -> RenderableType:
    """A run as a few lines and curves."""
    from rich.console import Group
    from rich.text import Text

    current = state.current
    plain = "utf" not in console.encoding.lower()
    lines: list[RenderableType] = [Text(escape_controls(_headline(state)), style="bold")]
    done = [training for training in state.trainings if training is not current and training.result is not None]
    lines += [
        Text(escape_controls(f"  {training.name or state.recipe}: finished{_accuracy(training)}"), style="dim")
        for training in done
    ]
    lines.append(Text(_where(current)))
    width = max(10, min(len(current.rows) * 2, console.width - 34, 100))
    for field, name, form in (
        ("validation_accuracy", "validation", "{:.1%}"),
        ("seen_accuracy", "seen", "{:.1%}"),
        ("train_accuracy", "training", "{:.1%}"),
        ("loss", "loss", "{:.3f}"),
        ("sigma_ms", "sigma, ms" if plain else "σ, ms", "{:.2f}"),
    ):
        known = [getattr(row, field) for row in current.rows]
        values = [value for value in known if value is not None and math.isfinite(value)]
        if values:
            lines.append(_curve(name, values, form, width, _PLAIN if plain else _BLOCKS))
    if (rates := _rates(current)) is not None:
        lines.append(Text(f"mean spikes per neuron and clip: {rates}"))
    return Group(*lines)


def _headline(state: RunState) -> str:
    current = state.current
    part = f", {current.name}" if current.name else ""
    if state.finished:
        return f"{state.recipe}{part}: finished{_accuracy(current)}"
    return f"{state.recipe}{part}"


def _accuracy(training: TrainingState) -> str:
    accuracies = {} if training.result is None else training.result.accuracy
    for split in ("test", "validation"):
        if split in accuracies:
            one = accuracies[split]
            clips = _percent(one.low, one.high)
            return f", {split} {one.value:.1%} ({_over_speakers(one.over_speakers)}clips' interval {clips})"
    return ""


def _over_speakers(over: OverSpeakers | None) -> str:
    if over is None:
        return ""
    if over.low is None or over.high is None:
        return f"{over.speakers} unseen speaker{'s alike' if over.speakers > 1 else ''}: no interval; "
    return f"over {over.speakers} unseen speakers {_percent(over.low, over.high)}; "


def _percent(low: float, high: float) -> str:
    return f"{100 * low:.1f} ... {high:.1%}"


def _where(training: TrainingState) -> str:
    facts = [f"epoch {len(training.rows)} of {training.epochs}"]
    if training.rows:
        seconds = training.rows[-1].seconds
        facts.append(f"{_time(seconds)} of training, {seconds / len(training.rows):.1f} s an epoch")
        measured = [
            (row.validation_accuracy, -row.epoch) for row in training.rows if row.validation_accuracy is not None
        ]
        if measured:
            accuracy, epoch = max(measured)
            facts.append(f"best {accuracy:.1%} after epoch {-epoch}")
    if training.result is None:
        left = training.seconds_left
        if left == 0:
            facts.append("testing")
        elif left is not None:
            facts.append(f"{_time(left)} left")
        each = training.rows[-1].seconds / len(training.rows) if training.rows else 60.0
        if training.quiet_s > max(30.0, 5 * each):
            facts.append(f"nothing new for {_time(training.quiet_s)}: stopped?")
    return "  ".join(facts)


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"


def _rates(training: TrainingState) -> str | None:
    for accuracy in () if training.result is None else training.result.accuracy.values():
        if rates := accuracy.spikes_per_neuron_and_clip:
            return ", ".join(f"layer {number} {rate:.2f}" for number, rate in enumerate(rates, 1))
    return None


def _curve(name: str, values: Sequence[float], form: str, width: int, marks: str) -> RenderableType:
    """A name, a curve in blocks with its range, and the latest value."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    table.add_column(width=10)
    table.add_column(width=8, justify="right")
    table.add_column(no_wrap=True)
    table.add_column()
    low, high = min(values), max(values)
    for number, line in enumerate(blocks(values, width, _HEIGHT, marks)):
        middle = number == _HEIGHT // 2
        scale = form.format(high) if number == 0 else form.format(low) if number == _HEIGHT - 1 else ""
        latest = Text(form.format(values[-1]), style="bold") if middle else Text()
        table.add_row(Text(name if middle else ""), Text(scale, style="dim"), Text(line, style="red"), latest)
    return table


def blocks(values: Sequence[float], width: int, height: int, marks: str = _BLOCKS) -> list[str]:
    """Values as columns of block characters, lowest value at the bottom.

    Args:
        values: at least one; more than ``width`` are thinned to means of neighbours, fewer are spread.
        width: columns.
        height: lines.
        marks: from empty to full.

    Returns:
        ``height`` lines of ``width`` characters.
    """
    columns = []
    for column in range(width):
        start = column * len(values) // width
        stop = max(start + 1, (column + 1) * len(values) // width)
        columns.append(sum(values[start:stop]) / (stop - start))
    low, high = min(values), max(values)
    full = len(marks) - 1
    lines = []
    for line in reversed(range(height)):
        text = ""
        for value in columns:
            share = (value - low) / (high - low) if high > low else 0.5
            level = 1 + round(share * (height * full - 1))  # the lowest is seen, too
            text += marks[min(full, max(0, level - line * full))]
        lines.append(text)
    return lines
