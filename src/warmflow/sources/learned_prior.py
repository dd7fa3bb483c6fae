"""A learned prior: the start is drawn around a regression's prediction, with a standard deviation of its own at each pixel.

    z ~ latent source,    (mu, log sigma^2) = decode(z),    x0 = mu + scale sigma eps

The field may see z, mu and log sigma, but never eps: given z this is flow matching from N(mu, sigma^2), and the noise prevents
x_t from revealing the data point (see ``blurred``). With scale = 0 sampling starts at the mean; then z is the only source of
randomness, and the flow returns the conditional mean given z.

References:
    LeDiFlow: Learned Distribution-guided Flow Matching to Accelerate Image Generation, Zwick et al., 2025, arXiv 2505.20723
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import Condition, Latents, Source, Start
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class LearnedPrior(Source):
    """Draws starts around the decoded mean of a latent: x0 = mu(z) + scale sigma(z) eps.

    Args:
        latent: source of z (n, d); a ``Sampler`` or a noise source. Its network calls are counted in ``Start.calls``.
        auxiliary: a module with ``decode(z) -> mean, log variance``; its attribute ``latent`` is d.
        shape: shape of one start.
        scale: factor on sigma when starts are drawn. The ``log_sigma`` that the field sees is not scaled.

    Raises:
        ValueError: a negative or infinite scale, or a latent of the wrong size.
    """

    latent: Source
    auxiliary: Latents
    shape: tuple[int, ...]
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.scale < float("inf"):
            raise ValueError(f"scale is {self.scale}; the factor on the prior's standard deviation must be 0 or more")
        if self.latent.shape != (self.auxiliary.latent,):
            raise ValueError(
                f"the latent source draws z of shape {self.latent.shape}, the auxiliary model decodes "
                f"({self.auxiliary.latent},): use the source that was trained for it"
            )

    @property
    def takes(self) -> frozenset[str]:
        return self.latent.takes | {"z"}

    @property
    def label_shares(self) -> Tensor | None:
        return self.latent.label_shares

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
        """The mean mu and log sigma, each (n, *shape), of z (n, d). Raises ValueError if z has another shape."""
        if z.ndim != 2 or z.shape[1] != self.auxiliary.latent:
            raise ValueError(f"z is {tuple(z.shape)}; this prior's latent is (n, {self.auxiliary.latent})")
        weight = next(iter(self.auxiliary.parameters()))
        mean, log_variance = self.auxiliary.decode(z.to(weight.device))
        return mean, log_variance / 2
