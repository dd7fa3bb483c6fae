"""Copying: is a sample closer to one training point than anything new would be?

Two measures of it. The first needs the training set only, and is defined for text too:

    r(x) = |x - first| / |x - second|,   first and second the nearest two *distinct* training points         points, images
    r(x) = 1 - share of the k-grams of x that stand in the training text                                      windows of text

A sample that lies anywhere between training points has r near 1; a copy has r = 0 and a blurred copy r < 1/2. The scale
of the data cancels. How small r is for *new real* points depends on the data (in d dimensions r^d is about uniform, so
in the plane a quarter of all real points lie below 1/2): read it only against real points held out of training.

A text is copied letter by letter, from anywhere in the training text. So its r looks for runs of k = min(24, L / 2) tokens,
wherever they start: 0 for a window cut out of the training text, 1 for one that has no such run, 1/2 where every second run
is copied. 24 characters are four or five words of English, which new text rarely has from the old one; where windows are
shorter than that, real windows share their runs too, and r says little. One token changed spoils k runs: copies of
which a twentieth of the tokens was changed have r near 0.7 and pass.

The ratio of the nearest two is blind where the training set holds near-twins (frames of one film, augmented copies): a
sample near one of them is as near to its twin, and r is about 1. The second measure (``CopyingReference``) therefore takes
its yardstick from a set that was *not* trained on:

    r(x) = distance to the nearest training point / distance to the nearest point of ``other``, held-out real data

Training points and held-out points are exchangeable for anything that has not seen the difference. Blurred samples, or
samples of the most likely kind, are near to both and r does not fall. Copies, and averages of a few neighbours in the training
set, are near to the training set only. What r is for new data depends on the sizes of the two sets, on the dimension
and on duplicates, so it is read against *real points that are in neither set*: with r_q their q-quantile, samples that copy
nothing have share q below r_q. If n samples and m real points have one distribution of r, all n + m values are exchangeable,
and the number of samples below the j-th smallest of the m real values is beta-binomial(n, j, m - j + 1) whatever that
distribution is; this gives ``limits``.

Ties. A sample that is equal to a training point has r = 0, one that is equal to a point of ``other`` alone r = infinity, one
that is equal to both r = 1 (nothing tells whom it copies). Where real points repeat training points, as in data with
duplicates across its splits, r_q may be 0 and no sample is below it. So of the values equal to r_q a fraction
counts, the one at which the real points themselves have share q exactly; copies beyond the real data's own are then seen.

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
    """The first of each group of equal rows of ``train`` (k, *S), flattened (k', d): a duplicated point must not be
    its own second-nearest."""
    return flatten(train[_first_of_equal(train)])


def _first_of_equal(train: Tensor) -> Tensor:
    """The places (k',) of the first of each group of equal rows, rising."""
    first: dict[bytes, int] = {}
    for i, part in enumerate(train.split(TILE)):
        for j, row in enumerate((flatten(part) + 0.0).numpy()):  # -0.0 becomes 0.0, so that equal rows have equal bytes
            first.setdefault(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), i * TILE + j)
    return torch.tensor(sorted(first.values()), dtype=torch.int64)


def copying_ratio(x: Tensor, train: Tensor) -> Tensor:
    """r (n,) float64 for x (n, *S) against distinct training points (k, *S), k at least 2; 0 for an exact copy."""
    near = nearest_two(flatten(x), flatten(train))
    return torch.where(near[:, 0] == 0, 0.0, near[:, 0] / near[:, 1])


def copying(x: Tensor, train: Tensor) -> Copying:
    """Mean and share below 1/2 of r for samples x (n, *S) against the training set (k, *S)."""
    ratio = copying_ratio(x, distinct(train))
    return Copying(mean=float(ratio.mean()), share=float((ratio < NEAR).double().mean()))


@dataclass(frozen=True, eq=False)
class CopyingReference:
    """The second measure, made ready with ``of``: r of real points in neither set, to read r of samples against.

    ``quantiles`` are the levels q (Q of them); ``thresholds`` (Q,) the values r_q of the ``points`` real points; ``tied``
    (Q,) the fraction of samples equal to r_q that counts as below it; ``nearest_real`` (Q,) the quantiles of the real
    points' distance to the nearest training point, in the unit of the data, for display. All float64.
    """

    train: Tensor
    other: Tensor
    quantiles: tuple[float, ...]
    points: int
    thresholds: Tensor
    tied: Tensor
    nearest_real: Tensor

    @staticmethod
    def of(
        train: Tensor,
        other: Tensor,
        real: Tensor,
        quantiles: tuple[float, ...] = (0.01, 0.05, 0.25, 0.5),
    ) -> CopyingReference:
        """From the training set (k, *S), held-out real data ``other`` (j, *S) and ``real`` (m, *S), all disjoint draws.

        Equal training points count once. Of ``other`` no more rows are used than there are distinct training points (the
        first ones): with more of them real points would be nearer to ``other``, and blurred samples, which are equally near
        to both sets, would seem to copy.

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
        near, ratio = _against(real, rows, second)
        order = ratio.sort().values
        thresholds = order[[_rank(q, len(real)) - 1 for q in quantiles]]
        levels = torch.tensor(quantiles, dtype=torch.float64)
        below, equal = _below(ratio, thresholds)
        places = near.sort().values[[_rank(q, len(real)) - 1 for q in quantiles]]
        return CopyingReference(rows, second, tuple(quantiles), len(real), thresholds, (levels - below) / equal, places)

    def ratio(self, x: Tensor) -> Tensor:
        """r (n,) float64 in [0, infinity] of samples x (n, *S)."""
        return _against(x, self.train, self.other)[1]

    def shares(self, x: Tensor) -> Tensor:
        """(Q,) float64: the share of x (n, *S) below each r_q, ties as above; about ``quantiles`` where nothing is copied.

        A larger share is copying. The lowest two levels say most: the share at 1/2 also moves with how blurred x is
        where the two sets are of unequal size (it falls if the training set is the larger one).
        """
        below, equal = _below(self.ratio(x), self.thresholds)
        return below + self.tied * equal

    def limits(self, n: int, level: float = 0.975) -> Tensor:
        """(Q,) float64: the share that n samples with the real points' distribution of r exceed with probability at most
        1 - level, for each quantile by itself (over the draw of the samples and of the real points; without ties)."""
        from scipy.stats import betabinom

        if n < 1 or not 0 < level < 1:
            raise ValueError(f"n and level are {n} and {level}; give at least 1 sample and a level between 0 and 1")
        ranks = [_rank(q, self.points) for q in self.quantiles]
        return torch.tensor([betabinom.ppf(level, n, j, self.points - j + 1) / n for j in ranks], dtype=torch.float64)

    def nearest_quantiles(self, x: Tensor) -> Tensor:
        """(Q,) quantiles of the distance of x (n, *S) to its nearest training point, to show beside ``nearest_real``.

        They fall for copies and for blurred samples alike, so they decide nothing.
        """
        distance = nearest(x.detach().cpu().flatten(1), self.train).sort().values
        return distance[[_rank(q, len(distance)) - 1 for q in self.quantiles]]


def _rank(q: float, m: int) -> int:
    """j = ceil(q m), at least 1: the j-th smallest of m values is their q-quantile."""
    return max(1, math.ceil(q * m - 1e-9))


def _against(x: Tensor, train: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Distance to the nearest training row, and r, of x (n, *S): (n,) each."""
    rows = x.detach().cpu().flatten(1)
    near, second = nearest(rows, train), nearest(rows, other)
    return near, torch.where((near == 0) & (second == 0), 1.0, near / second)


def _below(ratio: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """The shares of ratio (n,) strictly below each threshold and equal to it: (Q,) each."""
    less, equal = ratio[:, None] < thresholds, ratio[:, None] == thresholds
    return less.double().mean(0), equal.double().mean(0)


@dataclass(frozen=True, eq=False)
class CopiedRuns:
    """r of windows of text, called with x (n, L): (n,) float64 in [0, 1]. ``hashes`` are the distinct hashes of the training
    text's k-grams, sorted: 8 bytes a token of it. Build with ``of``."""

    hashes: np.ndarray
    k: int

    @staticmethod
    def of(text: Tensor, length: int, k: int | None = None) -> CopiedRuns:
        """For windows of ``length`` tokens and the training text (T,); k defaults to min(24, length / 2)."""
        k = max(1, min(RUN, length // 2)) if k is None else k
        if not 1 <= k <= length:
            raise ValueError(f"k is {k}; in windows of {length} tokens it must lie in 1 .. {length}")
        return CopiedRuns(stream_hashes(text, k), k)

    def __call__(self, x: Tensor) -> Tensor:
        found = among(gram_hashes(x.detach().cpu(), self.k).numpy(), self.hashes)
        return 1 - torch.from_numpy(found).double().mean(1)


@dataclass(frozen=True, eq=False)
class CopiedRunsReference:
    """Copying of texts as a share below quantiles: r of ``CopiedRuns`` against that of real windows. Build with ``of``."""

    runs: CopiedRuns
    quantiles: tuple[float, ...]
    thresholds: Tensor
    tied: Tensor

    @staticmethod
    def of(
        runs: CopiedRuns, real: Tensor, quantiles: tuple[float, ...] = (0.01, 0.05, 0.25, 0.5)
    ) -> CopiedRunsReference:
        """From windows (m, L) of real text that was not trained on."""
        ratio = runs(real)
        kept = tuple(q for q in quantiles if q * len(real) >= 1)
        thresholds = ratio.sort().values[[_rank(q, len(real)) - 1 for q in kept]]
        below, equal = _below(ratio, thresholds)
        return CopiedRunsReference(runs, kept, thresholds, (torch.tensor(kept, dtype=torch.float64) - below) / equal)

    def shares(self, x: Tensor) -> Tensor:
        """(Q,) float64: the share of windows x (n, L) below each threshold, ties in the proportion of real windows."""
        below, equal = _below(self.runs(x), self.thresholds)
        return below + self.tied * equal
