"""Reflow: each start is paired with the sample that a trained flow generates from it.

    x0 from the source,    x1 = the end point of the flow's trajectory from x0

A flow trained on such pairs has straighter paths, so it needs fewer steps (rectified flow). The source distribution is preserved;
the targets have the distribution that the flow generates instead of the data distribution.

References:
    Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified Flow, Liu et al., 2022, arXiv 2209.03003
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from warmflow.contracts import Batch, Coupling, Pair, Samples, Source
from warmflow.couplings.base import starts
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class Walked(Coupling):
    """Pairs each start with the flow's sample from it.

    Args:
        flow: a sampler, called as ``flow(start=start, steps=steps)``.
        steps: number of sampling steps.
    """

    flow: Callable[..., Samples]
    steps: int

    preserves: ClassVar[frozenset[str]] = frozenset({"source"})

    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        start = starts(batch, source, noise=noise)
        return Pair(start, self.flow(start=start, steps=self.steps).x.to(batch.x1.device), None)
