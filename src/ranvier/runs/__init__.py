"""Run folders: configuration, metrics, typed results, locks. Knows networks, and never torch."""

from ranvier.runs.accuracy import Accuracy, OverSpeakers, SplitAccuracy
from ranvier.runs.evaluation_record import EvaluationRecord, Example, read_record, write_record
from ranvier.runs.folder import BusyError, check_folder, free_folder, make_folder, read_values, run_lock, write_values
from ranvier.runs.metrics import EpochRow, append_metrics, keep_metrics, read_metrics
from ranvier.runs.probe import Gain, ProbeRecord, ProbeResult, network_hash, read_probe, write_probe
from ranvier.runs.result import ComparedTraining, DelaysFound, InitFrom, RunResult, read_result, write_result
from ranvier.runs.run import Run, read_run
from ranvier.runs.versioned import RunError

__all__ = [
    "Accuracy",
    "BusyError",
    "ComparedTraining",
    "DelaysFound",
    "EpochRow",
    "EvaluationRecord",
    "Example",
    "Gain",
    "InitFrom",
    "OverSpeakers",
    "ProbeRecord",
    "ProbeResult",
    "Run",
    "RunError",
    "RunResult",
    "SplitAccuracy",
    "append_metrics",
    "check_folder",
    "free_folder",
    "keep_metrics",
    "make_folder",
    "network_hash",
    "read_metrics",
    "read_probe",
    "read_record",
    "read_result",
    "read_run",
    "read_values",
    "run_lock",
    "write_probe",
    "write_record",
    "write_result",
    "write_values",
]
