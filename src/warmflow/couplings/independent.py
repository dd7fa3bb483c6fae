"""Independent pairs: any start with any data point. Preserves both marginals and does not straighten paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from warmflow.contracts import Batch, Coupling, Pair, Source
from warmflow.couplings.base import starts
from warmflow.noise import Noise


@dataclass(frozen=True)
class Independent(Coupling):
    """p(x0, x1) = p(x0) p(x1)."""

    preserves: ClassVar[frozenset[str]] = frozenset({"source", "data"})
    blind: ClassVar[bool] = True

    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        return Pair(starts(batch, source, noise=noise), batch.x1, batch.index)
