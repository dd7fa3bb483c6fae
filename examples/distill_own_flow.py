"""Your own flow, a plain nn.Module, distilled into a student of one network call."""

import sys

import torch
from torch import nn

import warmflow

QUICK = "--quick" in sys.argv
OUT = next((word for word in sys.argv[1:] if not word.startswith("--")), "distilled")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 2))

    def forward(self, x, t):
        return self.layers(torch.cat([x, t[:, None]], 1))


model = Net()
optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
x = warmflow.data.load("moons").train.x1
for _ in range(20 if QUICK else 5000):
    x1 = x[torch.randint(len(x), (256,))]
    x0, x1 = warmflow.functional.pair_batch(torch.randn_like(x1), x1)
    loss = warmflow.functional.flow_matching_loss(model, (x0, x1))
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()

student = warmflow.distill(model, OUT, shape=(2,), predicts="velocity", updates=2 if QUICK else 2000, progress=False)
samples = student(64, seed=0)
print(f"samples {tuple(samples.x.shape)}, {int(samples.calls.max())} network call each")
