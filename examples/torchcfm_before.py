"""A flow from noise to moons with torchcfm, as in its examples. ``torchcfm_after.py`` is the same script with a warm start."""

import sys

import torch
from torch.utils.data import DataLoader
from torchcfm.conditional_flow_matching import ConditionalFlowMatcher
from torchcfm.models.models import MLP
from torchcfm.utils import sample_moons, torch_wrapper
from torchdyn.core import NeuralODE

ROWS, EPOCHS = (500, 1) if "--quick" in sys.argv else (5000, 100)

model = MLP(dim=2, time_varying=True)
optimizer = torch.optim.Adam(model.parameters())
FM = ConditionalFlowMatcher(sigma=0.0)
loader = DataLoader(sample_moons(ROWS), 256, shuffle=True)

for _ in range(EPOCHS):
    for x1 in loader:
        x0 = torch.randn_like(x1)
        t, xt, ut = FM.sample_location_and_conditional_flow(x0, x1)
        vt = model(torch.cat([xt, t[:, None]], dim=-1))
        loss = torch.mean((vt - ut) ** 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

node = NeuralODE(torch_wrapper(model), solver="euler")
with torch.no_grad():
    samples = node.trajectory(torch.randn(1000, 2), t_span=torch.linspace(0, 1, 21))[-1]
print(f"loss {loss:.3f}, samples {tuple(samples.shape)}")
