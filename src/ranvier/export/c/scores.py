"""Class scores in C."""

from __future__ import annotations

from string import Template

from ranvier.export.c.layout import Layout
from ranvier.network import IntegerIntegrator, Scores

_FLOAT = Template("""\
/* Adds the softmax of the readout's voltages to the scores. */
static void add_scores(${name}_state *state)
{
    const float *v = state->${layer}_voltage;
    float highest = v[0], sum = 0;
    uint32_t j;
    for (j = 1; j < ${classes}u; j++)
        if (v[j] > highest)
            highest = v[j];
    for (j = 0; j < ${classes}u; j++) {
        state->shares[j] = expf(v[j] - highest);
        sum += state->shares[j];
    }
    for (j = 0; j < ${classes}u; j++) {
        state->shares[j] /= sum;
        state->scores[j] += state->shares[j];
    }
}
""")

_INTEGER = Template("""\
/* Adds the softmax of the readout's voltages, in powers of two with 15 bits, to the scores. */
static void add_scores(${name}_state *state)
{
    const int32_t *v = state->${layer}_voltage;
    int32_t highest = v[0];
    uint32_t sum = 0, j;
    for (j = 1; j < ${classes}u; j++)
        if (v[j] > highest)
            highest = v[j];
    for (j = 0; j < ${classes}u; j++) {
        /* 256 log2(e) of the distance below the highest */
        uint64_t y = ((uint64_t)((int64_t)highest - v[j]) * 23637u) >> $shift;
        state->shares[j] = (uint16_t)(y >> 8 < 16 ? power[y & 255u] >> (y >> 8) : 0);
        sum += state->shares[j];
    }
    for (j = 0; j < ${classes}u; j++) {
        state->shares[j] = (uint16_t)(((uint32_t)state->shares[j] << 15) / sum);
        state->scores[j] += state->shares[j];
    }
}
""")


_VOLTAGE = Template("""\
/* Takes the readout's voltages into the scores. */
static void add_scores(${name}_state *state)
{
    const float *v = state->${layer}_voltage;
    uint32_t j;
    for (j = 0; j < ${classes}u; j++)
        $take;
}
""")

_COUNT = Template("""\
/* Counts the readout's spikes. */
static void add_scores(${name}_state *state)
{
    uint32_t k;
    for (k = 0; k < state->${layer}_spike_count; k++)
        state->scores[state->${layer}_spikes[k]] += 1;
}
""")

_TAKE: dict[Scores, str] = {
    "sum": "state->scores[j] += v[j]",
    "max": "state->scores[j] = v[j] > state->scores[j] ? v[j] : state->scores[j]",
    "last": "state->scores[j] = v[j]",
}


def scores(plan: Layout) -> str:
    """The function that adds a time step to the scores."""
    readout = plan.layers[-1].layer
    kind = plan.network.decoding.scores
    values = {"name": plan.name.lower, "layer": readout.name, "classes": readout.targets}
    if kind == "count":
        return _COUNT.substitute(values)
    if kind != "softmax":
        return _VOLTAGE.substitute(values, take=_TAKE[kind])
    if isinstance(readout.neuron, IntegerIntegrator):
        return _INTEGER.substitute(values, shift=6 - readout.neuron.scale_exponent)
    return _FLOAT.substitute(values)
