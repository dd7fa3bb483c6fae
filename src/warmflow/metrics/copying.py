"""Copying: is a sample closer to one training point than anything new would be?

    r(x) = |x - first| / |x - second|,   first and second the nearest two *distinct* training points

A sample that lies anywhere between training points has r near 1; a copy has r = 0 and a blurred copy r < 1/2. The scale
of the data cancels. How small r is for *new real* points depends on the data (in d dimensions r^d is about uniform, so
in the plane a quarter of all real points lie below 1/2): read it only against real points held out of training.

References:
    Extracting training data from diffusion models, Carlini et al., 2023, arXiv 2301.13188 (near-duplicates by a
    distance relative to the other neighbours)
    On memorization in diffusion models, Gu et al., 2023, arXiv 2310.02664 (the ratio of the nearest two)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.metrics.distances import flatten, nearest_two

NEAR = 0.5


@dataclass(frozen=True)
class Copying:
    """The mean of r and the share of samples with r below 1/2, both pure numbers in [0, 1]."""

    mean: float
    share: float


def distinct(train: Tensor) -> Tensor:
    """The first of each group of equal rows of ``train`` (k, *S), flattened (k', d): a duplicated point must not be
    its own second-nearest."""
    rows = flatten(train)
    first: dict[bytes, int] = {}
    for i, row in enumerate((rows + 0.0).numpy()):  # -0.0 becomes 0.0, so that equal rows have equal bytes
        first.setdefault(row.tobytes(), i)
    return rows if len(first) == len(rows) else rows[torch.tensor(sorted(first.values()))]


def copying_ratio(x: Tensor, train: Tensor) -> Tensor:
    """r (n,) float64 for x (n, *S) against distinct training points (k, *S), k at least 2; 0 for an exact copy."""
    near = nearest_two(flatten(x), flatten(train))
    return torch.where(near[:, 0] == 0, 0.0, near[:, 0] / near[:, 1])


def copying(x: Tensor, train: Tensor) -> Copying:
    """Mean and share below 1/2 of r for samples x (n, *S) against the training set (k, *S)."""
    ratio = copying_ratio(x, distinct(train))
    return Copying(mean=float(ratio.mean()), share=float((ratio < NEAR).double().mean()))
