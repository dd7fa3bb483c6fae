"""Fields known in closed form, for tests, documentation and the audit.

Let a = (1 - t) / (1 - t0) and b = (t - t0) / (1 - t0), so that x_t = a x0 + b x1 and u = (x1 - x0) / (1 - t0).

Independent Gaussian ends: (u, x_t) is jointly Gaussian, so

    E[u | x_t] = ((m1 - m0) + (b C1 - a C0) (a^2 C0 + b^2 C1)^-1 (x_t - a m0 - b m1)) / (1 - t0).

Mixture of components k, each with its own independent ends N(c_k, p^2 I) and N(m_k, q^2 I): the formula above within each
component, averaged over components with the posterior weights of x_t under N(a c_k + b m_k, (a^2 p^2 + b^2 q^2) I).

A finite data set is the mixture with q = 0. With c = 0 and p = 1 it is the cold flow of the data set; with c_k the draft of
data point k and p = sigma, the warm flow of a paired data set whose field does not see the draft.

References:
    Flow Matching for Generative Modeling, Lipman et al., 2022, arXiv 2210.02747, eq. 8 (marginal velocity)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import Estimate, Field, Start
from warmflow.number_checks import numbers_checked
from warmflow.paths import LinearPath
from warmflow.paths.linear import spread


def _estimate(velocity: Tensor, x_t: Tensor, t: Tensor, start: Start, path: LinearPath) -> Estimate:
    velocity = velocity.to(x_t.dtype)
    calls = torch.ones(len(x_t), dtype=torch.int64, device=x_t.device)
    return Estimate(calls, x1=path.x1(velocity, x_t, t, start), velocity=velocity)


@dataclass(frozen=True, eq=False)
class ExactGaussian(Field):
    """Independent ends N(mean0, cov0) and N(mean1, cov1): means (d,), covariances (d, d), x (B, d)."""

    mean0: Tensor
    cov0: Tensor
    mean1: Tensor
    cov1: Tensor
    path: LinearPath

    def __call__(self, x_t: Tensor, t: Tensor, start: Start, *, at: Tensor | None = None) -> Estimate:
        a, b = (c[:, None] for c in self.path.coefficients(t, start))
        x = x_t.double()
        cov_t = a[..., None] ** 2 * self.cov0.double() + b[..., None] ** 2 * self.cov1.double()
        cross = b[..., None] * self.cov1.double() - a[..., None] * self.cov0.double()
        centred = x - a * self.mean0.double() - b * self.mean1.double()
        slope = (cross @ torch.linalg.solve(cov_t, centred[..., None]))[..., 0]
        velocity = (self.mean1.double() - self.mean0.double() + slope) / (1 - self.path.begin(start))[:, None]
        return _estimate(velocity, x_t, t, start, self.path)


@dataclass(frozen=True, eq=False)
class ExactMixture(Field):
    """A mixture of components k with ends N(starts_k, start_std^2 I) and N(ends_k, end_std^2 I).

    ``starts`` and ``ends`` are (K, *S) (``starts`` may be (1, *S)); ``weights`` (K,) sums to 1.
    """

    weights: Tensor
    starts: Tensor
    ends: Tensor
    start_std: float
    end_std: float
    path: LinearPath

    def __call__(self, x_t: Tensor, t: Tensor, start: Start, *, at: Tensor | None = None) -> Estimate:
        a, b = (c[:, None] for c in self.path.coefficients(t, start))
        x = x_t.double().flatten(1)
        c, m = self.starts.double().flatten(1), self.ends.double().flatten(1)
        variance = a**2 * self.start_std**2 + b**2 * self.end_std**2  # (B, 1)
        # |x - a c_k - b m_k|^2, expanded so that no (B, K, d) tensor is formed
        cross = a * (x @ c.T) + b * (x @ m.T)
        norms = a**2 * (c**2).sum(1) + 2 * a * b * (c * m).sum(1) + b**2 * (m**2).sum(1)
        square = (x**2).sum(1, keepdim=True) - 2 * cross + norms
        posterior = torch.softmax(self.weights.double().log() - square / (2 * variance), dim=1)  # (B, K)
        c_bar = posterior @ c if len(c) > 1 else c.expand(len(x), -1)
        m_bar = posterior @ m
        gain = (b * self.end_std**2 - a * self.start_std**2) / variance
        velocity = m_bar - c_bar + gain * (x - a * c_bar - b * m_bar)
        velocity = velocity.reshape(x_t.shape) / spread(1 - self.path.begin(start), velocity.reshape(x_t.shape))
        return _estimate(velocity, x_t, t, start, self.path)


@numbers_checked
def finite_data(x1: Tensor, starts: Tensor | None = None, sigma: float = 1.0, t0: float = 0.0) -> ExactMixture:
    """The exact field of a finite data set x1 (N, *S).

    Without ``starts`` the source is N(0, sigma^2 I) (cold). With ``starts`` (N, *S), row k is the draft paired with data point
    k, blurred by ``sigma`` > 0, and the field does not see it.

    Raises:
        ValueError: sigma is not positive.
    """
    if sigma <= 0:
        raise ValueError(f"sigma is {sigma}; the finite-data field needs a start with some noise, sigma > 0")
    weights = torch.full((len(x1),), 1 / len(x1), dtype=torch.float64)
    starts = torch.zeros_like(x1[:1]) if starts is None else starts
    return ExactMixture(weights, starts, x1, sigma, 0.0, LinearPath(t0))
