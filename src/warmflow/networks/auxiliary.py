"""The auxiliary model of a learned prior: an encoder to a small latent, and a decoder to a mean and a variance for every pixel.

    q(z | y) = N(m(y), diag e^2(y)),        p(x0 | z) = N(mu(z), diag sigma^2(z))

Both are residual MLPs on flattened samples. The logarithm l of sigma^2 is kept between two bounds by softplus. A hard clamp has
no gradient outside the bounds, so a pixel that once reached a bound would stay there:

    l = low + softplus(high - softplus(high - raw) - low)

References:
    LeDiFlow: Learned Distribution-guided Flow Matching to Accelerate Image Generation, Zwick et al., 2025, arXiv 2505.20723
    Auto-Encoding Variational Bayes, Kingma, Welling, 2013, arXiv 1312.6114
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from warmflow.devices import doubled
from warmflow.networks.base import Network

LOW, HIGH = -10.0, 2.0
"""Bounds of log sigma^2 for data of about unit scale: standard deviations from 0.0067 to 2.7."""


class _Layer(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.into, self.out = nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.out(self.dropout(F.silu(self.into(self.norm(h)))))


def _perceptron(into: int, out: int, width: int, depth: int, dropout: float) -> nn.Sequential:
    layers = [_Layer(width, dropout) for _ in range(depth)]
    return nn.Sequential(nn.Linear(into, width), *layers, nn.LayerNorm(width), nn.Linear(width, out))


class Auxiliary(Network):
    """``encode(y (B, *shape)) -> mean, log e, (B, latent) each``; ``decode(z) -> mu, log sigma^2, (B, *shape) each``.

    Args:
        shape: shape of one sample.
        latent: number of entries of z.
        low, high: bounds of log sigma^2.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        latent: int = 8,
        width: int = 256,
        depth: int = 2,
        dropout: float = 0.0,
        low: float = LOW,
        high: float = HIGH,
    ) -> None:
        super().__init__()
        self.arguments = {
            "shape": list(shape), "latent": latent, "width": width, "depth": depth, "dropout": dropout, "low": low,
            "high": high,
        }  # fmt: skip
        self.shape, self.latent, self.low, self.high = tuple(shape), latent, low, high
        size = math.prod(shape)
        self.encoder = _perceptron(size, 2 * latent, width, depth, dropout)
        self.decoder = _perceptron(latent, 2 * size, width, depth, dropout)

    def encode(self, y: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_spread = self.encoder(y.flatten(1)).chunk(2, 1)
        return mean, log_spread

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = self.decoder(z).chunk(2, 1)
        shape = (len(z), *self.shape)
        return mean.reshape(shape), self.bounded(raw).reshape(shape)

    def forward(self, z: Tensor) -> Tensor:
        """The decoded mean mu (B, *shape) of z (B, latent)."""
        return self.decode(z)[0]

    def bounded(self, raw: Tensor) -> Tensor:
        """Maps the raw output to log sigma^2 between the bounds."""
        below = self.high - F.softplus(self.high - raw)
        return self.low + F.softplus(below - self.low)

    @torch.no_grad()
    def clamped(self, log_variance: Tensor) -> float:
        """The share of entries of log sigma^2 whose raw value is outside the bounds, where less than half of the gradient
        passes.
        """
        outside = (log_variance < self.low + math.log(2)) | (log_variance > self.high - math.log(2))
        return float(doubled(outside).mean())
