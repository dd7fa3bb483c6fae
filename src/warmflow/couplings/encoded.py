"""The encoder as a coupling: a data point is paired with a start drawn from the latent to which it is encoded.

    z ~ q(z | y),    x0 ~ N(mu(z), sigma^2(z)),    x1 = y

The data distribution is preserved exactly. The source distribution is preserved if encoded latents z have the same distribution
as sampled ones. Compare the two (``metrics.audit.auc``), because the flow cannot correct a difference.

References:
    LeDiFlow: Learned Distribution-guided Flow Matching to Accelerate Image Generation, Zwick et al., 2025, arXiv 2505.20723
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from warmflow.contracts import Batch, Coupling, Latents, Pair, Source
from warmflow.couplings.base import starts
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class Encoded(Coupling):
    """Pairs each data point y with a start given z ~ q(z | y).

    Args:
        auxiliary: a module with ``encode(y) -> mean, log standard deviation`` of the latent.

    Raises:
        ValueError: the source does not take "z".
    """

    auxiliary: Latents

    preserves: ClassVar[frozenset[str]] = frozenset({"data"})

    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        if "z" not in source.takes:
            raise ValueError(
                f"the coupling Encoded gives a latent z, which {type(source).__name__} does not take: use LearnedPrior"
            )
        z = self.encoded(batch.x1, noise=noise.fold("z"))
        known = Batch(batch.x1, {**batch.condition, "z": z}, batch.index, batch.start)
        return Pair(starts(known, source, noise=noise), batch.x1, batch.index)

    @torch.no_grad()
    def encoded(self, y: Tensor, *, noise: Noise) -> Tensor:
        """A sample (n, d) of q(z | y) for each y (n, *S)."""
        mean, log_spread = self.auxiliary.encode(y)
        return mean + log_spread.exp() * noise.normal("eps", mean.shape[1]).to(mean.device)
