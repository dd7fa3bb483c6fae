"""Probabilistic principal component analysis: a Gaussian that is exact in q directions and round in the others.

    x0 = mean + A' (L - s^2 I)^(1/2) z + s eps,        z ~ N(0, I_q),  eps ~ N(0, I_d)

The rows of A (q, d) are the eigenvectors of the data's covariance (d, d) with the largest eigenvalues L, and s^2 is the mean of
the other d - q eigenvalues. This maximises the likelihood of the data among all Gaussians of covariance W W' + s^2 I, W (d, q).
Therefore

    cov x0 = A' L A + s^2 (I - A' A)

has the q largest eigenvalues of the data's covariance, its eigenvectors and its trace. It is a draft of graded quality: from
q = 1, little more than noise of the data's scale, to q = d - 1, almost the full Gaussian (the draft ``gaussian``). It holds
d (q + 1) numbers and the full Gaussian d (d + 3) / 2.

References:
    Probabilistic Principal Component Analysis, Tipping, Bishop, Journal of the Royal Statistical Society B, 1999 (the maximum of
        the likelihood: eq. 7, 8)
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from warmflow.contracts import Source
from warmflow.drafts.base import Draft, Place
from warmflow.drafts.mixture import only_floats
from warmflow.options import Count, options
from warmflow.setup import Setup
from warmflow.sources import GaussianMixture
from warmflow.sources.jittered import Jittered

MOST, FLOOR = 30, 1e-4
"""Directions that are kept by default, at most; and the least variance s^2, as of the other Gaussian drafts."""


@options
class ProbabilisticPCA(Draft):
    """A Gaussian with a few principal components of the data, and noise of one variance in all other directions."""

    name: ClassVar[str] = "probabilistic-pca"
    dimensions: Count | None = None
    """Number of principal components; by default 30, or half of the sample's numbers if there are fewer."""

    def _dimensions(self, setup: Setup) -> int:
        return self.dimensions or max(1, min(MOST, math.prod(setup.shape) // 2))

    def fits(self, setup: Setup) -> str:
        most = math.prod(setup.shape) - 1
        if setup.space == "floats" and self._dimensions(setup) > most:
            return (
                f"dimensions is {self._dimensions(setup)}; of samples of {most + 1} numbers it must be at most {most}"
            )
        return only_floats(self, setup)

    def fit(self, setup: Setup, place: Place) -> Source:
        return fitted_pca(setup.data.train.x1, self._dimensions(setup))


def fitted_pca(x: Tensor, dimensions: int) -> Jittered:
    """The source that maximises the likelihood of x (n, *S) with this number of principal components, less than d."""
    flat = x.flatten(1).double()
    mean, (n, d) = flat.mean(0), flat.shape
    centred = flat - mean
    wide = d > n  # then the eigenvectors are found from the (n, n) matrix of products
    values, vectors = torch.linalg.eigh((centred @ centred.T if wide else centred.T @ centred) / n)
    order = values.argsort(descending=True)[:dimensions]
    top, axes = values[order], vectors[:, order]
    if wide:
        axes = torch.nn.functional.normalize(centred.T @ axes, dim=0)
    rest = max(FLOOR, float(values.sum() - top.sum()) / (d - len(top)))
    factor = torch.diag((top - rest).clamp(min=0).sqrt())
    low = GaussianMixture(
        torch.ones(1, dtype=torch.float64), torch.zeros(1, len(top), dtype=torch.float64), factor[None], axes.T.contiguous(),
        mean, tuple(x.shape[1:]),
    )  # fmt: skip
    return Jittered(low, math.sqrt(rest))
