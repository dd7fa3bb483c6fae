"""Couplings of tokens by Hamming distance: the nearest data point, the nearest draft, and the optimal assignment.

    d(a, b) = sum over positions i of 1{a^i != b^i}

A mixture path does not change a position at which the start and the data point agree, so d counts the positions that a flow has
to decide. Each coupling preserves and changes the same marginals as its counterpart for floats.

Hamming distances are integers, and many are equal. Ties are broken at random: choosing the first in the order of the block would
select it far more often than its equals.

References:
    Warm-Start Flow Matching for Guaranteed Fast Text/Image Generation, Minyoung Kim, 2026, arXiv 2603.19360 (each draft
        to its nearest data point)
    Multisample Flow Matching, Pooladian et al., 2023, arXiv 2304.14772 (assignment of blocks)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from warmflow.contracts import Batch, Coupling, Pair, Source
from warmflow.couplings.base import permuted, starts
from warmflow.couplings.tokens import tokens_at, tokens_of
from warmflow.noise import Noise

ENTRIES = 2**20
"""Number of distances in a block: about what fits in the cache."""


def hamming(a: Tensor, b: Tensor) -> Tensor:
    """The number of positions (n, m) int32 at which the rows of a (n, L) and b (m, L) differ.

    Computed position by position, in blocks of rows: n m L comparisons, for any vocabulary.

    Raises:
        ValueError: texts of different lengths.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(
            f"a and b are {tuple(a.shape)} and {tuple(b.shape)}; the texts to compare must have one length"
        )
    out = torch.zeros(len(a), len(b), dtype=torch.int32, device=a.device)
    kind = torch.int16 if _largest(a, b) < 2**15 else torch.int64  # small integers compare faster
    a, columns = a.to(kind), b.to(a.device, kind).T.contiguous()
    height = max(1, ENTRIES // max(1, len(b)))
    for first in range(0, len(a), height):
        block = out[first : first + height]
        for i, column in enumerate(columns):
            block += a[first : first + height, i, None] != column
    return out


def _largest(*tables: Tensor) -> int:
    return max([int(x.abs().max()) for x in tables if x.numel()], default=0)


def _nearest(distance: Tensor, noise: Noise) -> Tensor:
    """The column (n,) int64 of the smallest entry of each row of integers (n, m); ties are broken at random."""
    rows, height = [torch.empty(0, dtype=torch.int64, device=distance.device)], max(1, ENTRIES // distance.shape[1])
    for first in range(0, len(distance), height):
        part = slice(first, first + height)
        tie = noise[part].uniform("tie", distance.shape[1]).to(distance.device)
        rows.append((distance[part] + tie).argmin(1))
    return torch.cat(rows)


@dataclass(frozen=True)
class NearestDatumHamming(Coupling):
    """Pairs each start with a data point of the block at the smallest Hamming distance; a data point may be used any number of
    times.
    """

    preserves: ClassVar[frozenset[str]] = frozenset({"source"})

    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        x1, start = tokens_of(batch), starts(batch, source, noise=noise)
        chosen = batch[_nearest(hamming(tokens_at(start), x1), noise.fold("nearest"))]
        return Pair(permuted(start, torch.arange(len(start)), chosen), chosen.x1, chosen.index)


@dataclass(frozen=True)
class NearestDraftHamming(Coupling):
    """Pairs each data point with a start of the block at the smallest Hamming distance; a start may be used any number of
    times.
    """

    preserves: ClassVar[frozenset[str]] = frozenset({"data"})

    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        x1, start = tokens_of(batch), starts(batch, source, noise=noise)
        rows = _nearest(hamming(x1, tokens_at(start)), noise.fold("nearest"))
        return Pair(permuted(start, rows, batch), batch.x1, batch.index)


@dataclass(frozen=True)
class AssignmentHamming(Coupling):
    """The permutation of the block's starts with the least total Hamming distance to its data."""

    preserves: ClassVar[frozenset[str]] = frozenset({"source", "data"})

    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        from scipy.optimize import linear_sum_assignment

        x1, start = tokens_of(batch), starts(batch, source, noise=noise)
        rows = linear_sum_assignment(hamming(x1, tokens_at(start)).double().cpu().numpy())[1]
        return Pair(permuted(start, torch.as_tensor(rows), batch), batch.x1, batch.index)
