"""The encoder as a coupling: a datum is paired with a start drawn from the latent that it is encoded to.

    z ~ q(z | y),    x0 ~ N(mu(z), sigma^2(z)),    x1 = y

The data's law is kept exactly. The source's is kept where the encoded z have the law of the sampled ones: compare the two
(``metrics.audit.auc``), for this is what the flow cannot mend.

References:
    LeDiFlow: Learned Distribution-guided Flow Matching to Accelerate Image Generation, Zwick et al., 2025, arXiv 2505.20723
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from warmflow.contracts import Batch, Coupling, Pair, Source
from warmflow.couplings.base import starts
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class Encoded(Coupling):
    """Args: auxiliary: a module with ``encode(y) -> mean, log spread`` of its latent."""

    auxiliary: Any

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
        """A draw (n, d) of q(z | y) for each y (n, *S)."""
        mean, log_spread = self.auxiliary.encode(y)
        return mean + log_spread.exp() * noise.normal("eps", mean.shape[1]).to(mean.device)
