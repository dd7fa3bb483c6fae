"""Maximum mean discrepancy (MMD), squared and unbiased: the primary distance for images and points.

For a kernel k, samples a (n) and real points b (m):

    D(a, b) = sum_{i != j} k(a_i, a_j) / (n (n-1)) + sum_{i != j} k(b_i, b_j) / (m (m-1)) - 2 sum_ij k(a_i, b_j) / (n m)

Its expectation is the squared distance of the two distributions in the kernel's space for any n and m. It is 0 for equal
distributions, so single values may be negative, and a ratio of two of them is meaningless. The kernel is the mean over four
widths, where s is the median distance of the *training* set (stored: one scale for all methods, fixed before sampling),
computed from one exponential by repeated squaring:

    k(x, y) = (e + e^4 + e^16 + e^64) / 4,   e = exp(-|x - y|^2 / (8 s^2))        widths 2 s, s, s/2, s/4

The widest is sensitive to a shift of the whole distribution, the narrowest to details that the others average out.

Kernel values are hard to interpret, so they are converted to a number of real samples (``metrics.unit``): the *empirical
distribution* of n real samples has an average distance of (1 - E k(X, X')) / n to the distribution they are drawn from, since
with f(x) = k(x, .), |f(x)|^2 = k(x, x) = 1 and X, X' independent,

    E | mean_i f(X_i) - E f(X) |^2 = (E |f(X)|^2 - |E f(X)|^2) / n = (1 - E k(X, X')) / n

so samples at distance D are as near to the data as n_eq = (1 - E k(X, X')) / D real samples. ``MMD.scatter`` is the
numerator, estimated without bias on a real set; it is 1 - ``Reference.own``.

Resampling the real set. With counts w on b, pairs of copies of one point would enter the second sum with k = 1 and increase D
(a naive bootstrap turned 1.4e-3 into 3.2e-3). They are excluded from the sum and from its normaliser:

    D_w(a, b) = A + (w'Kw - sum_i w_i^2 k_ii) / (m^2 - sum_i w_i^2) - 2 w.g / m,    g_j = mean_i k(a_i, b_j), k_ii = 1

A is the term of the samples alone. Every resampling is thus one product with the vector g; the real term is shared by all
methods.

References:
    A kernel two-sample test, Gretton, Borgwardt, Rasch, Schoelkopf, Smola, JMLR 2012 (lemma 6: the unbiased estimate)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.metrics.distances import ENTRIES, flatten, squared_distances
from warmflow.metrics.resampled import Extractor, Reference, ResampledMetric, features_of
from warmflow.noise import permutation

MEDIAN_ROWS = 2_000
NULL_ROWS = 1_000


def kernel_times(a: Tensor, b: Tensor, columns: Tensor, scale: float, entries: int = ENTRIES) -> Tensor:
    """K(a, b) @ columns for a (n, d), b (m, d), columns (m, c): (n, c) float64, by blocks, without storing K."""
    parts = []
    for _, block in squared_distances(a, b, entries):
        e = block.mul_(-1 / (8 * scale**2)).exp_()
        e4 = e.square().square_()
        e16 = e4.square().square_()
        e.add_(e4).add_(e16)
        parts.append(e.add_(e16.square_().square_()) @ columns)
    return torch.cat(parts).div_(4.0)


def _own_term(x: Tensor, scale: float) -> float:
    """The mean of k over ordered pairs of distinct rows of x (n, d)."""
    n = len(x)
    total = kernel_times(x, x, torch.ones(n, 1, dtype=torch.float64), scale).sum()
    return (float(total) - n) / (n * (n - 1))


def _own_weighted(x: Tensor, counts: Tensor, scale: float) -> Tensor:
    """The same mean (R,) under each row of counts (R, n), excluding pairs of copies of one row."""
    same = counts.square().sum(1)
    products = (counts.T * kernel_times(x, x, counts.T.contiguous(), scale)).sum(0)
    return (products - same) / (counts.sum(1).square() - same)


def _mean_kernel(a: Tensor, b: Tensor, scale: float) -> Tensor:
    """g (m,): the mean of k(a_i, b_j) over the rows of a, for each row of b."""
    return kernel_times(b, a, torch.full((len(a), 1), 1 / len(a), dtype=torch.float64), scale)[:, 0]


@dataclass(frozen=True)
class MMD(ResampledMetric):
    """D, defined above, on the features of ``extractor`` (None: the flattened samples), with s = ``scale``; unit: kernel value.

    ``mmd_for`` computes the scale from the training set. Distances take features, float64 on the CPU.

    Raises:
        ValueError: a scale that is not positive and finite.
    """

    name: str
    scale: float
    extractor: Extractor | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(
                f"scale of metric {self.name!r} is {self.scale}; it must be positive and finite: a training set with "
                "median distance 0 (most rows are equal) has no such metric"
            )

    def features(self, x: Tensor) -> Tensor:
        return flatten(x if self.extractor is None else features_of(self.extractor, x))

    def distance(self, a: Tensor, b: Tensor) -> float:
        """D(a, b) of features (n, d) and (m, d), n and m at least 2; may be negative (Gretton et al. 2012, lemma 6)."""
        for x in (a, b):
            self._check(x)
        cross = float(_mean_kernel(a, b, self.scale).mean())
        return _own_term(a, self.scale) + _own_term(b, self.scale) - 2 * cross

    def scatter(self, real: Tensor) -> float:
        """1 - E k(X, X') on real features (m, d), in (0, 1]; equal to 1 - ``Reference.own``.

        It is n times the average distance between the empirical distribution of n real samples and the data, so that
        ``unit.equivalent(distance, scatter)`` is a number of real samples.
        """
        self._check(real)
        return 1 - _own_term(real, self.scale)

    def null_spread(self, real: Tensor, n: int) -> float:
        """The standard deviation of D for n samples with the distribution of the real features (m, d).

        It is sqrt(2) |H K H| / k (1/n + 1/m), where |H K H| is the Frobenius norm of the centred kernel of the first k = min(m,
        1000) rows, from the eigenvalues of the null distribution (Gretton et al. 2012, theorem 12).
        """
        self._check(real)
        few = real[:NULL_ROWS]
        kernel = kernel_times(few, few, torch.eye(len(few), dtype=torch.float64), self.scale)
        centred = kernel - kernel.mean(0) - kernel.mean(1)[:, None] + kernel.mean()
        return math.sqrt(2) * float(centred.norm()) / len(few) * (1 / n + 1 / len(real))

    def reference(self, real: Tensor, counts: Tensor) -> Reference:
        self._check(real)
        return Reference(real, counts, _own_term(real, self.scale), _own_weighted(real, counts, self.scale))

    def against(self, samples: Tensor, reference: Reference) -> tuple[float, Tensor]:
        self._check(samples)
        own, g = _own_term(samples, self.scale), _mean_kernel(samples, reference.features, self.scale)
        resampled = own + reference.own_resampled - 2 * (reference.counts @ g) / reference.counts.sum(1)
        return own + reference.own - 2 * float(g.mean()), resampled

    def reweighted(self, samples: Tensor, reference: Reference, counts: Tensor) -> Tensor:
        """Distances (R,) of the features (n, d) under each row of counts (R, n), excluding pairs of copies of one sample."""
        self._check(samples)
        near = _mean_kernel(reference.features, samples, self.scale)
        cross = (counts @ near) / counts.sum(1)
        return _own_weighted(samples, counts, self.scale) + reference.own - 2 * cross

    def one_sample(self, reference: Reference) -> float:
        """``scatter``, from the reference's own term."""
        return 1 - reference.own

    def _check(self, x: Tensor) -> None:
        if len(x) < 2:
            raise ValueError(f"metric {self.name!r} was given {len(x)} rows; an unbiased distance needs at least 2")


def median_distance(features: Tensor) -> float:
    """The median distance between rows of features (n, d), over a fixed random 2,000 rows if there are more.

    Raises:
        ValueError: fewer than 2 rows.
    """
    if len(features) < 2:
        raise ValueError(f"train has {len(features)} rows; a median distance needs at least 2")
    if len(features) > MEDIAN_ROWS:
        features = features[permutation(0, len(features), "median")[:MEDIAN_ROWS]]
    return float(torch.pdist(features.double()).median())


def mmd_for(train: Tensor, extractor: Extractor | None = None, name: str = "pixels") -> MMD:
    """The MMD on these features, with the median distance of the training set (n, *S) as its scale."""
    features = flatten(train if extractor is None else features_of(extractor, train))
    return MMD(name=name, scale=median_distance(features), extractor=extractor)
