"""The flow of ``torchcfm_before.py`` with a warm start, ten lines changed: torchcfm still makes the path and the loss."""

import sys

import torch
from torch.utils.data import DataLoader
from torchcfm.conditional_flow_matching import ConditionalFlowMatcher
from torchcfm.models.models import MLP
from torchcfm.utils import sample_moons

import warmflow

ROWS, EPOCHS = (500, 1) if "--quick" in sys.argv else (5000, 100)

model = MLP(dim=4, out_dim=2, time_varying=True)
optimizer = torch.optim.Adam(model.parameters())
FM = ConditionalFlowMatcher(sigma=0.0)
loader = DataLoader(pairs := warmflow.pair(sample_moons(ROWS), rounds=1), 256, shuffle=True)

for _ in range(EPOCHS):
    for draft, x1, _ in loader:
        x0 = draft + 0.1 * torch.randn_like(x1)
        t, xt, ut = FM.sample_location_and_conditional_flow(x0, x1)
        vt = model(torch.cat([xt, draft, t[:, None]], dim=-1))
        loss = torch.mean((vt - ut) ** 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def velocity(xt, t, draft):
    return model(torch.cat([xt, draft, t[:, None]], dim=-1))


samples = warmflow.sample(velocity, pairs.source, n=1000, steps=4, t0=0, sigma=0.1)
print(f"loss {loss:.3f}, samples {tuple(samples.shape)}")
