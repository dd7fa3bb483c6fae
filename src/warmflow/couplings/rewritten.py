"""Draft first: each draft is rewritten by a stronger model, and the rewritten text is the target of the flow.

    x0 ~ source,      x1 with probability proportional to p(x1) exp(-lambda d(x1, x0)),      d the number of differing positions

The starts have exactly the distribution met at inference. The targets are not data: they are texts of p near a draft, as fluent
as p and lambda allow. A small lambda gives texts of p that keep little of the draft; a large lambda leaves the draft unchanged.
Draft and target have the same length and stay aligned position by position, as a mixture path requires. ``channel`` describes
how the targets are sampled, exactly or by guided particles.

References:
    Warm-Start Flow Matching for Guaranteed Fast Text/Image Generation, Minyoung Kim, 2026, arXiv 2603.19360 (drafts
        rewritten by a large language model)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from warmflow.contracts import Batch, Coupling, Pair, Source
from warmflow.couplings.base import starts
from warmflow.couplings.channel import drawn_near, guide
from warmflow.couplings.tokens import Writer, tokens_at, tokens_of
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class Rewritten(Coupling):
    """Pairs each of the source's samples with a text that ``model`` writes near it.

    Only the size of the batch and the conditions that the source takes are used. The targets are not rows of the batch, so
    ``index`` is None and the rows' other conditions are dropped. Fixed positions of a start are not changed.

    Args:
        model: the stronger model, with the source's vocabulary; without ``lookahead``, an NGram of low order or a MarkovChain.
        strength: lambda in [0, 100], the cost of a changed token in nats.
        lookahead: an NGram of order 2 or 3 that guides a ``model`` too large for exact sampling.
        particles: number of weighted particles if ``lookahead`` is given: 1 is guided only, more approach exact sampling.

    Raises:
        ValueError: invalid settings, or a model too large to be used without ``lookahead``.
    """

    model: Writer
    strength: float
    lookahead: Writer | None = None
    particles: int = 1
    preserves: ClassVar[frozenset[str]] = frozenset({"source"})

    def __post_init__(self) -> None:
        guide(self.model, self.strength, self.lookahead, self.particles)

    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        tokens_of(batch)
        start = starts(batch, source, noise=noise)
        own = {k: v for k, v in start.condition.items() if k in source.takes or k not in batch.condition}
        start = replace(start, condition=own)
        x1 = drawn_near(
            self.model,
            tokens_at(start),
            self.strength,
            noise=noise.fold("rewritten"),
            lookahead=self.lookahead,
            particles=self.particles,
            fixed=start.fixed,
        )
        return Pair(start, x1)
