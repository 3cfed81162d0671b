"""Arrays in, numbers or figures out."""

from ranvier.analysis.delays import found_delays, mean_delays, permuted_delays
from ranvier.analysis.figures import plot_delays, plot_detectors, plot_probe, plot_raster
from ranvier.analysis.intervals import Mean, clip_accuracy, speaker_interval, wilson_interval

__all__ = [
    "Mean",
    "clip_accuracy",
    "found_delays",
    "mean_delays",
    "permuted_delays",
    "plot_delays",
    "plot_detectors",
    "plot_probe",
    "plot_raster",
    "speaker_interval",
    "wilson_interval",
]
