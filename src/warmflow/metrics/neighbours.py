"""Is each sample like something real, and is everything real found among the samples? By nearest neighbours of features.

Around every row x_i of a set stands a ball that reaches to its k-th nearest other row, of radius r_k(x_i). With real rows x_i (n)
and generated rows y_j (m):

    precision   share of y_j that lie in the ball of some real row                                      k = 3
    recall      share of x_i that lie in the ball of some generated row                                 k = 3
    density     1/(k m) sum_j sum_i [y_j in the ball of x_i]     how many real balls a sample lies in   k = 5
    coverage    share of x_i whose ball holds some generated row                                        k = 5

Precision and recall take a ball with its rim, density and coverage without, as their papers' programs do. One real outlier has a
wide ball, and all that falls into it is precise: density counts the balls, so that a sample in this one alone counts 1/k, and
coverage takes balls of real rows only, which outliers among the samples cannot widen. For two sets of one law

    E density = 1        E coverage = 1 - [(n-1) .. (n-k)] / [(m+n-1) .. (m+n-k)], which tends to 1 - 2^-k for n = m

so that density may exceed 1 and coverage stays below it; for a set against itself all four are 1. Precision and recall have no
such value: they depend on the dimension and on n. Read them beside those of two real sets of the same size. A density far above 1
is no praise: samples that crowd where real balls are many have it too, and so had CIFAR-10 under heavy noise (5.9).

Distances are found by blocks: two sets of 10,000 need no table of 10,000 x 10,000.

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
"""A row that lies on a rim in exact arithmetic must be found there: squared distances that differ by less than this share of the
squared norms count as equal. It is a thousand times what rounding leaves in them."""


@dataclass(frozen=True)
class Neighbours:
    """The four numbers; all but density lie in [0, 1]."""

    precision: float
    recall: float
    density: float
    coverage: float


@dataclass(frozen=True, eq=False)
class Balls:
    """A set of features (n, d) with each row's squared distance to its 3rd and its 5th nearest other row; build with ``of``."""

    features: Tensor
    narrow: Tensor
    wide: Tensor
    k: tuple[int, int]

    @staticmethod
    def of(features: Tensor, k: tuple[int, int] = (3, 5), entries: int = ENTRIES) -> Balls:
        """``k`` is (precision and recall, density and coverage); more rows are needed than either.

        Raises:
            ValueError: no (rows, features) table, NaN or infinite features, too few rows, k below 1.
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
    """The four numbers of ``generated`` (m rows) against ``real`` (n rows), both through one extractor and with one k."""
    if real.k != generated.k:
        raise ValueError(f"real has k = {real.k} and generated {generated.k}; build both balls with one k")
    if real.features.shape[1] != generated.features.shape[1]:
        raise ValueError(
            f"real has {real.features.shape[1]} features and generated {generated.features.shape[1]}; neighbours need equally "
            "many: give both sets through the same extractor"
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
    """(n,): how thick the rim of each ball of squared radius ``radius`` (n,) is taken to be."""
    return RIM * ((balls.features - centre).square().sum(1) + radius)
