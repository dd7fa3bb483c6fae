"""Nearest neighbours in either direction. Each preserves one marginal and changes the other.

Draft -> nearest data point (used by the warm-start paper for images): the distribution of the targets becomes that of NN(draft).
Modes that the draft misses are lost, and training points are copied. Data point -> nearest draft: the data distribution is
preserved, but the drafts seen in training are a biased selection of those drawn at inference.

A capacity limits how often a data point is chosen. Without it a few data points receive most of the drafts, more so in higher
dimensions. With a capacity, the pairs are those of the stable matching (``stable``), which needs no full distance matrix.

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
from warmflow.number_checks import is_whole


def nearest(x: Tensor, y: Tensor) -> Tensor:
    """The nearest row of y (m, d) for each row of x (n, d), as (n,) int64, without a full distance matrix."""
    parts = x.split(max(1, ENTRIES // max(1, len(y))))
    return torch.cat([torch.cdist(part, y).argmin(1) for part in parts])


@dataclass(frozen=True)
class NearestDatum(Coupling):
    """Pairs each start with its nearest data point of the block; a data point may be used any number of times, up to
    ``capacity``.

    Args:
        capacity: how often a data point may be used in a block; None for no limit. The nearest start and data point are paired
            first, then the nearest among the rest, and so on. No start is nearer to another data point than to its own, unless
            that data point is full and all its starts are nearer still. Capacity 1 uses every data point exactly once; this is
            not the assignment, which has a lower total cost.
        space: a function of starts and data (n, *S), such as ``Principal``, in whose values distances are measured.

    Raises:
        ValueError: a capacity below 1.
    """

    capacity: int | None = field(default=None, metadata=LATER)
    space: Space | None = field(default=None, metadata=LATER)
    preserves: ClassVar[frozenset[str]] = frozenset({"source"})

    def __post_init__(self) -> None:
        c = self.capacity
        if c is not None and not is_whole(c):
            raise ValueError(f"capacity is {c!r}; it must be a whole number of at least 1, or None for no limit")

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
    """Pairs each data point with its nearest start of the block; a start may be used any number of times. ``space`` as in
    ``NearestDatum``.
    """

    space: Space | None = field(default=None, metadata=LATER)
    preserves: ClassVar[frozenset[str]] = frozenset({"data"})

    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        start = starts(batch, source, noise=noise)
        rows = nearest(seen(batch.x1, self.space).float(), place(start, self.space))
        return Pair(permuted(start, rows, batch), batch.x1, batch.index)
