"""Draft first: each draft is rewritten by a stronger model, and the rewriting is what the flow is to reach.

    x0 ~ the source,        x1 in proportion to p(x1) exp(-lambda d(x1, x0)),        d the number of positions that differ

The starts are exactly those met at inference. The targets are not the data's: they are texts of p near a draft, as fluent as
p and lambda allow. A small lambda gives texts of p that keep little of the draft, a large one leaves the draft as it is.
Draft and target have one length and stay aligned position by position, which a mixture path needs. How the draws are made,
exactly or by guided particles, is told in ``channel``.

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
    """Each of the source's draws with a text that ``model`` writes near it.

    Of the batch only its size is used, and those conditions that the source's law depends on: the targets are not its rows,
    so ``index`` is None and the rows' other conditions stay behind. Fixed positions of a start are left as they are.

    Args:
        model: the stronger model, of the source's vocabulary; with no lookahead an NGram of low order or a MarkovChain.
        strength: lambda in [0, 100], what a changed token costs in nats.
        lookahead: an NGram of order 2 or 3 that guides a ``model`` too large for exact draws.
        particles: texts weighted against each other where there is a lookahead: 1 is guided, many approach exactness.

    Raises:
        ValueError: impossible settings, or a model too large without a lookahead.
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
