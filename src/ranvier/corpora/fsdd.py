"""Free Spoken Digit Dataset (github.com/Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ranvier.data.dataset import DataError
from ranvier.data.hdf5 import read_files

_TEST_TAKES = 5


def official_split(recording: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Clips to train on, and takes 0 to 4 of every digit by every speaker, which are the official test set.

    Raises:
        DataError: the recording does not name the take of every clip, digit_speaker_take.
    """
    takes = [re.search(r"_(\d+)\.[a-z0-9]+$", name, re.IGNORECASE) for name in read_files(recording)]
    if not takes or None in takes:
        raise DataError(
            f"{recording}: does not say which files its clips are (data.test = fsdd needs digit_speaker_take)"
        )
    test = np.array([int(take.group(1)) < _TEST_TAKES for take in takes if take is not None])
    return np.flatnonzero(~test), np.flatnonzero(test)
