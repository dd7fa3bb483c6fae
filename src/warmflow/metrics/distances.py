"""Euclidean distances between rows, in float64, by blocks of rows.

    |a - b|^2 = |a - c|^2 + |b - c|^2 - 2 (a - c) . (b - c)        for any c

so one matrix product gives a block of distances. c is the mean of b: the three terms are then of the order of the variance
of the data, and the cancellation error is about 1e-15 of it. Blocks limit the memory; c does not depend on them, so they do
not change the result.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

ENTRIES = 2**20
"""Number of float64 entries of a block: 8 MiB, about the size of a cache."""
TILE = 4096
CANDIDATES = 8


def flatten(x: Tensor) -> Tensor:
    """x (n, *S) of any type, on any device, as (n, d) float64 rows on the CPU."""
    return x.detach().cpu().double().reshape(len(x), -1)


def squared_distances(a: Tensor, b: Tensor, entries: int = ENTRIES) -> Iterator[tuple[slice, Tensor]]:
    """Yields (rows of a, squared distances (rows, m) float64, at least 0) between a (n, d) and b (m, d), block by block.

    A block has at most ``entries`` numbers (but at least one row). It is new memory, which the caller may overwrite.

    Raises:
        ValueError: a and b are not two tables with equally many features.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(
            f"a and b are {tuple(a.shape)} and {tuple(b.shape)}; distances need two (rows, features) tables with "
            "equally many features: use the same features for both sets"
        )
    a, b = a.double(), b.double()
    centre = b.mean(0)
    a, b = a - centre, b - centre
    a_norm, b_norm = a.square().sum(1), b.square().sum(1)
    height = max(1, entries // max(1, len(b)))
    for i in range(0, len(a), height):
        rows = slice(i, min(i + height, len(a)))
        block = torch.addmm(b_norm[None], a[rows], b.T, alpha=-2.0).add_(a_norm[rows, None]).clamp_(min=0.0)
        yield rows, block


def nearest_two(x: Tensor, train: Tensor, entries: int = ENTRIES) -> Tensor:
    """Distances (n, 2) float64, ascending, from x (n, d) to the nearest and second-nearest rows of ``train`` (k >= 2, d).

    Candidates are found by the expansion above in float32, tile by tile of both sets. Their distances are computed directly
    in float64, so that a copy has distance exactly 0. A neighbour is missed only if eight others are nearer in float32.

    Raises:
        ValueError: ``train`` has fewer than 2 rows.
    """
    if len(train) < 2:
        raise ValueError(f"train has {len(train)} rows; a second-nearest neighbour needs at least 2")
    return _nearest(x, train, 2, entries)


def nearest(x: Tensor, others: Tensor, entries: int = ENTRIES) -> Tensor:
    """Distances (n,) float64 from x (n, d) to the nearest row of ``others`` (k >= 1, d), as in ``nearest_two``."""
    if len(others) < 1:
        raise ValueError("others has no rows; a nearest neighbour needs at least 1")
    return _nearest(x, others, 1, entries)[:, 0]


def _nearest(x: Tensor, train: Tensor, count: int, entries: int) -> Tensor:
    """Distances (n, count), ascending. The only copy made of ``train`` is in float32."""
    centre = train.mean(0, dtype=torch.float64)
    low_train = torch.cat([(rows.double() - centre).float() for rows in train.split(TILE)])
    norm = low_train.square().sum(1)
    width = min(len(train), TILE)
    height = max(1, entries // max(width, CANDIDATES * train.shape[1]))
    parts = [torch.empty(0, count, dtype=torch.float64)]
    for rows in x.split(height):
        low = (rows.double() - centre).float()
        near, index = [], []
        for j in range(0, len(train), width):
            tile = torch.addmm(norm[None, j : j + width], low, low_train[j : j + width].T, alpha=-2.0)
            found = tile.topk(min(CANDIDATES, tile.shape[1]), dim=1, largest=False, sorted=False)
            near.append(found.values)
            index.append(found.indices + j)
        values, places = torch.cat(near, 1), torch.cat(index, 1)
        kept = values.topk(min(CANDIDATES, values.shape[1]), dim=1, largest=False, sorted=False).indices
        candidates = train[places.gather(1, kept)].double()
        distance = (rows.double()[:, None] - candidates).square().sum(2).sqrt()
        parts.append(distance.sort(dim=1).values[:, :count])
    return torch.cat(parts)
