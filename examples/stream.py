"""Run a stream chunk by chunk: ``model(x, state)`` gives the same voltages as the whole at once."""

import torch

from ranvier.models import Stack
from ranvier.nn import LIF, DelayLinear, Integrator, SequenceBatchNorm

torch.manual_seed(0)
model = Stack(
    Stack(DelayLinear(40, 64, max_delay=24), SequenceBatchNorm(64), LIF(0.9)),
    DelayLinear(64, 5, max_delay=24),
    Integrator(0.95),
).eval()  # delays rounded, as in the frozen network

stream = (torch.rand(500, 1, 40) < 0.05).float()  # [time, batch, source]
with torch.no_grad():
    whole, _ = model(stream)
    state, chunks = None, []
    for chunk in stream.split([1, 19, 7, 100, 373]):  # any lengths, also shorter than the longest delay
        voltage, state = model(chunk, state)
        chunks.append(voltage)

difference = (torch.cat(chunks) - whole).abs().max().item()
print(f"largest difference of a voltage {difference:.1e}, of voltages up to {whole.abs().max():.2f}")
