"""The header of a network's C code."""

from __future__ import annotations

from string import Template

from ranvier.export.c.layout import Layout
from ranvier.export.c.literals import real
from ranvier.export.c.state import members, state_bytes

_HEADER = Template("""\
/* $name: a spiking network with a delay at every synapse, made by Ranvier.
   $sources inputs, $count classes, time step $dt_ms ms, $numbers.
$layers
   A clip: ${name}_init, then ${name}_step for each of its time steps, then ${name}_tail_step
   ${upper}_TAIL_STEPS times, then ${name}_result. A stream calls ${name}_step on and on.
   Nothing is allocated or printed; a state belongs to one thread at a time. */

#ifndef ${upper}_H
#define ${upper}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ${upper}_SOURCES ${sources}u
#define ${upper}_CLASSES ${count}u
#define ${upper}_DT_MS $dt
/* time steps of silence after a clip that belong to its scores */
#define ${upper}_TAIL_STEPS ${tail}u
/* of the state, in RAM */
#define ${upper}_STATE_BYTES $state_bytes
/* of the constants, in flash; code comes on top */
#define ${upper}_FLASH_BYTES $flash_bytes

/* what functions return */
#define ${upper}_OK 0
#define ${upper}_ERROR_NULL (-1)   /* a pointer is NULL */
#define ${upper}_ERROR_SOURCE (-2) /* a source is out of range, or not above the one before */
#define ${upper}_ERROR_SIZE (-3)   /* the size of an event is $bad_size */
#define ${upper}_ERROR_ENDED (-4)  /* the tail is over, or has begun: ${name}_init starts anew */

typedef struct {
$members
} ${name}_state;

/* names of the classes, UTF-8 */
extern const char *const ${name}_class_names[${upper}_CLASSES];

/* Silence; before each clip. */
int ${name}_init(${name}_state *state);

/* One time step with its events.
   source: of each event, 0 to ${upper}_SOURCES - 1, rising, each once.
   size: of each event, $size; NULL: all are 1.
   An error leaves the state as it was. Spikes then stand in the state's _spikes and _spike_count. */
int ${name}_step(${name}_state *state, uint32_t events, const uint16_t *source, const $size_type *size);

/* One time step of the silence after a clip. */
int ${name}_tail_step(${name}_state *state);

/* The scores of all classes so far; NULL without a state. */
const $score_type *${name}_scores(const ${name}_state *state);

/* The class of the highest score, the first of equals; or an error, below 0. */
int ${name}_result(const ${name}_state *state);

#ifdef __cplusplus
}
#endif

#endif
""")


def header(plan: Layout, flash_bytes: int) -> str:
    """The text of the header."""
    network = plan.network
    integer = network.integer
    return _HEADER.substitute(
        name=plan.name.lower,
        upper=plan.name.upper,
        sources=network.sources,
        count=len(network.classes),
        dt_ms=f"{network.dt_ms:g}",
        dt=real(network.dt_ms),
        numbers="integers of 32 bits"
        if integer
        else "float32" + (" (expf for the scores alone)" if network.decoding.scores == "softmax" else ""),
        layers="\n".join(_layer_lines(plan)),
        tail=plan.tail_steps,
        state_bytes=state_bytes(plan),
        flash_bytes=flash_bytes,
        members="\n".join(member.declaration() for member in members(plan)),
        size="0 to 255" if integer else "finite",
        bad_size="out of range (not used: its type has the range)" if integer else "not finite",
        size_type="uint8_t" if integer else "float",
        score_type="uint64_t" if integer else "float",
    )


def _layer_lines(plan: Layout) -> list[str]:
    lines = []
    for layer in plan.layers:
        for connection in layer.layer.inputs:
            steps, count = connection.delays(), connection.synapse_count
            delays = f"delays of {steps.min()} to {steps.max()} time steps" if count else "no synapse"
            lines.append(f"   {connection.source} to {layer.layer.name}: {count} synapses, {delays}")
        output = "" if layer.trace is None else f", {layer.trace.kind}"
        lines.append(f"   {layer.layer.name}: {layer.layer.targets} neurons, {layer.layer.neuron.kind}{output}")
    return lines
