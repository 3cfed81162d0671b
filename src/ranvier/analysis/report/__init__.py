"""One HTML file about a run, or about several: what was trained, how well, and how its spikes travel."""

from ranvier.analysis.report.page import render
from ranvier.analysis.report.run_report import Example, Observed, RunReport

__all__ = ["Example", "Observed", "RunReport", "render"]
