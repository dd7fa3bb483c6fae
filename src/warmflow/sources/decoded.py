"""A draft that a network makes of a latent: the generator of a GAN, or the decoder's mean of a variational autoencoder.

    z from the latent source,    x0 = g(z)

One pass of a small network. Drafts lie on a surface of the latent's dimension, as those of a mixture of few components do: wrap
the source in ``Blurred``, or x_t tells x1.

An autoencoder's latent need not be N(0, I): its decoder has only seen what the encoder says, so a Gaussian mixture fitted to
encoded data draws better z than the N(0, I) that the encoder was held to.

References:
    From Variational to Deterministic Autoencoders, Ghosh et al., 2019, arXiv 1903.12436, section 4 (a law fitted to latents)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise

ROWS = 256
"""Drafts made at once: a batch of thousands leaves the cache."""


@dataclass(frozen=True, eq=False)
class Decoded(Source):
    """Starts (n, *shape) from latents.

    Args:
        latent: draws z (n, d).
        network: called ``network(z) -> (n, *shape)``; ``network.latent`` is d. Counted as one call.
        shape: of one start.

    Raises:
        ValueError: a latent source of another size than the network's.
    """

    latent: Source
    network: Any
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.latent.shape != (self.network.latent,):
            raise ValueError(
                f"the latent source draws z of shape {self.latent.shape}, the network takes ({self.network.latent},): "
                "give the source that belongs to it"
            )

    @property
    def takes(self) -> frozenset[str]:  # type: ignore[override]
        return self.latent.takes

    @torch.no_grad()
    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        inner = self.latent.draw(n, condition, noise=noise.fold("latent"))
        weight = next(iter(self.network.parameters()))
        parts = (
            [self.network(z.to(weight.device)) for z in inner.x0.split(ROWS)] if n else [torch.zeros(0, *self.shape)]
        )
        spent = torch.ones(n, dtype=torch.int64)
        return Start(
            torch.cat(parts), dict(inner.condition), calls=spent if inner.calls is None else spent + inner.calls.cpu()
        )
