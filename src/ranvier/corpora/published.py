"""Where the recordings of a published data set can be had."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PACKINGS = (".zip", ".gz")


@dataclass(frozen=True)
class Source:
    """Where a packed recording can be had.

    Args:
        url: of a ``.zip`` or ``.gz``.
        md5: of that file; None where nobody has published it. Then only what the packed file says of itself, the
            HDF5 header and the number of clips show whether it is whole.

    Raises:
        ValueError: the file is neither zip nor gzip.
    """

    url: str
    md5: str | None

    def __post_init__(self) -> None:
        if self.packing not in PACKINGS:
            raise ValueError(f"url: {self.url!r} is not allowed (a file that ends in .zip or .gz)")

    @property
    def packing(self) -> str:
        """``.zip`` or ``.gz``."""
        return Path(self.url).suffix


@dataclass(frozen=True)
class Recording:
    """One file of a data set.

    Attributes:
        name: of the file, without ``.h5``.
        clips: how many it holds.
        sources: where it can be had, in the order in which they are tried.
    """

    name: str
    clips: int
    sources: tuple[Source, ...]


def spiking_heidelberg(name: str, clips: int, zip_md5: str, gz_md5: str | None) -> Recording:
    """A recording of Cramer et al. 2020 (doi 10.1109/TNNLS.2020.3044364, CC BY 4.0), SHD or SSC.

    Neither host was in reach when this was written. Addresses and md5s of the zips are those in tonic's and
    SpikingJelly's source; those of the gzip files are quoted by several readers of the data. Both hosts belong to the
    authors of the data and are said to serve the same files.
    """
    sources = (
        Source(f"https://zenkelab.org/datasets/{name}.h5.zip", zip_md5),
        Source(f"https://compneuro.net/datasets/{name}.h5.zip", zip_md5),
        Source(f"https://compneuro.net/datasets/{name}.h5.gz", gz_md5),
    )
    return Recording(name, clips, sources)
