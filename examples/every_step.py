"""A value and a label in every time step: by how many steps does one channel lag behind the other, and which leads?

Channel 1 repeats the random spikes of channel 0 after -4 to 4 time steps; the lag changes every 100 time steps.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from ranvier.engine import Engine
from ranvier.models import Stack, freeze
from ranvier.network import Decoding, Input
from ranvier.nn import LIF, DelayLinear, Integrator, SequenceBatchNorm, set_sigma

STEPS, SAME, TOLD = 200, 100, 50  # a lag stays for so many steps; in the last of them it can be told
UNIT = 4.0  # voltage that a lag of one time step is learned as: what a readout of decay 0.97 sums up to


def make_clips(clips: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes ``[time, batch, 2]``, lags ``[time, batch]`` and whether a step counts ``[time]``."""
    generator = torch.Generator().manual_seed(seed)
    lag = torch.randint(-4, 5, (STEPS // SAME, clips), generator=generator).repeat_interleave(SAME, 0)
    first = (torch.rand(STEPS + 8, clips, generator=generator) < 0.2).float()
    second = first.gather(0, torch.arange(STEPS).unsqueeze(1) + 4 - lag)
    return torch.stack([first[4:-4], second], -1), lag, torch.arange(STEPS) % SAME >= SAME - TOLD


def train(outputs: int, loss: Callable[[Tensor, Tensor], Tensor], iterations: int = 200) -> Stack:
    """A network that is read in every time step: the scores ``last`` are the voltages of the last step so far."""
    torch.manual_seed(0)
    hidden = Stack(DelayLinear(2, 64, max_delay=8), SequenceBatchNorm(64), LIF(0.5))
    model = Stack(hidden, DelayLinear(64, outputs, 0), Integrator(0.97), decoding=Decoding(scores="last"))
    delay = model.delay_layers[0].delay  # in time steps, so that it moves faster
    others = [parameter for parameter in model.parameters() if parameter is not delay]
    optimizer = torch.optim.Adam([{"params": [delay], "lr": 0.05}, {"params": others, "lr": 0.02}])
    for iteration in range(iterations):
        set_sigma(model, 4 * 0.08 ** (iteration / iterations))
        x, lag, counts = make_clips(32, seed=iteration)
        voltage = model.forward_sequence(x)  # [time, batch, output]
        optimizer.zero_grad()
        loss(voltage[counts], lag[counts]).backward()
        optimizer.step()
    return model.eval()  # rounds the delays


x, lag, counts = make_clips(64, seed=1000)

model = train(1, lambda voltage, lag: mse_loss(voltage[..., 0], UNIT * lag))
with torch.no_grad():
    error = model.forward_sequence(x)[..., 0] / UNIT - lag
explained = 1 - (error[counts].square().mean() / lag[counts].double().var()).item()
print(f"lag: {explained:.0%} of the variance explained")

network = freeze(model, dt_ms=1.0, classes=["lag"], input=Input(2))
stream, values = Engine(network).stream(), []
for step in range(STEPS):
    stream.step(np.flatnonzero(x[step, 0]))
    values.append(stream.scores[0] / UNIT)  # by now
print(f"frozen, step by step: off by {np.abs(values - (error + lag)[:, 0].numpy()).max():.0e} time steps at most")

model = train(3, lambda voltage, lag: cross_entropy(voltage.flatten(0, 1), lag.sign().flatten() + 1))
with torch.no_grad():
    right = model.forward_sequence(x).argmax(-1) == lag.sign() + 1
print(f"behind, together or ahead: {right[counts].float().mean():.0%} of the time steps right")
