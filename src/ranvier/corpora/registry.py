"""Which data sets there are: those of this package, and those that installed packages bring."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, get_args, get_origin

from ranvier.corpora.corpus import Corpus
from ranvier.errors import ConfigError

GROUP = "ranvier.corpora"
"""Entry points by which an installed package names its data sets: ``NAME = "module:Class"``."""

_OWN = {
    "digits": "ranvier.corpora.digits:SpokenDigits",
    "coincidence": "ranvier.corpora.coincidence:Coincidence",
    "localisation": "ranvier.corpora.localisation:Localisation",
    "motion": "ranvier.corpora.motion:Motion",
    "shd": "ranvier.corpora.shd:SHD",
    "ssc": "ranvier.corpora.ssc:SSC",
    "gsc": "ranvier.corpora.gsc:GSC",
    "psmnist": "ranvier.corpora.psmnist:PSMNIST",
    "wisdm": "ranvier.corpora.wisdm:WISDM",
    "folder": "ranvier.corpora.folder:LabelledFolder",
}


def corpus_names() -> list[str]:
    """Names of all data sets, those of this package first."""
    return [*_OWN, *sorted({entry.name for entry in entry_points(group=GROUP)} - _OWN.keys())]


def corpus_class(kind: object) -> type[Corpus]:
    """The data set of a recipe's ``data.kind``; its module is imported now.

    A name of this package's own cannot be taken by another.

    Raises:
        ConfigError: there is none of that name, two packages bring it, or what a package brings is no data set.
    """
    if isinstance(kind, str) and kind in _OWN:
        module, _, name = _OWN[kind].partition(":")
        own: type[Corpus] = getattr(import_module(module), name)
        return own
    entries = tuple(entry_points(group=GROUP, name=kind)) if isinstance(kind, str) else ()
    if not entries:
        given = "missing" if kind is None else f"{kind!r} is not allowed"
        raise ConfigError(f"data.kind: {given} ({', '.join(corpus_names())})")
    if len({entry.value for entry in entries}) > 1:
        packages = " and ".join(sorted(_package(entry) for entry in entries))
        raise ConfigError(f"data.kind: {kind!r} is brought by {packages} (by one package allowed)")
    return _load(entries[0])


def corpus_summary(kind: str) -> str:
    """What a data set is, in a line; what is wrong with it where it cannot be used."""
    try:
        return (corpus_class(kind).__doc__ or "").strip().partition("\n")[0]
    except ConfigError as error:
        return str(error)


def read_corpus(values: Any) -> Any:
    """A recipe's ``[data]`` as its data set; anything but a mapping stays as it is.

    Raises:
        ConfigError: see :func:`corpus_class`.
        ValidationError: pydantic's, of a field.
    """
    return corpus_class(values.get("kind")).model_validate(values) if isinstance(values, Mapping) else values


def _load(entry: EntryPoint) -> type[Corpus]:
    brought = f"data.kind: {entry.name!r} of {_package(entry)} ({entry.value})"
    try:
        found = entry.load()
    except Exception as error:  # whatever a stranger's module raises
        raise ConfigError(f"{brought} cannot be imported ({type(error).__name__}: {error})") from error
    if not (isinstance(found, type) and issubclass(found, Corpus)):
        raise ConfigError(f"{brought} is no data set (a subclass of ranvier.corpora.Corpus allowed)")
    kind = found.model_fields["kind"].annotation
    if get_origin(kind) is not Literal or get_args(kind) != (entry.name,):
        raise ConfigError(f"{brought} has kind: {kind} (Literal[{entry.name!r}] allowed)")
    missing = sorted(found.__abstractmethods__)
    missing += [] if "dt_ms" in found.model_fields or hasattr(found, "dt_ms") else ["dt_ms"]
    if missing:
        raise ConfigError(f"{brought} lacks {', '.join(missing)}")
    return found


def _package(entry: EntryPoint) -> str:
    return "a package without a name" if entry.dist is None else str(entry.dist.name)
