"""Settings of the threads under torch that have to be made before torch is loaded."""

from __future__ import annotations

import os


def set_omp_spincount() -> None:
    """Let torch's idle threads spin for microseconds, not milliseconds, before they sleep; a user's own setting stays.

    Between torch's parallel loops come compiled ones on threads of their own. Where there are no spare cores, a thread
    that still spins for the last loop takes time from the next: a training step of the SHD network takes 20% less so
    (two cores, GNU's OpenMP, the one in torch's builds for Linux; others ignore the variable).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")
