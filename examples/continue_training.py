"""Stop a training, save it, load it, and go on to the same numbers."""

import torch
from torch.nn.functional import cross_entropy

from ranvier.models import Stack, feedforward
from ranvier.nn import SigmaSchedule

torch.manual_seed(0)
start, labels, clip = torch.randint(0, 10, (256,)), torch.arange(256) % 2, torch.arange(256)
x = torch.zeros(30, 256, 2)  # [time, batch, source]: two channels fire, three or eleven time steps apart
x[start, clip, 0] = x[start + 3 + 8 * labels, clip, 1] = 1


def build() -> tuple[Stack, torch.optim.Adam, SigmaSchedule]:
    """A model, its optimizer and the schedule of its tap width."""
    model = feedforward(2, [32], 2, max_delay=15, decay=0.5, dropout=0.2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    return model, optimizer, SigmaSchedule(model, start=8, end=0.5, total_steps=60)


def train(model: Stack, optimizer: torch.optim.Adam, schedule: SigmaSchedule, iterations: int) -> list[float]:
    """Go on by some iterations; returns their losses."""
    losses = []
    for _ in range(iterations):
        batch = torch.randperm(256)[:64]
        loss = cross_entropy(model.scores(x[:, batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


parts = model, optimizer, schedule = build()
train(*parts, iterations=30)
states = [part.state_dict() for part in parts]
torch.save({"states": states, "rng": torch.get_rng_state()}, "checkpoint.pt")  # torch draws batches and dropout
uninterrupted = train(*parts, iterations=30)

parts = build()
checkpoint = torch.load("checkpoint.pt", weights_only=True)
for part, state in zip(parts, checkpoint["states"], strict=True):
    part.load_state_dict(state)
torch.set_rng_state(checkpoint["rng"])
continued = train(*parts, iterations=30)
print(f"last loss {uninterrupted[-1]:.6f} without a stop, {continued[-1]:.6f} with one")
