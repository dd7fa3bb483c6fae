"""Frechet distance between Gaussians fitted to two sets of features; on Inception features this is FID.

    F = |mu_a - mu_b|^2 + tr S_a + tr S_b - 2 tr (S_a S_b)^(1/2)

The usual square root of the non-symmetric product S_a S_b gives NaN or complex numbers if there are fewer samples than
features. Let A be the centred features divided by sqrt(n - 1), so S_a = A'A, and A = Q_a R_a with orthonormal Q_a. Then

    tr (S_a S_b)^(1/2) = |S_a^(1/2) S_b^(1/2)|_* = |A B'|_* = |R_a R_b'|_*        (|.|_*: sum of singular values)

which needs no square root of a covariance, is real for any n and d, and costs a decomposition of min(n, d) x min(m, d).
F of finite sets is biased upwards by an amount that depends on their sizes: compare only sets of equal size, and state it.

References:
    GANs trained by a two time-scale update rule converge to a local Nash equilibrium, Heusel et al., 2017,
    arXiv 1706.08500 (FID)
    The Frechet distance between multivariate normal distributions, Dowson, Landau, J. Multivariate Analysis 1982
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import Metric
from warmflow.metrics.distances import flatten
from warmflow.metrics.extractors.base import NamedExtractor
from warmflow.metrics.resampled import Extractor, features_of


@dataclass(frozen=True)
class Frechet(Metric):
    """F, defined above, on the features of ``extractor`` (None: the flattened samples); unit: squared feature."""

    name: str = "frechet"
    extractor: Extractor | None = None

    @staticmethod
    def on(extractor: NamedExtractor) -> Frechet:
        """The metric on this extractor, which is part of its name: "Frechet distance, EfficientNet-Lite0 at 224 px"."""
        return Frechet(f"Frechet distance, {extractor.name}", extractor)

    def features(self, x: Tensor) -> Tensor:
        return flatten(x if self.extractor is None else features_of(self.extractor, x))

    def distance(self, a: Tensor, b: Tensor) -> float:
        """F of features (n, d) and (m, d), n and m at least 2; never NaN for finite features, 0 for equal sets.

        Reference: Dowson, Landau 1982; FID in Heusel et al. 2017.
        """
        if min(len(a), len(b)) < 2:
            raise ValueError(f"metric {self.name!r} was given {len(a)} and {len(b)} rows; it needs at least 2 of each")
        (mean_a, factor_a), (mean_b, factor_b) = _fit(a.double()), _fit(b.double())
        cross = torch.linalg.svdvals(factor_a @ factor_b.T).sum()
        spread = factor_a.square().sum() + factor_b.square().sum() - 2 * cross
        return max(0.0, float((mean_a - mean_b).square().sum() + spread))


def _fit(x: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (d,) and a factor R (min(n, d), d) such that R'R is the covariance."""
    mean = x.mean(0)
    return mean, torch.linalg.qr((x - mean) / (len(x) - 1) ** 0.5, mode="r").R
