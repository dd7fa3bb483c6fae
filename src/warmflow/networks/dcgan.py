"""The two networks of a DC-GAN: a latent grown into an image by strided convolutions, and an image shrunk to one number.

    generator       z -> dense -> (c_L, h_L, w_L) -> ... relu(norm(up(h))) ... -> tanh(up(h)),    side h_k = ceil(h_{k-1} / 2)
    discriminator   x -> ... leaky(down(h)) ... -> dense -> one logit

Sides are halved, rounded up, until none is longer than 7 pixels; on the way up what rounding added is cut off. So 28 goes through
14 to 7, 8 to 4, 64 to 4.

Where the paper norms over the batch, the generator norms each image by itself and the discriminator not at all: a batch's
statistics tie its rows to each other, so that a sample would depend on its neighbours, two processes would compute another loss
than one, and the averaged weights would be read with the statistics of others. What keeps the discriminator smooth is the
objective's penalty (``objectives.adversarial``).

References:
    Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks, Radford, Metz, Chintala, 2015,
    arXiv 1511.06434
    Group Normalization, Wu, He, 2018, arXiv 1803.08494
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from warmflow.networks.base import Network

SMALLEST = 7
"""No side of the smallest picture is longer."""
WIDEST = 8
"""The most channels, as a multiple of the width."""
GROUPS = 4
LEAK = 0.2


def _pyramid(shape: Sequence[int], width: int) -> list[tuple[int, int, int]]:
    """(C, H, W) of the image and of each smaller picture; ValueError for what is no image."""
    if len(shape) != 3 or shape[0] < 1 or min(shape[1:]) < 4:
        raise ValueError(f"shape is {tuple(shape)}; a DC-GAN takes images (C, H, W) with sides of at least 4")
    if width < GROUPS or width % GROUPS:
        raise ValueError(f"width is {width}; a DC-GAN takes a multiple of {GROUPS}")
    found = [(shape[0], shape[1], shape[2])]
    while max(found[-1][1:]) > SMALLEST or len(found) == 1:
        _, h, w = found[-1]
        found.append((width * min(2 ** (len(found) - 1), WIDEST), -(-h // 2), -(-w // 2)))
    return found


class DCGenerator(Network):
    """``DCGenerator((C, H, W))(z (B, latent)) -> (B, C, H, W)`` in [-1, 1].

    Args:
        shape: of one image, sides of at least 4.
        latent: numbers in z.
        width: channels of the largest hidden picture, a multiple of 4; they double with each smaller one.
    """

    def __init__(self, shape: Sequence[int], *, latent: int = 64, width: int = 32) -> None:
        super().__init__()
        if latent < 1:
            raise ValueError(f"latent is {latent}; a generator draws from at least one number")
        self.arguments = {"shape": list(shape), "latent": latent, "width": width}
        self.sizes = _pyramid(shape, width)[::-1]
        self.latent = latent
        self.into = nn.Linear(latent, math.prod(self.sizes[0]))
        self.norms = nn.ModuleList([nn.GroupNorm(GROUPS, c) for c, _, _ in self.sizes[:-1]])
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(a[0], b[0], 4, stride=2, padding=1) for a, b in itertools.pairwise(self.sizes)]
        )

    def forward(self, z: Tensor) -> Tensor:
        h = self.into(z).reshape(-1, *self.sizes[0])
        for norm, up, (_, rows, columns) in zip(self.norms, self.up, self.sizes[1:], strict=True):
            h = up(F.relu(norm(h)))[:, :, :rows, :columns]
        return torch.tanh(h)


class DCDiscriminator(Network):
    """``DCDiscriminator((C, H, W))(x (B, C, H, W)) -> (B,)``, the logit that x is real. Arguments as the generator's."""

    def __init__(self, shape: Sequence[int], *, width: int = 32) -> None:
        super().__init__()
        self.arguments = {"shape": list(shape), "width": width}
        sizes = _pyramid(shape, width)
        self.down = nn.ModuleList([nn.Conv2d(a[0], b[0], 4, stride=2, padding=1) for a, b in itertools.pairwise(sizes)])
        self.out = nn.Linear(math.prod(sizes[-1]), 1)

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for down in self.down:
            h = F.leaky_relu(down(F.pad(h, (0, h.shape[3] % 2, 0, h.shape[2] % 2))), LEAK)
        return self.out(h.flatten(1))[:, 0]
