"""Distances that can be taken again under resamplings of the real set, without touching the samples again.

A claim about D(warm) - D(cold) must hold for another real set too. Drawing m real points with replacement is giving
each a count w_i, multinomial with sum m; the distance under these counts is a *replicate*. When every arm is measured
under the same R count vectors, the replicate of a difference is the difference of the replicates, so R numbers a
distance are all that need be kept: no samples, no features, no kernels.

References:
    An introduction to the bootstrap, Efron, Tibshirani, 1993, chapter 6
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from warmflow.contracts import Metric


class Extractor(Protocol):
    """Anything that turns samples (n, *S) into features (n, d)."""

    def features(self, x: Tensor) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Reference:
    """A real set made ready: features (m, d), counts (R, m), and what only the real set enters, under equal weights
    (``own``) and under each of the counts (``own_resampled`` (R,))."""

    features: Tensor
    counts: Tensor
    own: float
    own_resampled: Tensor


class ResampledMetric(Metric):
    """A distance with replicates under counts on the real set, and over many splits of one pool.

    ``has_zero``: the number is 0 in expectation where the two distributions are equal (MMD, k-grams). A score that lacks this
    (``conditional.Score``) can be compared between methods and says nothing alone.
    """

    has_zero: ClassVar[bool] = True

    @abstractmethod
    def reference(self, real: Tensor, counts: Tensor) -> Reference:
        """The real features (m, d) and counts (R, m), with everything computed that samples do not enter."""

    @abstractmethod
    def against(self, samples: Tensor, reference: Reference) -> tuple[float, Tensor]:
        """The distance of features (n, d) to the reference, and its (R,) replicates."""

    @abstractmethod
    def splits(self, pool: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """(R,) distances between the rows ``first`` (R, n) and ``second`` (R, m) of the pool's features (N, d)."""


def resampling_counts(m: int, times: int, seed: int) -> Tensor:
    """(times, m) float64 multinomial counts, each row summing to m: how often each real point is drawn."""
    if m < 2 or times < 2:
        raise ValueError(f"m, times are {m}, {times}; resampling needs at least 2 real points and 2 resamples")
    return torch.from_numpy(np.random.default_rng(seed).multinomial(m, np.full(m, 1 / m), size=times)).double()


def random_splits(size: int, n: int, m: int, times: int, seed: int) -> tuple[Tensor, Tensor]:
    """Rows of two disjoint sets of n and m out of ``size``, drawn ``times`` times: (times, n) and (times, m) int64."""
    if n + m > size:
        raise ValueError(
            f"the pool has {size} rows; two disjoint real sets of {n} (samples) and {m} (real) need {n + m}: "
            "draw fewer samples, hold out fewer real points, or bring more data"
        )
    generator = np.random.default_rng(seed)
    order = torch.from_numpy(np.stack([generator.permutation(size)[: n + m] for _ in range(times)]))
    return order[:, :n], order[:, n:]
