"""Precision, recall, density and coverage of samples, by nearest neighbours of features.

The ball around a row x_i of a set extends to its k-th nearest other row, with radius r_k(x_i). With real rows x_i (n) and
generated rows y_j (m):

    precision   share of y_j in the ball of some real row                                               k = 3
    recall      share of x_i in the ball of some generated row                                          k = 3
    density     1/(k m) sum_j sum_i [y_j in the ball of x_i]     mean number of real balls, over k      k = 5
    coverage    share of x_i whose ball contains some generated row                                     k = 5

Balls are closed for precision and recall, open for density and coverage, as in the code of their papers. A real outlier has a
large ball, and every sample in it counts for precision. Density counts the balls, so a sample in this one alone counts 1/k, and
coverage uses balls of real rows only, which outliers among the samples cannot enlarge. For two sets from one distribution

    E density = 1        E coverage = 1 - [(n-1) .. (n-k)] / [(m+n-1) .. (m+n-k)], which tends to 1 - 2^-k for n = m

so density may exceed 1 and coverage stays below 1; for a set compared with itself all four are 1. Precision and recall have no
such reference value, because they depend on the dimension and on n: compare them with those of two real sets of the same size. A
density far above 1 is not a sign of quality: samples concentrated where real balls overlap have it too, for example CIFAR-10
with strong noise (5.9).

Distances are computed by blocks: two sets of 10,000 need no table of 10,000 x 10,000.

References:
    Improved precision and recall metric for assessing generative models, Kynkaanniemi et al., 2019, arXiv 1904.06991 (eq. 1, 2)
    Reliable fidelity and diversity metrics for generative models, Naeem et al., ICML 2020, arXiv 2002.09797 (eq. 3, 4; lemma 2)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.metrics.distances import ENTRIES, squared_distances

RIM = 1e-12
"""Squared distances that differ by less than this share of the squared norms count as equal, so that rows on the boundary of a
ball are treated consistently. It is a thousand times the rounding error."""


@dataclass(frozen=True)
class Neighbours:
    """The four numbers; all except density are in [0, 1]."""

    precision: float
    recall: float
    density: float
    coverage: float


@dataclass(frozen=True, eq=False)
class Balls:
    """Features (n, d) with the squared distance of each row to its 3rd and 5th nearest other rows. Build it with ``of``."""

    features: Tensor
    narrow: Tensor
    wide: Tensor
    k: tuple[int, int]

    @staticmethod
    def of(features: Tensor, k: tuple[int, int] = (3, 5), entries: int = ENTRIES) -> Balls:
        """Computes the balls of features (n, d).

        Args:
            k: the number of neighbours for (precision and recall, density and coverage); n must be larger than both.
            entries: the largest number of distances per block.

        Raises:
            ValueError: not a (rows, features) table, NaN or infinite features, too few rows, or k below 1.
        """
        if features.ndim != 2 or min(k) < 1 or len(features) <= max(k):
            raise ValueError(
                f"features are {tuple(features.shape)} and k is {k}; balls need a (rows, features) table of more than "
                f"{max(k)} rows, and k of at least 1"
            )
        bad = int((~torch.isfinite(features)).any(1).sum())
        if bad:
            raise ValueError(
                f"features has {bad} of {len(features)} rows with NaN or infinite entries: repair that set"
            )
        features = features.double()
        nearest = [  # the first is the row itself
            block.topk(max(k) + 1, dim=1, largest=False).values[:, list(k)]
            for _, block in squared_distances(features, features, entries)
        ]
        narrow, wide = torch.cat(nearest).unbind(1)
        return Balls(features, narrow.contiguous(), wide.contiguous(), k)

    def __len__(self) -> int:
        return len(self.features)


def neighbours(real: Balls, generated: Balls, entries: int = ENTRIES) -> Neighbours:
    """The four numbers of ``generated`` (m rows) with respect to ``real`` (n rows); both need the same extractor and k.

    Raises:
        ValueError: different k, or unequal numbers of features.
    """
    if real.k != generated.k:
        raise ValueError(f"real has k = {real.k} and generated {generated.k}; build both balls with one k")
    if real.features.shape[1] != generated.features.shape[1]:
        raise ValueError(
            f"real has {real.features.shape[1]} features and generated {generated.features.shape[1]}; neighbours need equally "
            "many: use the same extractor for both sets"
        )
    centre = real.features.mean(0)
    narrow, wide = real.narrow + _rim(real, real.narrow, centre), real.wide - _rim(real, real.wide, centre)
    reach = generated.narrow + _rim(generated, generated.narrow, centre)
    precise = inside = 0
    found, covered = (torch.zeros(len(real), dtype=torch.bool) for _ in range(2))
    for rows, block in squared_distances(generated.features, real.features, entries):
        precise += int((block <= narrow).any(1).sum())
        found |= (block <= reach[rows, None]).any(0)
        within = block < wide
        inside += int(within.sum())
        covered |= within.any(0)
    return Neighbours(
        precision=precise / len(generated),
        recall=float(found.double().mean()),
        density=inside / (real.k[1] * len(generated)),
        coverage=float(covered.double().mean()),
    )


def _rim(balls: Balls, radius: Tensor, centre: Tensor) -> Tensor:
    """(n,): the tolerance on the squared distance at the boundary of each ball of squared radius ``radius`` (n,)."""
    return RIM * ((balls.features - centre).square().sum(1) + radius)
