"""Named data sets: how to get each, its classes and its splits."""

from ranvier.corpora.corpus import Corpus, FileCorpus, Progress, Protocol
from ranvier.corpora.registry import corpus_class, corpus_names
from ranvier.corpora.section import Section
from ranvier.corpora.splits import Splits

__all__ = [
    "Corpus",
    "FileCorpus",
    "Progress",
    "Protocol",
    "Section",
    "Splits",
    "corpus_class",
    "corpus_names",
]
