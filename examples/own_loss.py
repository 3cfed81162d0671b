"""A loss and a loop of one's own: latest voltage, a penalty on firing rates, another learning rate for the delays."""

import torch
from torch.nn.functional import cross_entropy

from ranvier.models import feedforward
from ranvier.nn import set_sigma

torch.manual_seed(0)
start, labels, clip = torch.randint(0, 10, (128,)), torch.arange(128) % 2, torch.arange(128)
x = torch.zeros(30, 128, 2)  # [time, batch, source]: two channels fire, three or eleven time steps apart
x[start, clip, 0] = x[start + 3 + 8 * labels, clip, 1] = 1

model = feedforward(2, [64], 2, max_delay=15, decay=0.5)
delays = [parameter for name, parameter in model.named_parameters() if name.endswith("delay")]
others = [parameter for name, parameter in model.named_parameters() if not name.endswith("delay")]
optimizer = torch.optim.AdamW(
    [{"params": delays, "lr": 0.05, "weight_decay": 0.0}, {"params": others, "lr": 0.01}]  # delays are in time steps
)

rates = []
for iteration in range(200):
    set_sigma(model, 8 * 0.04 ** (iteration / 200))  # width of the taps, 8 to 0.32 time steps
    rasters, voltage = model.forward_with_spikes(x)  # spikes of every hidden layer, [time, batch, neuron]
    rate = torch.stack([raster.sum(0).mean() for raster in rasters]).mean()  # spikes of a neuron in a clip
    highest = voltage.amax(0)  # [batch, class]
    loss = cross_entropy(highest, labels) + 0.1 * (rate - 0.5).relu()
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    rates.append(rate.item())

model.eval()  # rounds the delays
with torch.no_grad():
    accuracy = (model.forward_sequence(x).amax(0).argmax(1) == labels).float().mean().item()
print(f"accuracy {accuracy:.0%}, spikes of a neuron in a clip {rates[0]:.2f} before and {rates[-1]:.2f} after training")
