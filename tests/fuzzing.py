"""Damaged files for the fuzz tests: bytes flipped or cut off, and fields of JSON put to what they may not be.

A fuzz test runs in a process of its own, which may take 1 GB more than it has and 20 s for a file; it ends at the
first file that does anything else than be read or be refused. Files follow from their number; ``RANVIER_FUZZ=1`` makes
all of them in place of the first quarter.
"""

from __future__ import annotations

import copy
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOM = 2**30  # bytes
SHARE = float(os.environ.get("RANVIER_FUZZ", "0.25"))
LIMIT_S = 20
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 0.5, -0.5, 1e308, 10**30, -(10**30), 2**31, 2**63, 65536, float("nan"),
    float("inf"), "", "x", "\u0000", "\ud800", "a\u202eb", "1" * 5000, [], {}, [1, 2], [[]], {"a": 1}, [None],
    ["x", "x"], [[[[[1]]]]],
)  # fmt: skip


def damaged(raw: bytes, generator: np.random.Generator) -> bytes:
    """Bytes with one to eight bits flipped, a part cut off, doubled, or filled."""
    kind = generator.integers(4)
    start, stop = sorted(int(place) for place in generator.integers(0, len(raw) + 1, 2))
    if kind == 0:
        return raw[:start]
    if kind == 1:
        return raw[:start] + raw[start:stop] * 2 + raw[stop:]
    changed = bytearray(raw)
    if kind == 2:
        stop = min(stop, start + 16)
        changed[start:stop] = bytes([generator.integers(256)]) * (stop - start)
        return bytes(changed)
    for place in generator.integers(0, len(raw), generator.integers(1, 9)):
        changed[place] ^= 1 << int(generator.integers(8))
    return bytes(changed)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield (*path, key)
        yield from _places(part, (*path, key))


def changed_fields(value: Any, generator: np.random.Generator) -> Any:
    """A copy with one to three of its fields removed, added, or put to another value."""
    made = copy.deepcopy(value)
    for _ in range(generator.integers(1, 4)):
        places = list(_places(made))
        if not places:
            break
        *path, last = places[generator.integers(len(places))]
        inside = made
        for key in path:
            inside = inside[key]
        other = copy.deepcopy(VALUES[generator.integers(len(VALUES))])
        kind = generator.integers(4)
        if kind == 0:
            del inside[last]
        elif kind == 1 and isinstance(inside, list):
            inside.append(other)
        elif kind == 1:
            inside["extra"] = other
        else:
            inside[last] = other
    return made


def json_text(value: Any, generator: np.random.Generator) -> str:
    """As JSON, now and then with something in it that no JSON of ours has."""
    text = json.dumps(value)
    if not generator.integers(50):
        strange = ("[" * 100_000, "9" * 5000, "1e999", "{" + '"a":{' * 2000, "\\", "NaN")
        text = text.replace("0", strange[generator.integers(len(strange))], 1)
    return text


def fuzz(
    file: Path,
    make: Callable[[np.random.Generator], bytes],
    read: Callable[[], object],
    refused: tuple[type[Exception], ...],
    files: int,
) -> None:
    """Write ``files`` files that ``make`` damages, and ``read`` each. Prints how many were read and refused."""
    vm_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (vm_bytes + ROOM, resource.RLIM_INFINITY))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process wherever it is
    counts = {"read": 0, "refused": 0}
    for seed in range(files):
        file.write_bytes(make(np.random.default_rng(seed)))
        signal.alarm(LIMIT_S)
        try:
            read()
            counts["read"] += 1
        except refused as error:
            counts["refused"] += 1
            if not 0 < len(str(error)) < 2000:
                raise AssertionError(f"{file.name}, seed {seed}: a message of {len(str(error))} characters") from error
        except BaseException:
            print(f"{file.name}, seed {seed}", file=sys.stderr)
            raise
        signal.alarm(0)
    print(json.dumps(counts))


def in_own_process(module: str, function: str, *arguments: str) -> dict[str, int]:
    """Counts that :func:`fuzz` printed, as ``function(*arguments)`` of a test module called it."""
    code = f"import sys; from {module} import {function}; {function}(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-3000:]}"
    counts: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return counts
