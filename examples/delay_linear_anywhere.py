"""``DelayLinear`` in a stack of modules, and in a SpikingJelly network (pip install spikingjelly).

The data: two channels fire, three or eleven time steps apart. Which of the two is it?
"""

import torch
from spikingjelly.activation_based import functional, neuron, surrogate
from torch import nn
from torch.nn.functional import cross_entropy

from ranvier.models import Stack
from ranvier.nn import LIF, DelayLinear, Integrator, SigmaSchedule

torch.manual_seed(0)
start, labels, clip = torch.randint(0, 10, (128,)), torch.arange(128) % 2, torch.arange(128)
x = torch.zeros(30, 128, 2)  # [time, batch, source]
x[start, clip, 0] = x[start + 3 + 8 * labels, clip, 1] = 1


class JellyNet(nn.Module):
    """Delayed currents into SpikingJelly's neurons, which take all time steps at once (``step_mode="m"``)."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = DelayLinear(2, 64, max_delay=15, bias=True)
        self.spikes = neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan(), detach_reset=True, step_mode="m")
        self.readout = DelayLinear(64, 2, max_delay=15)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        functional.reset_net(self)
        current, _ = self.hidden(x)  # a layer returns (y, state)
        current, _ = self.readout(self.spikes(2 * current))
        return current.sum(0)  # [batch, class]


stack = Stack(DelayLinear(2, 64, 15, bias=True), LIF(0.5), DelayLinear(64, 2, 15), Integrator(0.5))


def train(model: nn.Module, scores) -> float:
    """Accuracy after 200 steps."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    schedule = SigmaSchedule(model, start=8, end=0.3, total_steps=200)  # reaches every DelayLinear of a module
    for _ in range(200):
        loss = cross_entropy(scores(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()  # keeps the delays in [0, max_delay]
        schedule.step()
    model.eval()  # rounds the delays
    return (scores(x).argmax(1) == labels).float().mean().item()


accuracies = {"Stack": train(stack, stack.scores), "SpikingJelly": train(jelly := JellyNet(), jelly)}
print(accuracies)
