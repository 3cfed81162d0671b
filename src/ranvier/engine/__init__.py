"""Runs a frozen network, event by event. No torch."""

from ranvier.engine.reference import Events, Run, run

__all__ = ["Events", "Run", "run"]
