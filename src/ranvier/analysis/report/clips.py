"""What the clips are called that a network was trained and measured on, the same everywhere on the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ranvier.analysis.intervals import speaker_interval
from ranvier.analysis.report.run_report import RunReport

PARTS = ("test", "validation", "seen")  # what counts most first
_NAMES = {"train": "training clips", "validation": "validation clips", "test": "test clips", "seen": "clips set aside"}
_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

Speakers = Literal["never", "heard"]


def speakers_heard(settings: Mapping[str, str], part: str) -> Speakers | None:
    """Whether the network heard these clips' speakers in training; None where that is not known.

    Args:
        settings: the recipe's fields by dotted name.
        part: ``validation``, ``test`` or ``seen``.
    """
    kind, whole = settings.get("data.kind"), settings.get("protocol") == "paper"
    if part == "seen":
        return "heard"
    never = {
        "validation": kind == "digits" or (settings.get("data.validation") == "speakers" and not whole),
        "test": kind == "digits" or (kind == "folder" and settings.get("data.test") == "speakers"),
    }
    return "never" if never.get(part, False) else None


def part_name(settings: Mapping[str, str], part: str) -> str:
    """Of some clips: in tables, legends and captions."""
    if part == "validation" and settings.get("protocol") == "paper":
        part = "test"
    if part not in _NAMES:
        return f"clips of {part}"
    heard = speakers_heard(settings, part)
    return _NAMES[part] + {"never": " (speakers never heard)", "heard": " (speakers heard)", None: ""}[heard]


def part_phrase(report: RunReport, part: str, clips: int) -> str:
    """The same in a sentence: ``1,787 validation clips of two speakers that it never heard``."""
    heard = speakers_heard(report.settings, part)
    name = "other clips" if part == "seen" else part_name(report.settings, part).partition(" (")[0]
    if heard is None:
        return f"{clips:,} {name}"
    many = len(speakers_of(report, part))
    who = "speakers" if many == 0 else "one speaker" if many == 1 else f"{in_words(many)} speakers"
    return f"{clips:,} {name} of {who} that it {'never heard' if heard == 'never' else 'heard in training'}"


def speakers_of(report: RunReport, part: str) -> dict[str, tuple[int, int]]:
    """(right, clips) by speaker, as far as that is known."""
    accuracy: Mapping[str, Any] = (report.result or {}).get("accuracy", {}).get(part, {})
    if accuracy.get("speakers"):
        return {name: (one["correct"], one["clips"]) for name, one in accuracy["speakers"].items()}
    observed = report.observed
    return {} if observed is None or observed.split != part else dict(observed.speakers)


def over_speakers(report: RunReport, part: str) -> Mapping[str, Any] | None:
    """Mean and interval over the speakers of some clips, as the result has it; None where they are not unseen."""
    known: Mapping[str, Any] = (report.result or {}).get("accuracy", {}).get(part, {})
    if "over_speakers" in known:
        found: Mapping[str, Any] = known["over_speakers"]
        return found
    speakers = speakers_of(report, part)  # of a run from before results had it
    if not speakers or speakers_heard(report.settings, part) != "never":
        return None
    return speaker_interval(right / clips for right, clips in speakers.values()).model_dump()


def in_words(number: int) -> str:
    """Up to twelve as a word."""
    return _WORDS[number] if 0 <= number < len(_WORDS) else f"{number:,}"


def listed(names: list[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
