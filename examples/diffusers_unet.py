"""A warm start with diffusers' UNet2DModel: the draft is a second image beside x_t, and time counts to 1000 there."""

import sys

import torch
from diffusers import UNet2DModel
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader

import warmflow

QUICK = "--quick" in sys.argv


class Warm(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.unet = UNet2DModel(
            sample_size=8,
            in_channels=2,  # x_t and the draft
            out_channels=1,
            block_out_channels=(width, 2 * width),
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            norm_num_groups=8,
        )

    def forward(self, x, t, draft):
        return self.unet(torch.cat([x, draft], 1), 1000 * t).sample


x = torch.tensor(load_digits().images, dtype=torch.float32)[:, None] / 8 - 1  # (1797, 1, 8, 8) in [-1, 1]
x = x[:256] if QUICK else x
pairs = warmflow.pair(x, draft="mixture", rounds=1 if QUICK else 8)
model = Warm()
optimiser = torch.optim.AdamW(model.parameters(), 5e-4)

for _ in range(1 if QUICK else 10):
    for batch in DataLoader(pairs, 64, shuffle=True):
        loss = warmflow.functional.warm_start_loss(model, batch, predicts="x1")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

samples = warmflow.sample(model, pairs.source, n=64, steps=4, predicts="x1", clip=(-1, 1))
print(f"loss {loss:.3f}, {len(samples)} digits in 4 network calls")
