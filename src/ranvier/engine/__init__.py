"""Runs a frozen network, event by event. No torch."""

from ranvier.engine.clip import Events
from ranvier.engine.engine import Engine, Run
from ranvier.engine.runner import runner

__all__ = ["Engine", "Events", "Run", "runner"]
