"""The two networks of a DCGAN: a generator from a latent to an image by strided convolutions, and a discriminator from an image
to a logit.

    generator       z -> linear -> (c_L, h_L, w_L) -> ... relu(norm(up(h))) ... -> tanh(up(h)),    side h_k = ceil(h_{k-1} / 2)
    discriminator   x -> ... leaky(down(h)) ... -> linear -> one logit

Sides are halved, rounded up, until none is longer than 7 pixels; the generator crops the pixels that rounding added. The sides
are 28, 14, 7, or 8, 4, or 64, ..., 4.

The paper uses batch normalisation. Here the generator uses group normalisation, and the discriminator none. Batch statistics
would make each row depend on the others: a sample would depend on its batch, two processes would compute another loss than one,
and the averaged weights would be used with the statistics of other weights. The discriminator is kept smooth by the penalty of
the objective (``objectives.adversarial``).

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
"""The smallest feature map has no side longer than this."""
WIDEST = 8
"""The maximum number of channels, as a multiple of the width."""
GROUPS = 4
LEAK = 0.2


def _pyramid(shape: Sequence[int], width: int) -> list[tuple[int, int, int]]:
    """(C, H, W) of the image and of each smaller feature map; raises ValueError for an invalid shape or width."""
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
        shape: shape of one image, sides of at least 4.
        latent: number of entries of z.
        width: channels of the largest hidden feature map, a multiple of 4; they double with each smaller one.

    Raises:
        ValueError: an invalid shape, latent or width.
    """

    def __init__(self, shape: Sequence[int], *, latent: int = 64, width: int = 32) -> None:
        super().__init__()
        if latent < 1:
            raise ValueError(f"latent is {latent}; it must be at least 1")
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
    """``DCDiscriminator((C, H, W))(x (B, C, H, W)) -> (B,)``: the logit that x is real. Arguments as in ``DCGenerator``."""

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
