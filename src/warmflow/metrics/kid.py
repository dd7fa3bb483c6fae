"""Kernel distance on features, squared and unbiased; on Inception features this is KID.

    k(x, y) = (x.y / d + 1)^3           d features; compares mean, variance and skewness of two distributions
    D(a, b) = sum_{i != j} k(a_i, a_j) / (n (n-1)) + sum_{i != j} k(b_i, b_j) / (m (m-1)) - 2 sum_ij k(a_i, b_j) / (n m)

Its expectation does not depend on n and m, so values from 2,000 and from 50,000 images are comparable, unlike those of a
Frechet distance. It is 0 for equal distributions, so single values may be negative.

The interval. Split both sets into S *disjoint* subsets of equal size and compute D of each pair of subsets: S independent,
unbiased values D_s, so

    mean_s D_s  -/+  t(97.5 %, S - 1) sqrt(var_s D_s / S)

is a t interval for the true distance. (The usual hundred random subsets of one set give no confidence interval, because they
share rows.) D_s is skewed, more so for fewer features, and the coverage is then somewhat below the level: with subsets of 20
rows, 95 of 100 for 20 features and 90 to 92 of 100 for one (tests/truths/test_kid.py).

References:
    Demystifying MMD GANs, Binkowski, Sutherland, Arbel, Gretton, ICLR 2018, arXiv 1801.01401 (KID, the kernel)
    A kernel two-sample test, Gretton et al., JMLR 2012 (lemma 6: the unbiased estimate)
    B-test: a non-parametric, low variance kernel two-sample test, Zaremba, Gretton, Blaschko, 2013, arXiv 1307.1954 (blocks)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import Metric
from warmflow.metrics.distances import ENTRIES, flatten
from warmflow.metrics.extractors.base import NamedExtractor
from warmflow.metrics.resampled import Extractor, features_of
from warmflow.noise import permutation

LEVEL = 0.95
SUBSET = 1_000
LEAST_SUBSETS = 10
"""Subsets have 1,000 rows as in the paper, but there are at least ten: with fewer the interval is wide."""


@dataclass(frozen=True)
class Estimate:
    """A distance with its two-sided interval at ``level``, from ``subsets`` disjoint subsets of ``size`` rows each."""

    value: float
    low: float
    high: float
    level: float
    subsets: int
    size: int


@dataclass(frozen=True)
class KID(Metric):
    """D, defined above, on the features of ``extractor`` (None: the flattened samples); unit: kernel value."""

    name: str = "kernel distance"
    extractor: Extractor | None = None

    @staticmethod
    def on(extractor: NamedExtractor) -> KID:
        """The metric on this extractor, which is part of its name: "Kernel distance, EfficientNet-Lite0 at 224 px"."""
        return KID(f"Kernel distance, {extractor.name}", extractor)

    def features(self, x: Tensor) -> Tensor:
        return flatten(x if self.extractor is None else features_of(self.extractor, x))

    def distance(self, a: Tensor, b: Tensor) -> float:
        """D of features (n, d) and (m, d), n and m at least 2, over all pairs, which has the smallest variance."""
        self._check(a, b, 2)
        a, b = a.double(), b.double()
        own = [(_kernel_sum(x, x) - _own_diagonal(x)) / (len(x) * (len(x) - 1)) for x in (a, b)]
        return own[0] + own[1] - 2 * _kernel_sum(a, b) / (len(a) * len(b))

    def estimate(self, a: Tensor, b: Tensor, *, size: int | None = None, seed: int = 0) -> Estimate:
        """D with its interval, from features a (n, d) and b (m, d) split into disjoint subsets of ``size`` rows.

        Args:
            size: defaults to 1,000, or to a tenth of the rows if there are fewer than 10,000. Rows that do not fill a subset
                are left out.
            seed: random seed of the assignment of rows to subsets.

        Raises:
            ValueError: fewer than two subsets of 2 rows, or unequal numbers of features.
        """
        n = min(len(a), len(b))
        size = min(SUBSET, n // LEAST_SUBSETS) if size is None else size
        if size < 2 or n // size < 2:
            raise ValueError(
                f"metric {self.name!r} was given {len(a)} and {len(b)} rows in subsets of {size}; an interval needs two subsets "
                "of at least 2 rows: give more rows or another size"
            )
        self._check(a, b, 2 * size)
        dealt = [x[permutation(seed, len(x), f"kid.{side}")] for x, side in ((a, "a"), (b, "b"))]
        pairs = zip(*(x[: n // size * size].split(size) for x in dealt), strict=True)
        values = torch.tensor([self.distance(*pair) for pair in pairs], dtype=torch.float64)
        middle, half = float(values.mean()), half_width(values, LEVEL)
        return Estimate(middle, middle - half, middle + half, LEVEL, len(values), size)

    def _check(self, a: Tensor, b: Tensor, least: int) -> None:
        if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < least:
            raise ValueError(
                f"metric {self.name!r} was given {tuple(a.shape)} and {tuple(b.shape)}; it needs two (rows, features) tables of "
                f"equally many features and at least {least} rows each"
            )


def half_width(values: Tensor, level: float) -> float:
    """Half the two-sided t interval for the mean of independent values (S,), S at least 2."""
    from scipy.special import stdtrit  # imported here, because importing warmflow must not import scipy

    n = len(values)
    return float(stdtrit(n - 1, (1 + level) / 2)) * float(values.std()) / n**0.5


def _kernel_sum(a: Tensor, b: Tensor, entries: int = ENTRIES) -> float:
    """The sum of k over all pairs of rows of a and b, by blocks."""
    height = max(1, entries // len(b))
    parts = [float((block @ b.T / a.shape[1] + 1).pow_(3).sum()) for block in a.split(height)]
    return sum(parts)


def _own_diagonal(x: Tensor) -> float:
    """The sum of k(x_i, x_i)."""
    return float((x.square().sum(1) / x.shape[1] + 1).pow(3).sum())
