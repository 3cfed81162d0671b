"""A NIR graph as plain nodes and edges, whatever it was read from, and the paths between its neurons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from reprlib import repr as short
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.export.target import ExportError

PASSED = ("Delay", "Linear", "Affine", "Scale", "Flatten", "Identity")
_MAX_NODES = 2**17
_MAX_PATHS = 2**17
_MAX_NESTED = 8
_MAX_NAME = 200
_MAX_PASSED = 64  # nodes between two neurons


@dataclass(frozen=True, eq=False)
class Node:
    """A node: its name in the flat graph, its NIR type, and its values."""

    name: str
    kind: str
    fields: Mapping[str, Any]
    metadata: Mapping[str, Any]

    def array(self, field: str) -> NDArray[np.float64]:
        """A field as finite numbers.

        Raises:
            ExportError: it is missing or something else.
        """
        place = f"{self.name}.{field}"
        if field not in self.fields:
            raise ExportError(place, fault="is missing")
        try:
            value = np.asarray(self.fields[field])
        except Exception as error:  # a tensor of another library raises what it likes
            raise ExportError(place, fault=f"is no array ({type(error).__name__})") from None
        if value.dtype.kind not in "fiub" or not value.size or not np.isfinite(value).all():
            raise ExportError(place, fault=f"{value.dtype} of shape {value.shape} (finite numbers, 1 or more, allowed)")
        return value if value.dtype == np.float32 else value.astype(np.float64)


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes by name, edges, and the graph's metadata."""

    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]
    metadata: Mapping[str, Any]

    @cached_property
    def before(self) -> dict[str, list[str]]:
        """The nodes before each node."""
        found: dict[str, list[str]] = {name: [] for name in self.nodes}
        for source, target in self.edges:
            found[target].append(source)
        return found


def plain_graph(graph: object) -> Graph:
    """The flat form of a ``nir.NIRGraph``, or of the nested mappings in which a file holds one.

    The inputs and outputs of graphs within the graph become ``Identity`` nodes.

    Raises:
        ExportError: it is no graph; an edge is no pair of two of its nodes, or there twice; it is too large.
    """
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str]] = []
    outer = _values("graph", graph)
    if outer.get("type") != "NIRGraph":
        raise ExportError("graph", short(outer.get("type")), "a NIRGraph")
    _flatten(outer, "", nodes, edges, 0)
    for number, edge in enumerate(edges):
        for name in edge:
            if name not in nodes:
                raise ExportError(f"edges.{number}", short(name), "a node's name")
    if len(set(edges)) < len(edges):
        raise ExportError("edges", fault="an edge is there twice (each once allowed)")
    return Graph(nodes, tuple(edges), _mapping("metadata", outer.get("metadata")))


def _flatten(
    graph: Mapping[str, Any], prefix: str, nodes: dict[str, Node], edges: list[tuple[str, str]], depth: int
) -> None:
    if depth > _MAX_NESTED:
        raise ExportError("graph", fault=f"graphs within graphs, more than {_MAX_NESTED} deep")
    ends: dict[str, tuple[str, str]] = {}  # of a graph within: where edges to it and from it go
    for key, value in _mapping(f"{prefix}nodes", graph.get("nodes")).items():
        name = f"{prefix}{key}"
        if len(name) > _MAX_NAME or not name.isprintable():
            raise ExportError("graph", f"the node's name {short(name)}", f"up to {_MAX_NAME} letters, all printable")
        values = _values(name, value)
        kind = values.pop("type", None)
        if kind == "NIRGraph":
            _flatten(values, f"{name}.", nodes, edges, depth + 1)
            ends[str(key)] = _ends(values, name)
            continue
        if prefix and kind in ("Input", "Output"):
            kind = "Identity"
        if name in nodes:
            raise ExportError(name, fault="is the name of two nodes")
        if not isinstance(kind, str) or not kind.isalnum() or len(kind) > _MAX_NAME:
            raise ExportError(name, short(kind), "a type of NIR")
        nodes[name] = Node(name, kind, values, _mapping(f"{name}.metadata", values.get("metadata")))
        if len(nodes) > _MAX_NODES:
            raise ExportError("graph", f"{len(nodes)} nodes", f"up to {_MAX_NODES}")
    for source, target in _edges(graph.get("edges"), prefix):
        edges.append((ends.get(source, ("", f"{prefix}{source}"))[1], ends.get(target, (f"{prefix}{target}", ""))[0]))


def _ends(graph: Mapping[str, Any], name: str) -> tuple[str, str]:
    """The names of the one input and the one output of a graph within a graph."""
    found = []
    for kind in ("Input", "Output"):
        inside = _mapping(name, graph.get("nodes")).items()
        keys = [key for key, value in inside if _values(name, value).get("type") == kind]
        if len(keys) != 1:
            raise ExportError(name, f"{len(keys)} {kind} nodes", "one in a graph within a graph")
        found.append(f"{name}.{keys[0]}")
    return found[0], found[1]


def _edges(edges: Any, prefix: str) -> Iterator[tuple[str, str]]:
    if not isinstance(edges, list | tuple | np.ndarray):
        raise ExportError(f"{prefix}edges", type(edges).__name__, "a list of pairs of names")
    for number, edge in enumerate(edges):
        names = [name.decode("utf8", "replace") if isinstance(name, bytes) else name for name in _pair(edge)]
        if len(names) != 2 or not all(isinstance(name, str) for name in names):
            raise ExportError(f"{prefix}edges.{number}", short(edge), "a pair of names")
        yield names[0], names[1]


def _pair(edge: Any) -> list[Any]:
    return list(edge) if isinstance(edge, list | tuple | np.ndarray) and np.ndim(edge) == 1 else []


def _values(name: str, value: Any) -> dict[str, Any]:
    """The fields of a node, and its type; of a NIR object or of a mapping."""
    if isinstance(value, Mapping):
        return dict(value)
    if type(value).__module__.partition(".")[0] != "nir":
        raise ExportError(name, type(value).__name__, "a node of NIR")
    return {**vars(value), "type": type(value).__name__}


def _mapping(place: str, value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ExportError(place, type(value).__name__, "a mapping by name")
    return value


def paths_into(graph: Graph, target: str, ends: frozenset[str]) -> list[list[Node]]:
    """Every way from a node in ``ends`` to ``target``, both included, through nodes that keep no state.

    Raises:
        ExportError: a node on a way is not known, has nothing before it, or leads back to itself; too many ways.
    """
    before = graph.before
    done: list[list[Node]] = []
    left = [[target]]
    while left:
        way = left.pop()
        if len(way) > _MAX_PASSED:
            raise ExportError(
                target, fault=f"more than {_MAX_PASSED} nodes in a row without a neuron, or a loop of such"
            )
        if not before[way[0]] and len(way) > 1:
            raise ExportError(way[0], fault="has no node before it (an Input allowed)")
        for name in before[way[0]]:
            node = graph.nodes[name]
            if name in ends:
                done.append([graph.nodes[each] for each in (name, *way)])
            elif node.kind in PASSED:
                left.append([name, *way])
            else:
                raise ExportError(name, node.kind, f"Input, LIF, IF, CubaLIF, LI, I, Output, {', '.join(PASSED)}")
        if len(done) + len(left) > _MAX_PATHS:
            raise ExportError(target, fault=f"is reached on more than {_MAX_PATHS} ways")
    return done
