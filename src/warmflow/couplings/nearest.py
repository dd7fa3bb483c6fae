"""Nearest neighbours, in both directions. Each keeps one marginal and bends the other.

Draft -> nearest datum (the recipe of the warm-start paper for images): the law of the targets becomes that of NN(draft).
Modes the draft misses are lost, and training points are copied. Datum -> nearest draft: the data's law is kept, but
the drafts trained on are a biased pick of those met at inference.

References:
    Warm-Start Flow Matching for Guaranteed Fast Text/Image Generation, Minyoung Kim, 2026, arXiv 2603.19360
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from warmflow.contracts import Batch, Coupling, Pair, Source
from warmflow.couplings.base import permuted, place, starts
from warmflow.noise import Noise


@dataclass(frozen=True)
class NearestDatum(Coupling):
    """Each start goes to its nearest datum of the block; a datum may be chosen often or never."""

    preserves: ClassVar[frozenset[str]] = frozenset({"source"})

    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        start = starts(batch, source, noise=noise)
        rows = torch.cdist(place(start), batch.x1.flatten(1).float()).argmin(1)
        chosen = batch[rows]
        return Pair(permuted(start, torch.arange(len(start)), chosen), chosen.x1, chosen.index)


@dataclass(frozen=True)
class NearestDraft(Coupling):
    """Each datum takes its nearest start of the block; a start may be taken often or never."""

    preserves: ClassVar[frozenset[str]] = frozenset({"data"})

    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        start = starts(batch, source, noise=noise)
        rows = torch.cdist(batch.x1.flatten(1).float(), place(start)).argmin(1)
        return Pair(permuted(start, rows, batch), batch.x1, batch.index)
