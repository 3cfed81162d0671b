"""Fetching data sets from a server that does what servers do: break off, stall, ignore ranges, send something else."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ranvier.corpora.fetch import fetch
from ranvier.corpora.published import Recording, Source
from ranvier.corpora.shd import SHD
from ranvier.corpora.ssc import SSC
from ranvier.data import DataError, write_recording
from tests.corpora.server import (
    Answer,
    Asked,
    Served,
    begin,
    breaks_off,
    calls_gzip_an_encoding,
    does_not_say_how_much,
    elsewhere,
    gives_another_range,
    gone,
    hangs_up,
    knows_no_ranges,
    stalls,
    whole,
)
from tests.data.recordings import cut, garbage

CLIPS = 4


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's is found, and nothing is put beside it."""
    for folder in ("home", "work"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A recording that does not get smaller when packed, so that it comes in several parts."""
    path = tmp_path_factory.mktemp("recorded") / "shd_train.h5"
    generator = np.random.default_rng(0)
    times = [generator.random(40_000).astype(np.float16) for _ in range(CLIPS)]
    units = [generator.integers(0, 700, 40_000) for _ in range(CLIPS)]
    write_recording(path, times, units, np.arange(CLIPS))
    return path.read_bytes()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def zipped(content: bytes, member: str = "shd_train.h5") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(member, content)
    return packed.getvalue()


def train(*sources: Source, clips: int = CLIPS) -> list[Recording]:
    return [Recording("shd_train", clips, sources)]


def get(root: Path, *sources: Source, **changes: Any) -> Path:
    settings: dict[str, Any] = {"sources": train(*sources), "timeout_s": 5.0, **changes}
    (path,) = fetch("shd", root, **settings)
    assert path == root / "shd_train.h5"
    assert [file.name for file in root.iterdir() if file.suffix not in (".zip", ".gz")] == ["shd_train.h5"]
    return path


def refused(root: Path, *sources: Source, **changes: Any) -> str:
    """The one line that says why there is nothing; nothing lies under the final name."""
    with pytest.raises(DataError) as error:
        get(root, *sources, **changes)
    assert len(str(error.value).splitlines()) == 1
    assert [file.name for file in root.glob("*") if file.suffix in (".h5", ".tmp", ".lock")] == []
    return str(error.value)


@pytest.mark.parametrize("answer", [whole, does_not_say_how_much])
@pytest.mark.parametrize("packing", ["zip", "gz"])
def test_a_recording_is_fetched_unpacked_and_alone_in_its_folder(
    served: Served, root: Path, recorded: bytes, packing: str, answer: Answer
) -> None:
    packed = zipped(recorded) if packing == "zip" else gzip.compress(recorded, 1)
    source = served.offer(f"shd_train.h5.{packing}", packed, answer)
    told: list[tuple[int, int]] = []
    path = get(root, source, progress=lambda done, total: told.append((done, total)))
    assert path.read_bytes() == recorded
    assert [file.name for file in root.iterdir()] == ["shd_train.h5"]
    total = len(packed) if answer is whole else 0
    assert told[-1] == (len(packed), total)
    assert told == sorted(told)


def test_every_recording_of_the_set_comes_in_order(served: Served, root: Path, recorded: bytes) -> None:
    sources = [
        Recording(name, CLIPS, (served.offer(f"{name}.h5.zip", zipped(recorded, f"{name}.h5")),))
        for name in ("ssc_train", "ssc_valid")
    ]
    paths = fetch("ssc", root, sources=sources)
    assert paths == [root / "ssc_train.h5", root / "ssc_valid.h5"]
    assert sorted(root.iterdir()) == paths


@pytest.mark.parametrize("name", ["shd_train.h5", "shd_train.h5.gz"])
def test_what_is_there_is_kept_and_nothing_asked(served: Served, root: Path, recorded: bytes, name: str) -> None:
    root.mkdir()
    (root / name).write_bytes(recorded if name.endswith(".h5") else gzip.compress(recorded, 1))
    before = (root / name).stat()
    source = served.offer("shd_train.h5.zip", zipped(recorded))
    assert fetch("shd", root, sources=train(source)) == [root / name]
    assert (root / name).stat().st_mtime_ns == before.st_mtime_ns
    assert [file.name for file in root.iterdir()] == [name]
    assert served.asked == []


@pytest.mark.parametrize(
    ("damage", "clips", "said"),
    [(cut, CLIPS, "not a whole HDF5 file"), (garbage, CLIPS, "not a whole HDF5 file"), (None, 5, "has 4 clips")],
)
def test_what_is_there_and_damaged_is_told_and_left_alone(
    served: Served, root: Path, recorded: bytes, damage: Callable[[Path], None] | None, clips: int, said: str
) -> None:
    root.mkdir()
    path = root / "shd_train.h5"
    path.write_bytes(recorded)
    if damage is not None:
        damage(path)
    content = path.read_bytes()
    source = served.offer("shd_train.h5.zip", zipped(recorded))
    with pytest.raises(DataError, match=said) as error:
        fetch("shd", root, sources=train(source, clips=clips))
    assert str(error.value).startswith(f"{path}: ")
    assert "move it away" in str(error.value)
    assert path.read_bytes() == content
    assert served.asked == []


def test_a_cut_download_goes_on_where_it_broke_off(served: Served, root: Path, recorded: bytes) -> None:
    packed = zipped(recorded)
    path = get(root, served.offer("shd_train.h5.zip", packed, breaks_off, breaks_off))
    assert path.read_bytes() == recorded
    first_bytes = [first for _, first in served.asked]
    assert first_bytes == sorted(set(first_bytes))
    assert len(first_bytes) == 3
    # what has not filled a buffer when the connection goes is asked for again
    assert served.sent < len(packed) + 3 * (1 << 16)


def test_a_server_without_ranges_sends_the_whole_file_again(served: Served, root: Path, recorded: bytes) -> None:
    path = get(root, served.offer("shd_train.h5.zip", zipped(recorded), breaks_off, knows_no_ranges))
    assert path.read_bytes() == recorded
    assert [first > 0 for _, first in served.asked] == [False, True]


def test_a_server_that_sends_another_range_is_asked_for_the_whole(served: Served, root: Path, recorded: bytes) -> None:
    path = get(root, served.offer("shd_train.h5.zip", zipped(recorded), breaks_off, gives_another_range))
    assert path.read_bytes() == recorded
    assert [first > 0 for _, first in served.asked] == [False, True, False]


@pytest.mark.parametrize("end", [hangs_up, gone])
def test_the_next_call_goes_on_where_the_last_one_was_cut(
    served: Served, root: Path, recorded: bytes, end: Answer
) -> None:
    packed = zipped(recorded)
    source = served.offer("shd_train.h5.zip", packed, breaks_off, end)
    assert source.url in refused(root, source)
    assert [file.name for file in root.iterdir()] == ["shd_train.h5.zip.part"]
    there = (root / "shd_train.h5.zip.part").stat().st_size
    assert there > len(packed) // 4
    served.asked.clear()
    assert get(root, source).read_bytes() == recorded
    assert served.asked == [("shd_train.h5.zip", there)]


def test_the_next_source_goes_on_where_the_last_one_was_cut(served: Served, root: Path, recorded: bytes) -> None:
    packed = zipped(recorded)
    sources = [served.offer("dies.zip", packed, breaks_off, hangs_up), served.offer("mirror.zip", packed)]
    assert get(root, *sources).read_bytes() == recorded
    assert served.asked[-1][0] == "mirror.zip"
    assert served.asked[-1][1] > 0


def test_a_stalled_connection_is_given_up(served: Served, root: Path, recorded: bytes) -> None:
    packed = zipped(recorded)
    dead = served.offer("shd_train.h5.zip", packed, stalls, stalls, *[hangs_up] * 3)
    begun = time.monotonic()
    said = refused(root, dead, timeout_s=0.2)
    assert time.monotonic() - begun < 5
    assert dead.url in said
    assert [first > 0 for _, first in served.asked[:2]] == [False, True]
    assert get(root, served.offer("mirror.zip", packed)).read_bytes() == recorded


@pytest.mark.parametrize("left", [b"something else", b"x" * 3_000_000])
def test_the_beginning_of_another_file_is_thrown_away(served: Served, root: Path, recorded: bytes, left: bytes) -> None:
    root.mkdir()
    (root / "shd_train.h5.zip.part").write_bytes(left)
    assert get(root, served.offer("shd_train.h5.zip", zipped(recorded))).read_bytes() == recorded
    assert [first for _, first in served.asked] == [len(left), 0]


@pytest.mark.parametrize("known", [True, False])
def test_a_file_that_had_arrived_is_not_sent_again(served: Served, root: Path, recorded: bytes, known: bool) -> None:
    root.mkdir()
    packed = gzip.compress(recorded, 1)
    (root / "shd_train.h5.gz.part").write_bytes(packed)
    source = served.offer("shd_train.h5.gz", packed, **({} if known else {"md5": None}))
    assert get(root, source).read_bytes() == recorded
    assert served.asked == ([] if known else [("shd_train.h5.gz", len(packed))])
    assert served.sent == 0


def wrong_packing(recorded: bytes) -> bytes:
    return b"<html>Please log in</html>"


def wrong_member(recorded: bytes) -> bytes:
    return zipped(recorded, "ssc_train.h5")


def climbing_member(recorded: bytes) -> bytes:
    return zipped(recorded, "../shd_train.h5")


def no_recording(recorded: bytes) -> bytes:
    return zipped(b"no HDF5 at all")


def cut_recording(recorded: bytes) -> bytes:
    return zipped(recorded[: len(recorded) // 2])


@pytest.mark.parametrize(
    ("content", "md5", "said"),
    [
        (zipped, "0" * 32, "md5"),
        (wrong_packing, None, "not a whole zip file"),
        (wrong_member, "", "holds 'ssc_train.h5' ('shd_train.h5' allowed)"),
        (climbing_member, "", "holds '../shd_train.h5' ('shd_train.h5' allowed)"),
        (no_recording, "", "not a whole HDF5 file"),
        (cut_recording, "", "not a whole HDF5 file"),
    ],
)
def test_a_wrong_file_is_removed_and_the_mirror_asked(
    served: Served, root: Path, recorded: bytes, content: Callable[[bytes], bytes], md5: str | None, said: str
) -> None:
    wrong = served.offer("shd_train.h5.zip", content(recorded), md5=md5)
    message = refused(root, wrong)
    assert f"{wrong.url}: " in message
    assert said in message
    assert list(root.iterdir()) == []
    assert list(root.parent.glob("*.h5")) == []
    mirror = served.offer("mirror.gz", gzip.compress(recorded, 1))
    assert get(root, wrong, mirror).read_bytes() == recorded


@pytest.mark.parametrize("spoiled", [b"<html>Please log in</html>", b""])
def test_a_gzip_file_without_known_md5_must_be_whole(
    served: Served, root: Path, recorded: bytes, spoiled: bytes
) -> None:
    packed = gzip.compress(recorded, 1)
    flipped = bytearray(packed)
    flipped[-6] ^= 1  # its own checksum
    sources = [
        served.offer(f"{number}.gz", content, md5=None)
        for number, content in enumerate([spoiled, packed[: len(packed) // 2], bytes(flipped)])
    ]
    message = refused(root, *sources)
    assert message.count("not a whole gz file") + message.count("not a whole HDF5 file") == 3
    assert list(root.iterdir()) == []
    assert get(root, *sources, served.offer("good.gz", packed, md5=None)).read_bytes() == recorded


def test_a_recording_with_too_few_clips_is_not_the_recording(served: Served, root: Path, recorded: bytes) -> None:
    source = served.offer("shd_train.h5.gz", gzip.compress(recorded, 1), md5=None)
    assert "has 4 clips" in refused(root, sources=train(source, clips=8156))


def test_a_server_that_calls_gzip_an_encoding_does_not_spoil_the_file(
    served: Served, root: Path, recorded: bytes
) -> None:
    source = served.offer("shd_train.h5.gz", gzip.compress(recorded, 1), calls_gzip_an_encoding)
    assert get(root, source).read_bytes() == recorded
    assert len(served.asked) == 1


def test_a_file_that_has_moved_is_followed(served: Served, root: Path, recorded: bytes) -> None:
    packed = zipped(recorded)
    served.offer("moved.zip", packed, breaks_off)
    source = served.offer("shd_train.h5.zip", packed, elsewhere, elsewhere)
    assert get(root, source).read_bytes() == recorded
    assert [name for name, _ in served.asked] == ["shd_train.h5.zip", "moved.zip"] * 2
    assert served.asked[-1][1] > 0


def test_where_every_source_fails_each_is_named_with_what_to_do(served: Served, root: Path, recorded: bytes) -> None:
    lost = Source(f"{served.url}/shd_train.h5.zip", "0" * 32)
    offline = Source("http://127.0.0.1:9/shd_train.h5.gz", None)
    other = Recording("shd_test", CLIPS, (Source(f"{served.url}/shd_test.h5.zip", "0" * 32),))
    message = refused(root, sources=[*train(lost, offline), other])
    assert f"{lost.url}: HTTP 404" in message
    assert f"{offline.url}: Failed to establish a new connection" in message
    assert f"download {lost.url} and {served.url}/shd_test.h5.zip on another machine" in message
    assert f"into {root}" in message


def test_advice_taken_helps(root: Path, recorded: bytes) -> None:
    root.mkdir()
    packed = zipped(recorded)
    (root / "shd_train.h5.zip").write_bytes(packed)
    source = Source("http://127.0.0.1:9/shd_train.h5.zip", hashlib.md5(packed).hexdigest())
    assert get(root, source).read_bytes() == recorded
    assert (root / "shd_train.h5.zip").read_bytes() == packed


def test_a_packed_file_put_there_by_hand_is_checked_too(root: Path, recorded: bytes) -> None:
    root.mkdir()
    (root / "shd_train.h5.zip").write_bytes(zipped(recorded))
    message = refused(root, Source("http://127.0.0.1:9/shd_train.h5.zip", "0" * 32))
    assert f"{root / 'shd_train.h5.zip'}: its md5 is" in message
    assert (root / "shd_train.h5.zip").exists()


@pytest.mark.parametrize("free_share", [0.5, 1.5])
def test_a_disk_that_is_too_small_is_told_before_it_is_full(
    served: Served, root: Path, recorded: bytes, free_share: float
) -> None:
    packed = zipped(recorded)
    source = served.offer("shd_train.h5.zip", packed)
    message = refused(root, source, free_bytes=lambda folder: int(free_share * len(packed)))
    assert f"{root}: " in message
    assert "needs 2 MB, 0 MB are free" in message
    assert served.sent == 0 or (root / "shd_train.h5.zip.part").stat().st_size == 0


def test_a_disk_that_is_too_small_to_unpack_keeps_what_has_arrived(served: Served, root: Path, tmp_path: Path) -> None:
    path = tmp_path / "silence.h5"
    times = [np.full(100_000, 0.5)] * CLIPS
    write_recording(path, times, [np.ones(100_000, int)] * CLIPS, np.arange(CLIPS))
    packed = zipped(path.read_bytes())
    assert len(packed) < 100_000
    source = served.offer("shd_train.h5.zip", packed)
    message = refused(root, source, free_bytes=lambda folder: 900_000)
    assert "shd_train.h5 needs 2 MB, 0 MB are free" in message
    assert (root / "shd_train.h5.zip.part").read_bytes() == packed
    get(root, source, free_bytes=lambda folder: 10_000_000)
    assert len(served.asked) == 1


TWIN = """
import sys
from ranvier.corpora.fetch import fetch
from ranvier.corpora.published import Recording, Source
fetch("shd", sys.argv[1], sources=[Recording("shd_train", 4, (Source(sys.argv[2], sys.argv[3]),))])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked there")
def test_two_processes_wait_for_one_another(served: Served, root: Path, recorded: bytes) -> None:
    half_way = threading.Event()

    def waits(asked: Asked, content: bytes) -> None:
        rest = begin(asked, content)
        asked.send(rest[: len(rest) // 2])
        half_way.set()
        served.over.wait(10)
        asked.send(rest[len(rest) // 2 :])

    source = served.offer("shd_train.h5.zip", zipped(recorded), waits)
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", TWIN, str(root), source.url, str(source.md5)], env=os.environ
    ) as twin:
        assert half_way.wait(30)
        threading.Timer(0.3, served.over.set).start()
        assert get(root, source).read_bytes() == recorded
        assert twin.wait(30) == 0
    assert len(served.asked) == 1


def test_a_killed_process_leaves_what_the_next_one_goes_on_with(served: Served, root: Path, recorded: bytes) -> None:
    source = served.offer("shd_train.h5.zip", zipped(recorded), stalls)
    with subprocess.Popen([sys.executable, "-c", TWIN, str(root), source.url, str(source.md5)], env=os.environ) as twin:
        part = root / "shd_train.h5.zip.part"
        patience = time.monotonic() + 30
        while not (part.exists() and part.stat().st_size) and time.monotonic() < patience:
            time.sleep(0.01)
        twin.kill()
    assert not (root / "shd_train.h5").exists()
    assert get(root, source).read_bytes() == recorded
    assert [first > 0 for _, first in served.asked] == [False, True]


@pytest.mark.parametrize("place", ["home/data", "work", "work/data", "root", "root/data"])
@pytest.mark.parametrize("leaf", ["SHD", "SHD/SHD", "extract", "SHD/extract", "shd/extract"])
def test_recordings_of_other_tools_are_taken_instead(
    root: Path, tmp_path: Path, recorded: bytes, place: str, leaf: str
) -> None:
    folder = tmp_path / place / leaf
    folder.mkdir(parents=True)
    (folder / "shd_train.h5").write_bytes(recorded)
    (path,) = fetch("shd", root, sources=train())
    assert path == root / "shd_train.h5"
    assert path.read_bytes() == recorded
    assert path.samefile(folder / "shd_train.h5")  # takes no room


@pytest.mark.parametrize("place", ["root/download", "work/data/SHD", "home/data/SHD"])
def test_packed_files_of_other_tools_are_unpacked_instead(
    root: Path, tmp_path: Path, recorded: bytes, place: str
) -> None:
    (tmp_path / place).mkdir(parents=True)
    packed = zipped(recorded)
    (tmp_path / place / "shd_train.h5.zip").write_bytes(packed)
    source = Source("http://127.0.0.1:9/shd_train.h5.zip", hashlib.md5(packed).hexdigest())
    (path,) = fetch("shd", root, sources=train(source))
    assert path.read_bytes() == recorded
    assert (tmp_path / place / "shd_train.h5.zip").read_bytes() == packed


def test_where_files_cannot_be_linked_they_are_copied(
    root: Path, tmp_path: Path, recorded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*arguments: Any, **options: Any) -> None:
        raise OSError("another disk")

    monkeypatch.setattr(os, "link", no_links)
    (tmp_path / "work" / "shd_train.h5").write_bytes(recorded)
    assert "needs" in refused(root, free_bytes=lambda folder: 1000)
    path = get(root)
    assert path.read_bytes() == recorded
    assert not path.samefile(tmp_path / "work" / "shd_train.h5")


def test_damaged_files_of_other_tools_are_passed_over_and_left(
    served: Served, root: Path, tmp_path: Path, recorded: bytes
) -> None:
    theirs = tmp_path / "work" / "shd_train.h5"
    theirs.write_bytes(recorded[:1000])
    assert f"{theirs}: not a whole HDF5 file" in refused(root)
    assert get(root, served.offer("shd_train.h5.zip", zipped(recorded))).read_bytes() == recorded
    assert theirs.read_bytes() == recorded[:1000]


def test_a_recording_made_anew_is_not_taken_for_the_published_one(
    served: Served, root: Path, tmp_path: Path, recorded: bytes
) -> None:
    ours = tmp_path / "work" / "shd_train.h5"
    ours.write_bytes(recorded)
    with h5py.File(ours, "a") as file:
        file.attrs["ear"] = '{"channels": 700}'
    assert f"{ours}: was made anew" in refused(root)
    assert get(root, served.offer("shd_train.h5.zip", zipped(recorded))).read_bytes() == recorded


def test_only_folders_that_are_named_are_looked_into(root: Path, tmp_path: Path, recorded: bytes) -> None:
    (tmp_path / "work" / "shd_train.h5").write_bytes(recorded)
    assert "could not be fetched" in refused(root, nearby=[tmp_path / "home"])
    assert get(root, nearby=[tmp_path / "work"]).samefile(tmp_path / "work" / "shd_train.h5")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot be written \("):
        fetch("shd", tmp_path / "file" / "root", sources=train())


def test_an_unknown_set_is_told_with_those_that_there_are(root: Path) -> None:
    with pytest.raises(DataError, match=r"'mnist' is not known \(shd, ssc can be fetched\)"):
        fetch("mnist", root)
    assert not root.exists()


@pytest.mark.parametrize("url", ["https://example.org/shd_train.h5", "https://example.org/shd.tar"])
def test_a_source_is_zip_or_gzip(url: str) -> None:
    with pytest.raises(ValueError, match="zip or"):
        Source(url, None)


def test_the_published_sets_are_complete() -> None:
    published = [*SHD.published, *SSC.published]
    clips = {recording.name: recording.clips for recording in published}
    assert clips == {"shd_train": 8156, "shd_test": 2264, "ssc_train": 75466, "ssc_valid": 9981, "ssc_test": 20382}
    for recording in published:
        assert {source.url.rpartition("/")[2].rpartition(".")[0] for source in recording.sources} == {
            f"{recording.name}.h5"
        }
        assert all(source.md5 is None or len(bytes.fromhex(source.md5)) == 16 for source in recording.sources)
        assert len({source.url.split("/")[2] for source in recording.sources}) == 2
