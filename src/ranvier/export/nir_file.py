"""``.nir`` files are parsed in a process that can be ended: a damaged one can make HDF5 loop, crash or take all memory.

Networks may not import data sets, whose HDF5 process knows recordings alone, so this is one for graphs: it reads one
file and ends. Its limits stand in :mod:`ranvier.export.nir_worker`.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.export.target import ExportError

_WORKER = Path(__file__).with_name("nir_worker.py")
_SILENCE_S = 120.0


def read_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The nested mappings that a ``.nir`` file holds.

    Raises:
        ExportError: it is no NIR file, or is damaged; the message names the file.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        if path.exists():
            raise ExportError(path, fault="is no file (a .nir file allowed)")
        raise FileNotFoundError(f"{path}: no such file")
    command = [sys.executable, "-I", str(_WORKER), json.dumps([str(place) for place in sys.path]), str(path.absolute())]
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **one_thread},
            timeout=_SILENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ExportError(path, fault=f"not a whole HDF5 file (HDF5 came to no end in {_SILENCE_S:g} s)") from None
    if done.returncode != 0:
        raise ExportError(path, fault=f"not a whole HDF5 file (HDF5 crashed or came to no end, {done.returncode})")
    try:
        return unpack(done.stdout)
    except ExportError as error:
        raise ExportError(path, fault=str(error)) from None


def unpack(answer: bytes) -> dict[str, Any]:
    """What the process answered: arrays by number, and mappings that name them.

    Raises:
        ExportError: it answered with a fault.
    """
    try:
        with np.load(io.BytesIO(answer), allow_pickle=False) as arrays:
            said = json.loads(bytes(arrays["said"]))
            if "fault" in said:
                raise ExportError(said["fault"])
            made = _filled(said["node"], arrays)
    except (OSError, KeyError, zipfile.BadZipFile, ValueError) as error:
        if isinstance(error, ExportError):
            raise
        raise ExportError("the process that reads it answered with something else") from None
    assert isinstance(made, dict)
    return made


def _filled(value: Any, arrays: Any) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, arrays) for key, inner in value.items()}
    if isinstance(value, list):
        kind, content = value
        return arrays[content] if kind == "array" else content
    return value
