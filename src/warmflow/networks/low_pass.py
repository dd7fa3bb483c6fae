"""A fixed encoder and decoder for a learned prior: the datum's own low frequencies, nothing to train.

    z = means over f x f pixels + spread eps,     mu(z) = z at the image's size (bilinear),     sigma: the residual's, by pixel

What is left for the flow is the detail. ``spread`` blurs z a little, so that a sampled z that is slightly off is one that the
flow has met (conditioning augmentation).

References:
    Cascaded Diffusion Models for High Fidelity Image Generation, Ho et al., 2021, arXiv 2106.15282 (conditioning augmentation)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from warmflow.networks.base import Network
from warmflow.noise import Noise

FLOOR = 1e-4
"""The least variance of a pixel's residual: where the border is always white there is nothing to spread."""


class LowPass(Network):
    """``encode(y (B, C, H, W)) -> mean, log spread, (B, latent) each``; ``decode(z) -> mu, log sigma^2, (B, C, H, W) each``.

    Args:
        shape: (C, H, W) of one image.
        factor: f, pixels a side that one number stands for; H and W multiples of it.
        spread: the latent's own noise, in units of the pixels.
    """

    log_variance: Tensor

    def __init__(self, shape: Sequence[int], *, factor: int = 4, spread: float = 0.1) -> None:
        super().__init__()
        if len(shape) != 3 or factor < 2 or any(side % factor for side in shape[1:]):
            raise ValueError(
                f"shape is {tuple(shape)}; a low-pass of factor {factor} takes images with sides it divides, factor >= 2"
            )
        if not spread > 0:
            raise ValueError(f"spread is {spread}; the latent's own noise is positive")
        self.arguments = {"shape": list(shape), "factor": factor, "spread": spread}
        self.shape, self.factor, self.spread = tuple(shape), factor, spread
        self.small = (shape[0], shape[1] // factor, shape[2] // factor)
        self.latent = math.prod(self.small)
        self.register_buffer("log_variance", torch.zeros(self.shape))
        self.scale = torch.nn.Parameter(torch.ones(()), requires_grad=False)  # a module that stands on a device

    @staticmethod
    def fit(y: Tensor, factor: int = 4, spread: float = 0.1, seed: int = 0) -> LowPass:
        """Sigma of each pixel from the training images y (n, C, H, W), at draws of z."""
        network = LowPass(tuple(y.shape[1:]), factor=factor, spread=spread)
        total = torch.zeros(network.shape, dtype=torch.float64)
        for at in range(0, len(y), 4096):
            part = y[at : at + 4096]
            mean, log_spread = network.encode(part)
            z = mean + log_spread.exp() * Noise.of(seed, len(part), at).normal("z", network.latent)
            total += (part - network.decode(z)[0]).double().square().sum(0)
        network.log_variance.copy_((total / len(y)).clamp(min=FLOOR).log())
        return network

    def encode(self, y: Tensor) -> tuple[Tensor, Tensor]:
        mean = F.avg_pool2d(y, self.factor).flatten(1)
        return mean, torch.full_like(mean, math.log(self.spread))

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        mean = F.interpolate(z.reshape(-1, *self.small), size=self.shape[1:], mode="bilinear", align_corners=False)
        return mean, self.log_variance.expand(len(z), *self.shape)

    @torch.no_grad()
    def clamped(self, log_variance: Tensor) -> float:
        """The share of pixels whose residual is at the floor."""
        return float((log_variance <= math.log(FLOOR) + 1e-3).double().mean())
