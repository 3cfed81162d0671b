"""What a target can take: checks that several targets share."""

from __future__ import annotations

from ranvier.export.target import ExportError
from ranvier.network import (
    LIF,
    AdaptiveLIF,
    Connection,
    Conv,
    Dense,
    IntegerIntegrator,
    IntegerLIF,
    Integrator,
    Network,
    SoftResetLIF,
    Sparse,
    Trace,
)

_NEURONS = (LIF, SoftResetLIF, AdaptiveLIF, Integrator, IntegerLIF, IntegerIntegrator)


def check_plain(network: Network, target: str, *, conv: bool = False) -> None:
    """Refuse everything but float ``Dense`` and ``Sparse`` connections that carry spikes to ``LIF``, and an
    ``Integrator`` at the end where spikes are not counted.

    Args:
        network: what is to go there.
        target: its name, for the message.
        conv: allow ``Conv`` too.

    Raises:
        ExportError: names the first part that is something else.
    """
    silent = [layer.name for layer in network.layers if not layer.spikes]
    for number, layer in enumerate(network.layers):
        place = f"layers.{number}"
        if type(layer.neuron) not in (LIF, Integrator):
            raise ExportError(f"{place}.neuron", layer.neuron.kind, f"lif, integrator in {target}")
        if layer.output is not None:
            raise ExportError(f"{place}.output", layer.output.kind, f"plain spikes in {target}")
        for n, connection in enumerate(layer.inputs):
            known = (Dense, Sparse, Conv) if conv else (Dense, Sparse)
            if type(connection) not in known:
                kinds = ", ".join(each.kind for each in known)
                raise ExportError(f"{place}.inputs.{n}", connection.kind, f"{kinds} in {target}")
            if connection.source in silent:
                raise ExportError(
                    f"{place}.inputs.{n}.source", repr(connection.source), "the input or a layer that spikes"
                )


def check_known(network: Network) -> None:
    """Refuse all but ``Dense``, ``Sparse``, ``Conv``, ``Trace``, ``Integrator`` and ``LIF`` (or soft reset, integer,
    adaptive).

    Raises:
        ExportError: names the first part that is something else.
    """
    for number, layer in enumerate(network.layers):
        place = f"layers.{number}"
        if type(layer.neuron) not in _NEURONS:
            raise ExportError(f"{place}.neuron", layer.neuron.kind, ", ".join(neuron.kind for neuron in _NEURONS))
        for n, connection in enumerate(layer.inputs):
            if type(connection) not in (Dense, Sparse, Conv):
                kinds = ", ".join(each.kind for each in (Dense, Sparse, Conv))
                raise ExportError(f"{place}.inputs.{n}", connection.kind, kinds)
        if layer.output is not None and type(layer.output) is not Trace:
            raise ExportError(f"{place}.output", layer.output.kind, Trace.kind)


def dense(connection: Connection) -> Dense:
    """The connection as :class:`Dense`, which it or a :class:`Sparse` is where a network has been checked.

    Raises:
        NetworkError: it would be too large.
    """
    if isinstance(connection, Sparse):
        return connection.dense()
    assert isinstance(connection, Dense)
    return connection
