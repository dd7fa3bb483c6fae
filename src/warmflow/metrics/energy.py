"""Energy distance, unbiased: a distance of distributions that has no width to choose.

    D(a, b) = 2 E|X - Y| - E|X - X'| - E|Y - Y'|        X, X' independent from a,  Y, Y' from b

D is 0 only for equal distributions. It is the squared MMD of the kernel -|x - y|, and is estimated in the same way from samples
a (n) and real points b (m), without pairs of a row with itself:

    D(a, b) = 2 sum_ij |a_i - b_j| / (n m) - sum_{i != j} |a_i - a_j| / (n (n-1)) - sum_{i != j} |b_i - b_j| / (m (m-1))

Its expectation does not depend on n and m, and single values may be negative. On the line D = 2 int (F_a - F_b)^2, and for two
Gaussians with E|N(m, v)| = g(m, v) = sqrt(2 v / pi) exp(-m^2 / (2 v)) + m erf(m / sqrt(2 v)),

    D = 2 g(m_a - m_b, v_a + v_b) - g(0, 2 v_a) - g(0, 2 v_b)

The MMD of Gaussian kernels needs a scale, which the training set determines, and changes little with the distance of an outlier.
This one has no scale and grows with that distance. Its unit is that of the features, and not a number of real samples.

Resampling the real set: counts w on b exclude pairs of copies as in ``metrics.mmd``, by the normaliser m^2 - sum_i w_i^2.

References:
    Energy statistics: a class of statistics based on distances, Szekely, Rizzo, J. Statistical Planning and Inference 2013
    Equivalence of distance-based and RKHS-based statistics in hypothesis testing, Sejdinovic, Sriperumbudur, Gretton, Fukumizu,
        2013, arXiv 1207.6076 (it is an MMD)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.metrics.distances import flatten, squared_distances
from warmflow.metrics.resampled import Extractor, Reference, ResampledMetric, features_of


@dataclass(frozen=True)
class EnergyDistance(ResampledMetric):
    """D, defined above, on the features of ``extractor`` (None: the flattened samples); unit: that of a feature."""

    name: str = "energy distance"
    extractor: Extractor | None = None

    def features(self, x: Tensor) -> Tensor:
        return flatten(x if self.extractor is None else features_of(self.extractor, x))

    def distance(self, a: Tensor, b: Tensor) -> float:
        """D of features (n, d) and (m, d), n and m at least 2; may be negative."""
        self._check(a, b)
        return 2 * float(_mean_to(a, b).mean()) - _own(a) - _own(b)

    def reference(self, real: Tensor, counts: Tensor) -> Reference:
        self._check(real)
        pairs = counts.sum(1).square() - counts.square().sum(1)
        resampled = (counts.T * _times(real, real, counts.T.contiguous(), own=True)).sum(0) / pairs
        return Reference(real, counts, _own(real), resampled)

    def against(self, samples: Tensor, reference: Reference) -> tuple[float, Tensor]:
        self._check(samples)
        own, near = _own(samples), _mean_to(samples, reference.features)
        resampled = 2 * (reference.counts @ near) / reference.counts.sum(1) - own - reference.own_resampled
        return 2 * float(near.mean()) - own - reference.own, resampled

    def _check(self, *sets: Tensor) -> None:
        for x in sets:
            if len(x) < 2:
                raise ValueError(f"metric {self.name!r} was given {len(x)} rows; an unbiased distance needs at least 2")


def _times(a: Tensor, b: Tensor, columns: Tensor, own: bool = False) -> Tensor:
    """|a_i - b_j| @ columns for a (n, d), b (m, d), columns (m, c): (n, c) float64, by blocks.

    Args:
        own: a is b, and the distance of a row to itself is exactly 0 instead of the root of a rounding error.
    """
    parts = []
    for rows, block in squared_distances(a, b):
        block.sqrt_()
        if own:
            block.diagonal(rows.start).zero_()
        parts.append(block @ columns)
    return torch.cat(parts)


def _own(x: Tensor) -> float:
    """The mean distance over ordered pairs of distinct rows of x (n, d)."""
    n = len(x)
    return float(_times(x, x, torch.ones(n, 1, dtype=torch.float64), own=True).sum()) / (n * (n - 1))


def _mean_to(a: Tensor, b: Tensor) -> Tensor:
    """(m,): the mean distance of the rows of a to each row of b."""
    return _times(b, a, torch.full((len(a), 1), 1 / len(a), dtype=torch.float64))[:, 0]
