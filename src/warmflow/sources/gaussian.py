"""A single Gaussian fitted to the data, the cheapest draft: x0 = mean + L eps, where L L' is the covariance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise


def covariance_factor(x: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """The mean (d,) and the lower Cholesky factor (d, d), float64, of rows x (n, d). ``floor`` is added to the variances."""
    x = x.double()
    mean = x.mean(0)
    centred = x - mean
    covariance = centred.T @ centred / max(len(x) - 1, 1)
    covariance = covariance + floor * torch.eye(x.shape[1], dtype=torch.float64)
    return mean, torch.linalg.cholesky(covariance)


@dataclass(frozen=True, eq=False)
class Gaussian(Source):
    """N(mean, factor factor') with ``mean`` (d,) and ``factor`` (d, d) in float64; d is the product of ``shape``."""

    mean: Tensor
    factor: Tensor
    shape: tuple[int, ...]
    takes: frozenset[str] = frozenset()

    @staticmethod
    def fit(x: Tensor, *, floor: float = 1e-4) -> Gaussian:
        """Fits the sample mean and covariance of x (n, *S).

        Args:
            floor: added to the variances (squared units of x), so that the covariance is invertible.

        Raises:
            ValueError: fewer than 2 rows.
        """
        if len(x) < 2:
            raise ValueError(f"a Gaussian draft needs at least 2 data points, got {len(x)}")
        mean, factor = covariance_factor(x.flatten(1), floor)
        return Gaussian(mean, factor, tuple(x.shape[1:]))

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        eps = noise.normal("gaussian", len(self.mean), dtype=torch.float64)
        # a sum instead of a matrix product, whose rounding would depend on the number of rows
        x = self.mean + (eps[:, None, :] * self.factor).sum(-1)
        return Start(x.float().reshape(n, *self.shape), dict(condition or {}))
