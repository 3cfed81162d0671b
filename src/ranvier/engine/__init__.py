"""Runs a frozen network, event by event, in whole clips or as its input comes. No torch."""

from ranvier.engine.activity import activity
from ranvier.engine.clip import Events
from ranvier.engine.cost import Cost, LayerCost, cost
from ranvier.engine.engine import Clip, Engine
from ranvier.engine.run import Run
from ranvier.engine.runner import ConnectionRunner, NeuronRunner, OutputRunner, Packet, State, runner
from ranvier.engine.stream import Stream

__all__ = [
    "Clip",
    "ConnectionRunner",
    "Cost",
    "Engine",
    "Events",
    "LayerCost",
    "NeuronRunner",
    "OutputRunner",
    "Packet",
    "Run",
    "State",
    "Stream",
    "activity",
    "cost",
    "runner",
]
