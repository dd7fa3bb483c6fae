"""A fixed encoder and decoder for a learned prior: the low frequencies of the data point, without training.

    z = means over f x f pixels + spread eps,    mu(z) = z upsampled to the image's size (bilinear),    sigma of the residual,
        per pixel

The flow then generates the details. ``spread`` adds a little noise to z, so that the flow has been trained near a sampled z
that is slightly off (conditioning augmentation).

References:
    Cascaded Diffusion Models for High Fidelity Image Generation, Ho et al., 2021, arXiv 2106.15282 (conditioning augmentation)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from warmflow.devices import doubled
from warmflow.networks.base import Network
from warmflow.noise import Noise

FLOOR = 1e-4
"""The minimum variance of a pixel's residual, needed where pixels are constant, such as a white border."""


class LowPass(Network):
    """``encode(y (B, C, H, W)) -> mean, log spread, (B, latent) each``; ``decode(z) -> mu, log sigma^2, (B, C, H, W) each``.

    Args:
        shape: (C, H, W) of one image.
        factor: f, the side in pixels of the blocks that are averaged; H and W must be multiples of it.
        spread: standard deviation of the latent's noise, in units of the pixels.

    Raises:
        ValueError: a shape that the factor does not divide, or a spread that is not positive.
    """

    log_variance: Tensor

    def __init__(self, shape: Sequence[int], *, factor: int = 4, spread: float = 0.1) -> None:
        super().__init__()
        if len(shape) != 3 or factor < 2 or any(side % factor for side in shape[1:]):
            raise ValueError(
                f"shape is {tuple(shape)}; a low-pass of factor {factor} takes images whose sides are multiples of it, "
                "factor >= 2"
            )
        if not spread > 0:
            raise ValueError(f"spread is {spread}; the standard deviation of the latent's noise must be positive")
        self.arguments = {"shape": list(shape), "factor": factor, "spread": spread}
        self.shape, self.factor, self.spread = tuple(shape), factor, spread
        self.small = (shape[0], shape[1] // factor, shape[2] // factor)
        self.latent = math.prod(self.small)
        self.register_buffer("log_variance", torch.zeros(self.shape))
        self.scale = torch.nn.Parameter(torch.ones(()), requires_grad=False)  # its device is the module's device

    @staticmethod
    def fit(y: Tensor, factor: int = 4, spread: float = 0.1, seed: int = 0) -> LowPass:
        """Computes sigma for each pixel from the training images y (n, C, H, W), with samples of z."""
        network = LowPass(tuple(y.shape[1:]), factor=factor, spread=spread)
        total = torch.zeros(network.shape, dtype=torch.float64)
        for at in range(0, len(y), 4096):
            part = y[at : at + 4096]
            mean, log_spread = network.encode(part)
            z = mean + log_spread.exp() * Noise.of(seed, len(part), at).normal("z", network.latent)
            total += doubled(part - network.decode(z)[0]).square().sum(0)
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
        """The share of pixels whose residual variance is at the floor."""
        return float(doubled(log_variance <= math.log(FLOOR) + 1e-3).mean())
