"""A flow in plain PyTorch: its own network and training loop. ``plain_pytorch.py`` is the same script with a warm start."""

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader

EPOCHS = 1 if "--quick" in sys.argv else 200


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(64 + 1, 256)
        self.rest = nn.Sequential(nn.SiLU(), nn.Linear(256, 256), nn.SiLU(), nn.Linear(256, 64))

    def forward(self, x, t):
        return self.rest(self.first(torch.cat([x, t[:, None]], 1)))


x = torch.tensor(load_digits().data, dtype=torch.float32) / 8 - 1  # (1797, 64) in [-1, 1]
model = Net()
optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
loader = DataLoader(x, 128, shuffle=True)

for _ in range(EPOCHS):
    for batch in loader:
        x0, t = torch.randn_like(batch), torch.rand(len(batch), 1)
        loss = (model((1 - t) * x0 + t * batch, t[:, 0]) - (batch - x0)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

samples = torch.randn(64, 64)
for i in range(20):
    samples += model(samples, torch.full((64,), i / 20)).detach() / 20
print(f"loss {loss:.3f}, samples {tuple(samples.shape)}")
