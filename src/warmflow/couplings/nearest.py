"""Nearest neighbours, in both directions. Each keeps one marginal and bends the other.

Draft -> nearest datum (the recipe of the warm-start paper for images): the law of the targets becomes that of NN(draft).
Modes the draft misses are lost, and training points are copied. Datum -> nearest draft: the data's law is kept, but
the drafts trained on are a biased pick of those met at inference.

A capacity bounds how often a datum is chosen: without it few data take most of the drafts, the more so the more dimensions.
The pairs are then those of the stable matching (``stable``), which needs no matrix of all distances.

References:
    Warm-Start Flow Matching for Guaranteed Fast Text/Image Generation, Minyoung Kim, 2026, arXiv 2603.19360
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from warmflow.contracts import Batch, Coupling, Pair, Source
from warmflow.couplings.base import LATER, Space, permuted, place, seen, starts
from warmflow.couplings.stable import ENTRIES, stable
from warmflow.noise import Noise


def nearest(x: Tensor, y: Tensor) -> Tensor:
    """(n,) int64: for each row of x (n, d) the nearest row of y (m, d), without a matrix of all distances."""
    parts = x.split(max(1, ENTRIES // max(1, len(y))))
    return torch.cat([torch.cdist(part, y).argmin(1) for part in parts])


@dataclass(frozen=True)
class NearestDatum(Coupling):
    """Each start goes to its nearest datum of the block; a datum may be chosen often or never.

    Args:
        capacity: how often a datum may be chosen in a block; None for any number. The nearest start and datum are joined
            first, then the nearest of what is left, and so on: no start is nearer to a datum than to its own, unless that
            datum is full of starts that are nearer still. Capacity 1 uses every datum once; it is not the assignment, whose
            total cost is less.
        space: measures distances by what it makes of starts and data (n, *S), such as ``Principal``.

    Raises:
        ValueError: a capacity below 1.
    """

    capacity: int | None = field(default=None, metadata=LATER)
    space: Space | None = field(default=None, metadata=LATER)
    preserves: ClassVar[frozenset[str]] = frozenset({"source"})

    def __post_init__(self) -> None:
        c = self.capacity
        if c is not None and (isinstance(c, bool) or not isinstance(c, int) or c < 1):
            raise ValueError(f"capacity is {c!r}; a datum may be chosen a whole number of times, at least 1, or None")

    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        start = starts(batch, source, noise=noise)
        x0, x1 = place(start, self.space), seen(batch.x1, self.space).float()
        if self.capacity is None:
            rows = nearest(x0, x1)
        else:
            rows = stable(x0, x1, x1.new_zeros(len(x1)), torch.full((len(x1),), self.capacity))
        chosen = batch[rows]
        return Pair(permuted(start, torch.arange(len(start)), chosen), chosen.x1, chosen.index)


@dataclass(frozen=True)
class NearestDraft(Coupling):
    """Each datum takes its nearest start of the block; a start may be taken often or never. ``space`` as of ``NearestDatum``."""

    space: Space | None = field(default=None, metadata=LATER)
    preserves: ClassVar[frozenset[str]] = frozenset({"data"})

    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        start = starts(batch, source, noise=noise)
        rows = nearest(seen(batch.x1, self.space).float(), place(start, self.space))
        return Pair(permuted(start, rows, batch), batch.x1, batch.index)
