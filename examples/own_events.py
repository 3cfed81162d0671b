"""From arrays of events to a frozen network: data set, training, freezing, one prediction, a figure of the delays.

The data: twenty sensors fire once each, in one of four orders. Only the order tells the four classes apart.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from ranvier.data import Subset, collate, events_dataset, torch_dataset
from ranvier.engine import Engine
from ranvier.models import feedforward, freeze
from ranvier.network import Input, Network
from ranvier.nn import SigmaSchedule

torch.manual_seed(0)
rng = np.random.default_rng(0)
patterns = rng.uniform(0, 0.06, (4, 20))  # [class, sensor], when each sensor fires [s]
labels = np.arange(240) % 4
times = patterns[labels] + rng.uniform(0, 0.01, (240, 1)) + rng.normal(0, 0.001, (240, 20)).clip(-0.002, 0.002) + 0.002
clips = [(row, np.arange(20)) for row in times]  # (times [s], sensors) of each clip
data = events_dataset(clips, labels, dt_ms=2.0, sources=20, classes=["a", "b", "c", "d"])

order = rng.permutation(240)
train, test = Subset(data, order[:200]), Subset(data, order[200:])
batches = DataLoader(torch_dataset(train), batch_size=40, shuffle=True, collate_fn=collate)

model = feedforward(20, [32], 4, max_delay=30, decay=0.9, dropout=0.2)  # 30 time steps = 60 ms
before = model.delays_ms(dt_ms=2.0)
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
schedule = SigmaSchedule(model, start=8, end=0.5, total_steps=20 * len(batches))
for _ in range(20):
    for x, lengths, target in batches:
        loss = cross_entropy(model.scores(x, lengths), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

network = freeze(model, dt_ms=2.0, classes=data.classes, input=Input(channels=20))
network.write("orders.safetensors")
engine = Engine(Network.read("orders.safetensors"))  # needs no torch
correct = [engine.run(data.clip(i), int(data.lengths[i])).prediction == data.labels[i] for i in test.clips]
accuracy = np.mean(correct)
run = engine.run(data.clip(0), int(data.lengths[0]))
print(f"test accuracy {accuracy:.0%}; clip 0 is {data.classes[0]}, predicted {network.classes[run.prediction]}")

figure, axes = plt.subplots(1, len(network.layers), figsize=(8, 3))
for axis, layer, start in zip(axes, network.layers, before.values(), strict=True):
    delays_ms = layer.inputs[0].synapses().delay_steps * network.dt_ms
    axis.hist([start.flatten().numpy(), delays_ms], bins=15, label=["before training", "after"])
    axis.set(title=layer.name, xlabel="delay [ms]", ylabel="synapses")
axes[0].legend()
figure.savefig("delays.png")
