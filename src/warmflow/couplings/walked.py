"""What a trained flow makes of a start is its datum: the pairs of reflow.

    x0 from the source,    x1 = the flow's walk from x0

Trained on such pairs a flow bends less, and its first step goes further (rectified flow). The starts' law is kept; the data's
is the flow's own.

References:
    Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified Flow, Liu et al., 2022, arXiv 2209.03003
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from warmflow.contracts import Batch, Coupling, Pair, Source
from warmflow.couplings.base import starts
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class Walked(Coupling):
    """Args: flow: a sampler, called ``flow(start=start, steps=steps)``; steps: how many it takes."""

    flow: Any
    steps: int

    preserves: ClassVar[frozenset[str]] = frozenset({"source"})

    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        start = starts(batch, source, noise=noise)
        return Pair(start, self.flow(start=start, steps=self.steps).x.to(batch.x1.device), None)
