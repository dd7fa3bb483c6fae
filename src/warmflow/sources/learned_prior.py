"""A learned prior: where a sample starts is drawn around a regression's guess, with a spread of its own at every pixel.

    z from the latent source,    (mu, log sigma^2) = decode(z),    x0 = mu + scale sigma eps

The field may see z, mu and log sigma, never eps: given z this is flow matching from N(mu, sigma^2), whose noise keeps x_t from
giving the datum away (see ``blurred``). Scale 0 starts at the mean: then nothing is left but what z tells, and the flow
returns the conditional mean.

References:
    LeDiFlow: Learned Distribution-guided Flow Matching to Accelerate Image Generation, Zwick et al., 2025, arXiv 2505.20723
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class LearnedPrior(Source):
    """Starts around the decoded mean of a latent.

    Args:
        latent: draws z (n, d); a ``Sampler`` is one, noise too. Its network calls are the start's.
        auxiliary: a module with ``decode(z) -> mean, log variance`` and ``latent``, the size d.
        shape: of one start.
        scale: multiplies sigma where starts are drawn; what the field sees of sigma is not scaled.
    """

    latent: Source
    auxiliary: Any
    shape: tuple[int, ...]
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.scale < float("inf"):
            raise ValueError(f"scale is {self.scale}; the prior's standard deviation is multiplied by 0 or more")
        if self.latent.shape != (self.auxiliary.latent,):
            raise ValueError(
                f"the latent source draws z of shape {self.latent.shape}, the auxiliary model decodes "
                f"({self.auxiliary.latent},): give the source that was trained for it"
            )

    @property
    def takes(self) -> frozenset[str]:  # type: ignore[override]
        return self.latent.takes | {"z"}

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        given = dict(condition or {})
        calls = None
        if "z" not in given:
            inner = self.latent.draw(n, given, noise=noise.fold("latent"))
            given, calls = {**inner.condition, "z": inner.x0}, inner.calls
        mean, log_sigma = self.decoded(given["z"])
        eps = noise.normal("prior", *self.shape).to(mean.device)
        x0 = mean + self.scale * log_sigma.exp() * eps
        return Start(x0, {**given, "mean": mean, "log_sigma": log_sigma}, calls=calls)

    @torch.no_grad()
    def decoded(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """mu and log sigma, (n, *shape) each, of z (n, d); ValueError for z of another shape."""
        if z.ndim != 2 or z.shape[1] != self.auxiliary.latent:
            raise ValueError(f"z is {tuple(z.shape)}; this prior's latent is (n, {self.auxiliary.latent})")
        weight = next(iter(self.auxiliary.parameters()))
        mean, log_variance = self.auxiliary.decode(z.to(weight.device))
        return mean, log_variance / 2
