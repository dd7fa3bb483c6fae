"""A draft decoded from a latent by a network: the generator of a GAN, or the decoder mean of a variational autoencoder.

    z ~ latent source,        x0 = g(z)

A draft costs one forward pass of a small network. Drafts lie on a surface of the latent's dimension, as those of a mixture of
few components do, so x_t would reveal x1: wrap the source in ``Blurred``.

The latent of an autoencoder need not be N(0, I). The decoder was trained on encoded data only, so a Gaussian mixture fitted to
encoded data gives better samples z than the prior N(0, I) of the encoder.

References:
    From Variational to Deterministic Autoencoders, Ghosh et al., 2019, arXiv 1903.12436, section 4 (density fitted to latents)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise
from warmflow.user_code import evaluating

ROWS = 256
"""Number of drafts decoded at once: a batch of thousands does not fit in the cache."""


@dataclass(frozen=True, eq=False)
class Decoded(Source):
    """Draws starts (n, *shape) from latents.

    Args:
        latent: source of z (n, d).
        network: called as ``network(z) -> (n, *shape)``; ``network.latent`` is d. It counts as one call.
        shape: shape of one start.

    Raises:
        ValueError: the latent source and the network have different latent sizes.
    """

    latent: Source
    network: Any
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.latent.shape != (self.network.latent,):
            raise ValueError(
                f"the latent source draws z of shape {self.latent.shape}, the network takes ({self.network.latent},): "
                "use the latent source that belongs to this network"
            )

    @property
    def takes(self) -> frozenset[str]:
        return self.latent.takes

    @property
    def label_shares(self) -> Tensor | None:
        return self.latent.label_shares

    @torch.no_grad()
    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        inner = self.latent.draw(n, condition, noise=noise.fold("latent"))
        weight = next(iter(self.network.parameters()))
        with evaluating(self.network):
            parts = [self.network(z.to(weight.device)) for z in inner.x0.split(ROWS)] if n else []
        spent = torch.ones(n, dtype=torch.int64)
        return Start(
            torch.cat(parts) if parts else torch.zeros(0, *self.shape),
            dict(inner.condition),
            calls=spent if inner.calls is None else spent + inner.calls.cpu(),
        )
