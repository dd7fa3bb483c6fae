"""Data first: each data point is paired with a draft that the draft model writes near it.

    x1 a data point,      x0 with probability proportional to q(x0) exp(-lambda d(x0, x1)),      d the number of differing
        positions

The targets are exactly the data. The starts are texts of q, but only those near some data point: their distribution is the mean
of these posteriors over the data, not q, so the starts at inference differ from those in training. The difference grows with
lambda: in the limit the start equals the data point. The audit's draft shift measures it. ``channel`` describes how the drafts
are sampled, exactly or by guided particles.

References:
    Step-unrolled Denoising Autoencoders for Text Generation, Savinov et al., 2021, arXiv 2112.06749 (starts made from data)
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
    """Pairs each data point with a draft that ``model`` writes near it.

    The source itself is not sampled; ``model`` stands for it. It is the source if that has few enough states, else an NGram
    fitted to the source's samples. Given tokens of the data are copied.

    Args:
        model: the draft model; without ``lookahead``, an NGram of low order or a MarkovChain.
        strength: lambda in [0, 100], the cost in nats of a token that differs from the data point's; 0 gives independent pairs.
        lookahead: an NGram of order 2 or 3 that guides a ``model`` too large for exact sampling.
        particles: number of weighted particles if ``lookahead`` is given: 1 is guided only, more approach exact sampling.

    Raises:
        ValueError: invalid settings, or a model too large to be used without ``lookahead``.
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
