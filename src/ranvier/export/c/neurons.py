"""What a neuron does in a time step, in C: lines within a loop over the neurons ``j`` of a layer."""

from __future__ import annotations

from string import Template

from ranvier.export.c.layout import LayerLayout
from ranvier.network import AdaptiveLIF, SoftResetLIF

_FLOAT_VOLTAGE = "        float v = $decay * state->${layer}_voltage[j] + (current[j] + $bias);"
_INTEGER_VOLTAGE = """\
        const int64_t kept = (int64_t)$decay * state->${layer}_voltage[j];
        int32_t v = (int32_t)(kept / 4096) + (current[j] + $bias); /* rounds towards zero */"""
_ADAPTIVE_VOLTAGE = """\
        const float u = state->${layer}_voltage[j], w = state->${layer}_adaptation[j];
        float v = $decay * u + (1.0f - $decay) * (current[j] + $bias - w);
        const float fires = v >= $threshold ? 1.0f : 0.0f;"""
_FIRE = """\
        if (v >= $threshold) {
            state->${layer}_spikes[count++] = (uint16_t)j;
            $reset;
$up        }$down"""
_ADAPT = {
    "symplectic": """
        state->${layer}_adaptation[j] = $kept * w + (1.0f - $kept) * ($a * v + $b * fires);""",
    "forward": """
        state->${layer}_adaptation[j] = $kept * w + (1.0f - $kept) * ($a * u + $b * state->${layer}_fired[j]);
        state->${layer}_fired[j] = fires;""",
}


def neuron_code(layout: LayerLayout, values: dict[str, str]) -> tuple[str, str]:
    """The lines that compute the voltage ``v``, and those that compare it with the threshold, if any.

    Args:
        layout: of the layer.
        values: C expressions for its constants, and its name as ``layer``.
    """
    neuron = layout.layer.neuron
    voltage = _INTEGER_VOLTAGE if neuron.integer else _FLOAT_VOLTAGE
    fire = ""
    if neuron.spikes:
        reset = f"v -= {values['threshold']}" if isinstance(neuron, SoftResetLIF) else "v = 0"
        trace = f"state->{layout.layer.name}_trace[j]"
        up = f"            {trace} += 1;\n" if layout.trace else ""
        down = f" else\n            {trace} -= {values['lost']} * {trace};" if layout.trace else ""
        fire = Template(_FIRE).substitute(values, up=up, down=down, reset=reset)
    if isinstance(neuron, AdaptiveLIF):
        voltage = _ADAPTIVE_VOLTAGE
        fire += Template(_ADAPT[neuron.euler]).substitute(values)
    return Template(voltage).substitute(values), fire
