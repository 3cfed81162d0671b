"""Runs a frozen network, event by event, in whole clips or as its input comes. No torch."""

from ranvier.engine.clip import Events
from ranvier.engine.engine import Clip, Engine
from ranvier.engine.run import Run
from ranvier.engine.runner import ConnectionRunner, NeuronRunner, OutputRunner, Packet, State, runner
from ranvier.engine.stream import Stream

__all__ = [
    "Clip",
    "ConnectionRunner",
    "Engine",
    "Events",
    "NeuronRunner",
    "OutputRunner",
    "Packet",
    "Run",
    "State",
    "Stream",
    "runner",
]
