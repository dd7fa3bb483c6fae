"""Sliced Wasserstein distance: optimal transport in one dimension, averaged over directions.

    SW(a, b)^2 = mean over directions u of W(u.a, u.b)^2,      W^2 = int_0^1 |F_a^-1(q) - F_b^-1(q)|^2 dq

In one dimension the optimal transport matches quantiles. The quantile functions of finite sets are step functions, so the
integral is a sum over the merged grid of i/n and j/m, which is exact for unequal sizes too. The directions depend only on the
metric's seed and the number of features, so they are the same for all methods. Two distributions that differ by a shift v in d
dimensions have SW^2 = mean (u.v)^2, about |v|^2 / d.

References:
    Sliced and Radon Wasserstein barycenters of measures, Bonneel, Rabin, Peyre, Pfister, JMIV 2015
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import Metric
from warmflow.metrics.distances import flatten
from warmflow.metrics.resampled import Extractor, features_of
from warmflow.noise import Noise


@dataclass(frozen=True)
class SlicedWasserstein(Metric):
    """SW, defined above (2-Wasserstein, not squared), on the features of ``extractor``; unit: feature."""

    name: str = "sliced_wasserstein"
    projections: int = 128
    seed: int = 0
    extractor: Extractor | None = None

    def __post_init__(self) -> None:
        if self.projections < 1:
            raise ValueError(f"projections of metric {self.name!r} is {self.projections}; at least 1 is needed")

    def features(self, x: Tensor) -> Tensor:
        return flatten(x if self.extractor is None else features_of(self.extractor, x))

    def directions(self, d: int) -> Tensor:
        """The unit vectors (projections, d) float64 used for d features."""
        u = Noise.of(self.seed, self.projections).normal("direction", d, dtype=torch.float64)
        return u / u.norm(dim=1, keepdim=True)

    def distance(self, a: Tensor, b: Tensor) -> float:
        """SW of features (n, d) and (m, d), at least one row each."""
        if min(len(a), len(b)) < 1 or a.shape[1] != b.shape[1]:
            raise ValueError(
                f"a and b are {tuple(a.shape)} and {tuple(b.shape)}; both need rows, and equally many features"
            )
        u = self.directions(a.shape[1])
        along_a, along_b = ((x.double() @ u.T).sort(dim=0).values for x in (a, b))
        if len(a) == len(b):
            return float((along_a - along_b).square().mean().sqrt())
        steps = torch.cat([torch.arange(1, len(x) + 1, dtype=torch.float64) / len(x) for x in (a, b)]).sort().values
        width = torch.diff(steps, prepend=torch.zeros(1, dtype=torch.float64))
        middle = (
            steps - width / 2
        )  # inside one step of each; if two ends coincide the width is 0 and the row does not matter
        gap = torch.zeros(len(middle), len(u), dtype=torch.float64)
        for along, sign in ((along_a, 1), (along_b, -1)):
            gap += sign * along[(middle * len(along)).long().clamp(max=len(along) - 1)]
        return float((width[:, None] * gap.square()).sum(0).mean().sqrt())
