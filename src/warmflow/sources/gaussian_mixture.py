"""A Gaussian mixture in the space of the first principal components: a draft that costs microseconds.

    z = P (x - centre),   z | k ~ N(m_k, L_k L_k'),   x0 = centre + P' z

The mixture is fitted by scikit-learn. Sampling is our own, because scikit-learn's ``sample`` groups rows by component and
repeats itself under a fixed random state. Drafts lie in a low-dimensional subspace, so a flow that starts from them without
noise can read the data point from the orthogonal part of x_t: wrap the source in ``Blurred``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise

LARGEST = 20_000_000
"""Largest number of entries in a product before it is summed: 160 MB."""


@dataclass(frozen=True, eq=False)
class GaussianMixture(Source):
    """weights (K,), means (K, p), factors (K, p, p), axes (p, d), centre (d,), all float64."""

    weights: Tensor
    means: Tensor
    factors: Tensor
    axes: Tensor
    centre: Tensor
    shape: tuple[int, ...]
    takes: frozenset[str] = frozenset()

    @staticmethod
    def fit(x: Tensor, *, components: int = 10, dimensions: int = 30, seed: int = 0) -> GaussianMixture:
        """Fits a mixture to x (n, *S) in the space of its first ``dimensions`` principal components, or of all if there are
        fewer.

        Raises:
            ValueError: fewer than one component, or fewer than two data points per component.
        """
        from sklearn.decomposition import PCA
        from sklearn.mixture import GaussianMixture as Fit

        if components < 1 or len(x) < 2 * components:
            raise ValueError(
                f"components is {components}; for {len(x)} data points it must be between 1 and {len(x) // 2}"
            )
        flat = x.flatten(1).double().numpy()
        pca = PCA(min(dimensions, *flat.shape), random_state=seed % 2**32, svd_solver="full").fit(flat)
        fit = Fit(components, random_state=seed % 2**32, reg_covar=1e-3).fit(pca.transform(flat))
        return GaussianMixture(
            torch.as_tensor(fit.weights_),
            torch.as_tensor(fit.means_),
            torch.linalg.cholesky(torch.as_tensor(fit.covariances_)),
            torch.as_tensor(pca.components_),
            torch.as_tensor(pca.mean_),
            tuple(x.shape[1:]),
        )

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        levels = torch.cumsum(self.weights, 0)
        k = torch.searchsorted(levels, noise.uniform("component") * levels[-1]).clamp(max=len(levels) - 1)
        eps = noise.normal("gaussian", self.means.shape[1], dtype=torch.float64)
        at_once = max(1, LARGEST // self.axes.numel())  # row-wise sums: the rounding does not depend on n
        parts = []
        for rows in torch.arange(n).split(at_once):
            z = self.means[k[rows]] + (eps[rows][:, None, :] * self.factors[k[rows]]).sum(-1)
            parts.append(self.centre + (z[:, None, :] * self.axes.T).sum(-1))
        x = torch.cat(parts) if parts else torch.zeros(0, len(self.centre))
        return Start(x.float().reshape(n, *self.shape), dict(condition or {}))
