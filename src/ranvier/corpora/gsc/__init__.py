"""Google Speech Commands."""

from ranvier.corpora.gsc.clips import TEN_WORDS, Classes, GscFiles, gsc_files
from ranvier.corpora.gsc.files import Split, Utterance, disagreements, partition, split_by_hash
from ranvier.corpora.gsc.frames import read_gsc
from ranvier.corpora.gsc.gsc import GSC

__all__ = [
    "GSC",
    "TEN_WORDS",
    "Classes",
    "GscFiles",
    "Split",
    "Utterance",
    "disagreements",
    "gsc_files",
    "partition",
    "read_gsc",
    "split_by_hash",
]
