"""One HTML file about a run, or about several: accuracy, spikes through the layers, delays, cost."""

from ranvier.analysis.report.page import render
from ranvier.analysis.report.run_report import ReportSettings, RunReport

__all__ = ["ReportSettings", "RunReport", "render"]
