"""Sound encoded by jobs of a cluster, a shard each, and joined at the end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ranvier.audio.shards import encode_shard, join_shards, shard_file
from ranvier.audio.sound_files import find_sounds
from ranvier.audio.write_encoded import EncodeResult
from ranvier.recipes.cluster import Cluster, Notify, run_jobs

_FILES_A_SHARD = 1000
_MOST_SHARDS = 256  # unless the caller says so


class ShardJob:
    """Encodes one shard in a job; where the job's time is over, submitit queues it again, and it is continued."""

    def __call__(self, places: Sequence[Path], out: Path, number: int, of: int, settings: dict[str, Any]) -> None:
        """As :func:`ranvier.audio.shards.encode_shard`."""
        encode_shard(places, out, number, of, **settings)

    def checkpoint(self, *arguments: Any) -> Any:
        """What is queued in its place."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *arguments)


def encode_on(
    cluster: Cluster,
    places: Sequence[Path],
    out: Path,
    settings: dict[str, Any],
    *,
    shards: int | None = None,
    at_once: int | None = None,
    notify: Notify,
) -> EncodeResult | list[str]:
    """Encode sound files by jobs; the recording is that of :func:`ranvier.audio.encode`, to the byte.

    Args:
        cluster: where.
        places: files and folders.
        out: the recording to write, ``.h5``, on a disk that the jobs share.
        settings: of :func:`ranvier.audio.shards.encode_shard`.
        shards: how many jobs; None for one per 1,000 files, at most 256.
        at_once: jobs that are queued or run at a time; None for all.
        notify: gets a line for the user where something begins.

    Returns:
        What became of the files; or why jobs ended before their shard was done, a line each. The same call goes on.

    Raises:
        DataError: as :func:`ranvier.audio.encode`.
    """
    if shards is None:
        shards = min(_MOST_SHARDS, -(-len(find_sounds(places).files) // _FILES_A_SHARD))
    files = [shard_file(out, number, shards) for number in range(1, shards + 1)]
    workers = settings.get("workers") or cluster.cpus
    if workers is None and cluster.name == "local":
        workers = max(1, (os.cpu_count() or 1) // (at_once or shards))
    asked = {**settings, "workers": workers}
    missing = [number for number, file in enumerate(files, 1) if not file.exists()]
    if kept := set(range(1, shards + 1)).difference(missing):  # refused where its settings are not these
        encode_shard(places, out, min(kept), shards, **asked)
    if missing:
        calls = [(ShardJob(), places, out, number, shards, asked) for number in missing]
        faults = run_jobs(cluster, out.with_name(f"{out.name}.jobs"), calls, at_once=at_once, notify=notify)
        if faults:
            return [f"{files[missing[place] - 1]}: {fault}" for place, fault in faults.items()]
    encoded = join_shards(files, out)
    for file in files:
        file.unlink()
    return encoded
