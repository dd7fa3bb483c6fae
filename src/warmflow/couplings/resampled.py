"""Data first: for each datum a draft that the draft model writes near it.

    x1 a datum,        x0 in proportion to q(x0) exp(-lambda d(x0, x1)),        d the number of positions that differ

The targets are exactly the data. The starts are texts of q, but those near some datum: their law is the mean of these
posteriors over the data, not q, and a flow trained on them meets other starts at inference. The larger lambda, the more so:
in the limit the start is the datum. The audit's draft shift measures it. How the draws are made, exactly or by guided
particles, is told in ``channel``.

References:
    Non-autoregressive generation from drafts drawn given the data: Step-unrolled Denoising Autoencoders for Text Generation,
        Savinov et al., 2021, arXiv 2112.06749 (starts made from data)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from warmflow.contracts import Batch, Coupling, Pair, Source
from warmflow.couplings.channel import drawn_near, guide
from warmflow.couplings.tokens import Writer, start_at, tokens_of
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class Resampled(Coupling):
    """Each datum with a draft that ``model`` writes near it.

    The source itself is not drawn from: ``model`` stands for it, and is the source where that has the tables it needs, else
    an NGram fitted to its draws. Tokens that the data name as given are written as they are.

    Args:
        model: the draft model; with no lookahead an NGram of low order or a MarkovChain.
        strength: lambda in [0, 100], what a token unlike the datum's costs in nats; 0 is independent pairs.
        lookahead: an NGram of order 2 or 3 that guides a ``model`` too large for exact draws.
        particles: texts weighted against each other where there is a lookahead: 1 is guided, many approach exactness.

    Raises:
        ValueError: impossible settings, or a model too large without a lookahead.
    """

    model: Writer
    strength: float
    lookahead: Writer | None = None
    particles: int = 1
    preserves: ClassVar[frozenset[str]] = frozenset({"data"})

    def __post_init__(self) -> None:
        guide(self.model, self.strength, self.lookahead, self.particles)

    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        x1 = near = tokens_of(batch)
        if source.shape != x1.shape[1:]:
            raise ValueError(f"the source draws texts of shape {source.shape}, the data have {tuple(x1.shape[1:])}")
        condition = dict(batch.condition)
        given, fixed = condition.pop("given", None), None
        if given is not None:
            near, fixed = torch.where(given >= 0, given, x1), given >= 0
        x0 = drawn_near(
            self.model,
            near,
            self.strength,
            noise=noise.fold("resampled"),
            lookahead=self.lookahead,
            particles=self.particles,
            fixed=fixed,
        )
        return Pair(start_at(x0, condition, source, noise=noise, fixed=fixed), batch.x1, batch.index)
