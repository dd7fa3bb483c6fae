"""Copying: whether samples are closer to training points than new data are.

There are two measures. The first needs the training set only, and is defined for text too:

    r(x) = |x - first| / |x - second|,   first and second the nearest two *distinct* training points         points, images
    r(x) = 1 - share of the k-grams of x that occur in the training text                                      windows of text

A sample between training points has r near 1, a copy has r = 0, and a blurred copy r < 1/2. The scale of the data cancels.
The value of r for *new real* points depends on the data (in d dimensions r^d is about uniform, so in the plane a quarter of
all real points have r < 1/2): compare it only with that of real points held out of training.

A text is copied token by token, from anywhere in the training text. Its r therefore counts runs of k = min(24, L / 2) tokens at
any position: r is 0 for a window cut out of the training text, 1 for one without such runs, and 1/2 if every second run is
copied. 24 characters are four or five words of English, which new text rarely shares with the training text. If windows are
shorter than that, real windows share their runs too, and r says little. Changing one token changes k runs: copies with a
twentieth of their tokens changed have r near 0.7 and are not detected.

The ratio of the nearest two fails if the training set contains near-duplicates (frames of one film, augmented copies): a
sample near one of them is as near to the other, and r is about 1. The second measure (``CopyingReference``) therefore compares
with a set that was *not* used for training:

    r(x) = distance to the nearest training point / distance to the nearest point of ``other``, held-out real data

For a method that copies nothing, training points and held-out points are exchangeable. Blurred samples, or samples from the
mode, are near to both sets, and r does not decrease. Copies, and averages of a few neighbours in the training set, are near to
the training set only. The value of r for new data depends on the sizes of the two sets, on the dimension and on duplicates, so
it is compared with that of *real points in neither set*: let r_q be their q-quantile; without copying, a share q of the samples
is below r_q. If r has the same distribution for n samples and m real points, all n + m values are exchangeable, and the number
of samples below the j-th smallest of the m real values is beta-binomial(n, j, m - j + 1) for any such distribution. This gives
``limits``.

Ties. A sample equal to a training point has r = 0, a sample equal only to a point of ``other`` r = infinity, and a sample equal
to both r = 1 (it may be a copy of either). If real points repeat training points, as in data with duplicates across its splits,
r_q may be 0 with no sample below it. Therefore a fraction of the values equal to r_q counts as below, such that the real points
themselves have share exactly q. Copies beyond those in the real data are then detected.

References:
    Extracting training data from diffusion models, Carlini et al., 2023, arXiv 2301.13188 (near-duplicates by a
    distance relative to the other neighbours)
    On memorization in diffusion models, Gu et al., 2023, arXiv 2310.02664 (the ratio of the nearest two)
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from warmflow.metrics.distances import TILE, flatten, nearest, nearest_two
from warmflow.metrics.kgrams import among, gram_hashes, stream_hashes

NEAR = 0.5
RUN = 24


@dataclass(frozen=True)
class Copying:
    """The mean of r and the share of samples with r below 1/2, both pure numbers in [0, 1]."""

    mean: float
    share: float


def distinct(train: Tensor) -> Tensor:
    """The distinct rows of ``train`` (k, *S), flattened to (k', d), so that a duplicate is not its own second-nearest point."""
    return flatten(train[_first_of_equal(train)])


def _first_of_equal(train: Tensor) -> Tensor:
    """The positions (k',) of the first row of each group of equal rows, ascending."""
    first: dict[bytes, int] = {}
    for i, part in enumerate(train.split(TILE)):
        for j, row in enumerate((flatten(part) + 0.0).numpy()):  # -0.0 becomes 0.0, so that equal rows have equal bytes
            first.setdefault(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), i * TILE + j)
    return torch.tensor(sorted(first.values()), dtype=torch.int64)


def copying_ratio(x: Tensor, train: Tensor) -> Tensor:
    """r (n,) float64 of x (n, *S) with distinct training points (k, *S), k at least 2; 0 for an exact copy."""
    near = nearest_two(flatten(x), flatten(train))
    return torch.where(near[:, 0] == 0, 0.0, near[:, 0] / near[:, 1])


def copying(x: Tensor, train: Tensor) -> Copying:
    """Mean of r, and share with r below 1/2, of samples x (n, *S) with the training set (k, *S)."""
    ratio = copying_ratio(x, distinct(train))
    return Copying(mean=float(ratio.mean()), share=float((ratio < NEAR).double().mean()))


@dataclass(frozen=True, eq=False)
class CopyingReference:
    """The second measure: the reference values of r, from real points in neither set. Build it with ``of``.

    ``quantiles`` are the Q levels q; ``thresholds`` (Q,) the values r_q of the ``points`` real points; ``tied`` (Q,) the
    fraction of samples equal to r_q that counts as below it. All float64.
    """

    train: Tensor
    other: Tensor
    quantiles: tuple[float, ...]
    points: int
    thresholds: Tensor
    tied: Tensor

    @staticmethod
    def of(
        train: Tensor,
        other: Tensor,
        real: Tensor,
        quantiles: tuple[float, ...] = (0.01, 0.05, 0.25, 0.5),
    ) -> CopyingReference:
        """Builds the reference from the training set (k, *S), held-out real data ``other`` (j, *S) and ``real`` (m, *S).

        All three must be disjoint. Equal training points count once. At most as many rows of ``other`` are used as there are
        distinct training points (the first ones): otherwise real points would be nearer to ``other``, and blurred samples,
        which are equally near to both sets, would look like copies.

        Raises:
            ValueError: an empty set, unequal shapes, no quantile, one outside (0, 1), or fewer than 1/q real points.
        """
        for name, x in (("train", train), ("other", other), ("real", real)):
            if len(x) < 1 or x.shape[1:] != train.shape[1:]:
                raise ValueError(f"{name} is {tuple(x.shape)}; give at least 1 row of shape {tuple(train.shape[1:])}")
        if not quantiles or not all(0 < q < 1 for q in quantiles):
            raise ValueError(f"quantiles are {quantiles}; give at least one, each between 0 and 1")
        if min(quantiles) * len(real) < 1 - 1e-9:
            least = math.ceil(1 / min(quantiles) - 1e-9)
            raise ValueError(
                f"real has {len(real)} rows; the quantile {min(quantiles)} needs {least}: hold out more or raise it"
            )
        rows = train[_first_of_equal(train)].detach().cpu().flatten(1)
        second = other[: len(rows)].detach().cpu().flatten(1)
        ratio = _ratio(real, rows, second)
        order = ratio.sort().values
        thresholds = order[[_rank(q, len(real)) - 1 for q in quantiles]]
        levels = torch.tensor(quantiles, dtype=torch.float64)
        below, equal = _below(ratio, thresholds)
        return CopyingReference(rows, second, tuple(quantiles), len(real), thresholds, (levels - below) / equal)

    def ratio(self, x: Tensor) -> Tensor:
        """r (n,) float64, in [0, infinity], of samples x (n, *S)."""
        return _ratio(x, self.train, self.other)

    def shares(self, x: Tensor) -> Tensor:
        """(Q,) float64: the share of x (n, *S) below each r_q, with ties as above; about ``quantiles`` without copying.

        A larger share means copying. The lowest two levels are the most informative: if the two sets are of unequal size, the
        share at 1/2 also depends on how blurred x is (it decreases if the training set is larger).
        """
        below, equal = _below(self.ratio(x), self.thresholds)
        return below + self.tied * equal

    def limits(self, n: int, level: float = 0.975) -> Tensor:
        """(Q,) float64: the share that n samples without copying exceed with probability at most 1 - level, for each quantile
        separately (over the randomness of samples and real points; without ties)."""
        from scipy.stats import betabinom

        if n < 1 or not 0 < level < 1:
            raise ValueError(f"n and level are {n} and {level}; give at least 1 sample and a level between 0 and 1")
        ranks = [_rank(q, self.points) for q in self.quantiles]
        return torch.tensor([betabinom.ppf(level, n, j, self.points - j + 1) / n for j in ranks], dtype=torch.float64)


def _rank(q: float, m: int) -> int:
    """j = ceil(q m), at least 1: the j-th smallest of m values is their q-quantile."""
    return max(1, math.ceil(q * m - 1e-9))


def _ratio(x: Tensor, train: Tensor, other: Tensor) -> Tensor:
    """r (n,) of x (n, *S)."""
    rows = x.detach().cpu().flatten(1)
    near, second = nearest(rows, train), nearest(rows, other)
    return torch.where((near == 0) & (second == 0), 1.0, near / second)


def _below(ratio: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """The shares of ratio (n,) below each threshold, and equal to it: (Q,) each."""
    less, equal = ratio[:, None] < thresholds, ratio[:, None] == thresholds
    return less.double().mean(0), equal.double().mean(0)


@dataclass(frozen=True, eq=False)
class CopiedRuns:
    """Computes r (n,) float64, in [0, 1], of windows of text x (n, L). Build it with ``of``.

    ``hashes`` are the sorted distinct hashes of the k-grams of the training text (8 bytes per token).
    """

    hashes: np.ndarray
    k: int

    @staticmethod
    def of(text: Tensor, length: int, k: int | None = None) -> CopiedRuns:
        """For windows of ``length`` tokens and the training text (T,); k defaults to min(24, length / 2)."""
        k = max(1, min(RUN, length // 2)) if k is None else k
        if not 1 <= k <= length:
            raise ValueError(f"k is {k}; in windows of {length} tokens it must be in 1 .. {length}")
        return CopiedRuns(stream_hashes(text, k), k)

    def __call__(self, x: Tensor) -> Tensor:
        found = among(gram_hashes(x.detach().cpu(), self.k).numpy(), self.hashes)
        return 1 - torch.from_numpy(found).double().mean(1)


@dataclass(frozen=True, eq=False)
class CopiedRunsReference:
    """Copying of texts: the share of samples with r of ``CopiedRuns`` below quantiles of real windows. Build it with ``of``."""

    runs: CopiedRuns
    quantiles: tuple[float, ...]
    thresholds: Tensor
    tied: Tensor

    @staticmethod
    def of(
        runs: CopiedRuns, real: Tensor, quantiles: tuple[float, ...] = (0.01, 0.05, 0.25, 0.5)
    ) -> CopiedRunsReference:
        """Builds the reference from windows ``real`` (m, L) of text that was not used for training."""
        ratio = runs(real)
        kept = tuple(q for q in quantiles if q * len(real) >= 1)
        thresholds = ratio.sort().values[[_rank(q, len(real)) - 1 for q in kept]]
        below, equal = _below(ratio, thresholds)
        return CopiedRunsReference(runs, kept, thresholds, (torch.tensor(kept, dtype=torch.float64) - below) / equal)

    def shares(self, x: Tensor) -> Tensor:
        """(Q,) float64: the share of windows x (n, L) below each threshold, with ties as in ``CopyingReference``."""
        below, equal = _below(self.runs(x), self.thresholds)
        return below + self.tied * equal
