"""One HTML file about a run, or about several: what was trained, how well, and how its spikes travel."""

from ranvier.analysis.report.clips import in_words, part_phrase
from ranvier.analysis.report.page import render
from ranvier.analysis.report.run_report import RunReport

__all__ = ["RunReport", "in_words", "part_phrase", "render"]
