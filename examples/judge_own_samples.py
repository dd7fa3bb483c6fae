"""Your own samplers judged: does a flow from drafts need fewer network calls than one from noise?

A method is a function ``generate(n, steps=, seed=) -> tensor (n, ...)``, one for each training seed; what is in it is yours.
"""

import sys

import torch
from torch import nn

import warmflow

UPDATES, ROWS, SAMPLES = (20, 300, 100) if "--quick" in sys.argv else (3000, 5000, 2000)
SEEDS = (0, 1, 2)


class Net(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs + 1, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 2)
        )

    def forward(self, x, t, draft=None):
        return self.layers(torch.cat([x, t[:, None]] if draft is None else [x, draft, t[:, None]], 1))


def trained(seed, loss_of, inputs):
    torch.manual_seed(seed)
    model = Net(inputs)
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(UPDATES):
        loss = loss_of(model)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


def cold(seed):
    def loss_of(model):
        x1 = train[torch.randint(len(train), (256,))]
        return warmflow.functional.flow_matching_loss(model, (torch.randn_like(x1), x1))

    model = trained(seed, loss_of, 2)

    def generate(n, *, steps, seed):
        x = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            for i in range(steps):
                x = x + model(x, torch.full((n,), i / steps)) / steps
        return x

    return generate


def warm(seed):
    pairs = warmflow.pair(train, draft="mixture", rounds=8, seed=seed)

    def loss_of(model):
        rows = torch.randint(len(pairs), (256,))
        return warmflow.functional.warm_start_loss(model, (pairs.starts[rows], pairs.x[pairs.index[rows]]), sigma=0.1)

    model = trained(seed, loss_of, 4)

    def generate(n, *, steps, seed):
        return warmflow.sample(model, pairs.source, n=n, steps=steps, seed=seed, sigma=0.1)

    return generate


data = warmflow.data.load("moons")
train = data.train.x1[:ROWS]
found = warmflow.evaluate(
    data.heldout.x1[:ROWS],  # no method was trained on it
    baseline={"cold": [cold(seed) for seed in SEEDS]},
    candidates={"warm": [warm(seed) for seed in SEEDS]},
    train=train,
    samples=SAMPLES,
)
print(found)
