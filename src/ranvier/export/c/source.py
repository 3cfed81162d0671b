"""The C code of a network."""

from __future__ import annotations

from string import Template

import numpy as np

from ranvier.export.c import literals
from ranvier.export.c.convolution import Convolution
from ranvier.export.c.layout import LayerLayout, Layout, Rows
from ranvier.export.c.neurons import neuron_code
from ranvier.export.c.scores import scores

_TOP = Template("""\
/* $name: constants and code. A spike walks the row of its source: each synapse adds its weight to a ring of currents
   of the layer that it reaches, as many time steps ahead as its delay. Synapses of weight 0 are left out. */

#include "$name.h"

$includes

/* the state is as large as the header says */
typedef char state_is_as_large_as_said[sizeof(${name}_state) <= ${upper}_STATE_BYTES ? 1 : -1];

const char *const ${name}_class_names[${upper}_CLASSES] = {
$classes
};
""")

_KERNEL = Template("""\
/* Adds the synapses first to end - 1 of a row to a ring of `length` currents, of which `now` begins this time step. */
static void add_$kind($number *ring, uint32_t length, uint32_t now, const uint${bits}_t *offset,
    const $weight_type *weight, uint32_t first, uint32_t end$factor_argument)
{
    const uint32_t left = length - now; /* an offset from here on lies past the ring's end; offsets rise */
    uint32_t k = first;
    for (; k < end && offset[k] < left; k++)
        ring[now + offset[k]] += $amount;
    for (; k < end; k++)
        ring[offset[k] - left] += $amount;
}
""")

_SEND = Template("""\
/* What an event of $source sends. */
static void send_$source(${name}_state *state, uint32_t source$size_argument)
{
$calls
}
""")

_LAYER = Template("""\
/* $layer: one time step. */
static void step_$number(${name}_state *state)
{
    $type *current = state->${layer}_current + state->${layer}_now;
    uint32_t j$counters;
    for (j = 0; j < ${targets}u; j++) {
$voltage
        current[j] = 0;
$fire
        state->${layer}_voltage[j] = v;
    }
$after
}
""")

_SEND_SPIKES = """\
    for (j = 0; j < count; j++)
        send_$layer(state, state->${layer}_spikes[j]);"""
_SEND_TRACES = """\
    for (j = 0; j < ${targets}u; j++)
        if (state->${layer}_trace[j] != 0)
            send_$layer(state, j, state->${layer}_trace[j]);"""

_END = Template("""\
/* $layer, once it has ended: silent, and what it receives is dropped. */
static void end_$number(${name}_state *state)
{
    memset(state->${layer}_current + state->${layer}_now, 0, sizeof(state->${layer}_current) / ${slots}u);
$silent}
""")

_RUN = Template("""\
/* One time step of all layers in their order$but. */
static void run(${name}_state *state$first)
{
$steps
$turns
}
""")

_TURN = """\
    state->${layer}_now += ${targets}u;
    if (state->${layer}_now == ${length}u)
        state->${layer}_now = 0;"""

_BOTTOM = Template("""\
int ${name}_init(${name}_state *state)
{
$counter    if (state == NULL)
        return ${upper}_ERROR_NULL;
    memset(state, 0, sizeof(*state));
$begin    return ${upper}_OK;
}

int ${name}_step(${name}_state *state, uint32_t events, const uint16_t *source, const $size_type *size)
{
    uint32_t e;
    if (state == NULL || (events > 0 && source == NULL))
        return ${upper}_ERROR_NULL;
    if (state->tail != 0)
        return ${upper}_ERROR_ENDED;
    for (e = 0; e < events; e++) {
        if (source[e] >= ${upper}_SOURCES || (e > 0 && source[e] <= source[e - 1]))
            return ${upper}_ERROR_SOURCE;
$check    }
$send    run(state$first);
    return ${upper}_OK;
}

int ${name}_tail_step(${name}_state *state)
{
    if (state == NULL)
        return ${upper}_ERROR_NULL;
    if (state->tail == ${upper}_TAIL_STEPS)
        return ${upper}_ERROR_ENDED;
    run(state$ended);
    state->tail++;
    return ${upper}_OK;
}

const $score_type *${name}_scores(const ${name}_state *state)
{
    return state == NULL ? NULL : state->scores;
}

int ${name}_result(const ${name}_state *state)
{
    int best = 0, j;
    if (state == NULL)
        return ${upper}_ERROR_NULL;
    for (j = 1; j < (int)${upper}_CLASSES; j++)
        if (state->scores[j] > state->scores[best])
            best = j;
    return best;
}
""")

_CHECK_SIZE = """\
        if (size != NULL && !(size[e] - size[e] == 0)) /* infinite or not a number */
            return ${upper}_ERROR_SIZE;
"""
_SEND_INPUT = """\
    for (e = 0; e < events; e++)
        send_input(state, source[e], size == NULL ? 1 : size[e]);
"""
_BEGIN = Template("""\
    for (j = 0; j < ${upper}_CLASSES; j++)
        state->scores[j] = $lowest; /* the lowest number */
""")
_IGNORE_SIZE = "    (void)size; /* no synapse comes from the input */\n"
_WEIGHTS = {
    "f32": ("float", "weight[k]"),
    "s8": ("int8_t", "weight[k]"),
    "s4": ("uint8_t", "((weight[k >> 1] >> ((k & 1u) << 2) & 15) - 8)"),
}


def source(plan: Layout) -> str:
    """The text of the C file."""
    name, upper = plan.name.lower, plan.name.upper
    integer = plan.network.integer
    exponential = plan.network.decoding.scores == "softmax" and not integer
    top = _TOP.substitute(
        name=name,
        upper=upper,
        includes="\n".join(
            [*(["#include <math.h>"] if exponential else []), "#include <stddef.h>", "#include <string.h>"]
        ),
        classes="\n".join(f"    {literals.text(words)}," for words in plan.network.classes),
    )
    tables = [f"/* {table.words} */\n{literals.array(table.name, table.values)}\n" for table in plan.tables()]
    kernels = sorted({rows.kernel for layer in plan.layers for rows in layer.rows})
    senders = [name for name in ("input", *(layer.layer.name for layer in plan.layers)) if plan.reached(name)]
    parts = [
        top,
        *tables,
        *(_kernel(kernel, integer=integer) for kernel in kernels),
        *(each.function(plan) for layer in plan.layers for each in layer.convolutions),
        *(_send(plan, sender) for sender in senders),
        scores(plan),
        *(_step(plan, layer) for layer in plan.layers),
        *([_end(plan, layer) for layer in plan.layers[:-1]] if plan.per_layer else []),
        _run(plan),
        _bottom(plan, sends="input" in senders),
    ]
    return "\n".join(parts)


def constant_bytes(plan: Layout) -> int:
    """Bytes of all constants, with pointers of 32 bits."""
    names = sum(len(words.encode()) + 1 + 4 for words in plan.network.classes)
    return names + sum(table.values.nbytes for table in plan.tables())


def _kernel(kernel: tuple[int, str, bool], *, integer: bool) -> str:
    bits, weights, sized = kernel
    weight_type, value = _WEIGHTS[weights]
    number = "int32_t" if integer else "float"
    return _KERNEL.substitute(
        kind=_kind(kernel),
        number=number,
        bits=bits,
        weight_type=weight_type,
        factor_argument=f", {number} factor" if sized else "",
        amount=f"{value} * factor" if sized else value,
    )


def _kind(kernel: tuple[int, str, bool]) -> str:
    bits, weights, sized = kernel
    return f"u{bits}_{weights}{'_times' if sized else ''}"


def _send(plan: Layout, sender: str) -> str:
    reached = plan.reached(sender)
    sized = reached[0][1].sized
    number = "int32_t" if plan.network.integer else "float"
    return _SEND.substitute(
        name=plan.name.lower,
        source=sender,
        size_argument=f", {number} size" if sized else "",
        calls="\n".join(_call(plan, layer, rows) for layer, rows in reached),
    )


def _call(plan: Layout, layer: LayerLayout, rows: Rows | Convolution) -> str:
    if isinstance(rows, Convolution):
        return rows.call()
    place, name = "_".join(map(str, rows.number)), layer.layer.name
    row, offset, weight = (plan.name_of(f"{table}_{place}") for table in ("row", "offset", "weight"))
    length = layer.slots * layer.layer.targets
    factor = f", {rows.factor}" if rows.kernel[2] else ""
    return (
        f"    add_{_kind(rows.kernel)}(state->{name}_current, {length}u, state->{name}_now, {offset},\n"
        f"        {weight}, {row}[source], {row}[source + 1]{factor});"
    )


def _step(plan: Layout, layout: LayerLayout) -> str:
    layer, integer = layout.layer, layout.layer.integer
    values = plan.values_of(layout) | {"layer": layer.name, "targets": str(layer.targets)}
    voltage, fire = neuron_code(layout, values)
    after = []
    if layer.spikes:
        after.append(f"    state->{layer.name}_spike_count = (uint16_t)count;")
        if plan.reached(layer.name):
            after.append(Template(_SEND_TRACES if layout.trace else _SEND_SPIKES).substitute(values))
    if layout is plan.layers[-1]:
        after.append("    add_scores(state);")
    return _LAYER.substitute(
        values,
        number=layout.number,
        name=plan.name.lower,
        type="int32_t" if integer else "float",
        counters=", count = 0" if layer.spikes else "",
        voltage=voltage,
        fire=fire,
        after="\n".join(after),
    ).replace("\n\n        state", "\n        state")


def _end(plan: Layout, layout: LayerLayout) -> str:
    name = layout.layer.name
    silent = f"    state->{name}_spike_count = 0;\n"
    return _END.substitute(name=plan.name.lower, number=layout.number, layer=name, slots=layout.slots, silent=silent)


def _run(plan: Layout) -> str:
    steps = []
    for number in range(len(plan.layers)):
        step = f"    step_{number}(state);"
        if plan.per_layer and number < len(plan.layers) - 1:
            step = f"    if (first > {number}u)\n        end_{number}(state);\n    else\n        step_{number}(state);"
        steps.append(step)
    turns = [
        Template(_TURN).substitute(
            layer=layer.layer.name, targets=layer.layer.targets, length=layer.slots * layer.layer.targets
        )
        for layer in plan.layers
        if layer.slots > 1
    ]
    return _RUN.substitute(
        name=plan.name.lower,
        but=", from `first` on; those before have ended" if plan.per_layer else "",
        first=", uint32_t first" if plan.per_layer else "",
        steps="\n".join(steps),
        turns="\n".join(turns),
    ).replace("\n\n}", "\n}")


def _bottom(plan: Layout, *, sends: bool) -> str:
    integer, upper = plan.network.integer, plan.name.upper
    highest = plan.network.decoding.scores == "max"
    ended = f", state->tail / {plan.network.decoding.tail_steps}u" if plan.per_layer else ""
    return _BOTTOM.substitute(
        name=plan.name.lower,
        upper=upper,
        size_type="uint8_t" if integer else "float",
        score_type="uint64_t" if integer else "float",
        check="" if integer else Template(_CHECK_SIZE).substitute(upper=upper),
        send=_SEND_INPUT if sends else _IGNORE_SIZE,
        first=", 0" if plan.per_layer else "",
        ended=ended,
        counter="    uint32_t j;\n" if highest else "",
        begin=_BEGIN.substitute(upper=upper, lowest=literals.real(float(np.finfo(np.float32).min))) if highest else "",
    )
