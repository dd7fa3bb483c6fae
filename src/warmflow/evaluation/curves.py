"""Distances by number of calls, and bounds on their differences.

For one metric, k training seeds, and R resamplings of the real test set shared by all methods, let D_s(n) be the distance of a
method at n calls under seed s, and D^r(n) its mean over seeds under resampling r. For the difference of two methods a and b

    estimate   d  = mean_s D_s(a) - mean_s D_s(b)
    training   v  = var_s D_s(a) / k + var_s D_s(b) / k,      estimated, with Welch's degrees of freedom nu
    real       w  = var_r ( D^r(a) - D^r(b) ),                known, R is large
    bounds     d -/+ sqrt( t(level, nu)^2 v + z(level)^2 w )

Methods are trained separately, so their seeds are independent (Welch). The real set is shared, so its resampling enters only
through the difference. The two terms are added in quadrature: if v is small by chance, a t quantile for v + w with
Satterthwaite's degrees of freedom is nearly normal, and had errors of up to 6 % at a nominal 2.5 % (two seeds, unequal noise).

A *simultaneous* band over many numbers of calls uses, instead of t, the quantile of max_n |T_n|, with T multivariate t with the
estimated correlation of the estimates and the smallest nu. Estimates at neighbouring calls come from the same networks and are
strongly correlated, so the band is much narrower than Bonferroni's.

*One of several rows.* If any of n one-sided tests may make the claim, each uses an error e* below their common error e: the
e-quantile of min_n p_n under the estimated correlation. It is computed from 1 + nu Gaussian vectors with this correlation, the
first for the estimates and the others for their variances, which accounts for a small number of seeds.

References:
    The generalization of "Student's" problem when several different population variances are involved, Welch, Biometrika 1947
    Simultaneous inference in general parametric models, Hothorn, Bretz, Westfall, Biometrical Journal 2008, arXiv 0809.2283
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

DRAWS = 4_000
LEVEL = 0.95  # of simultaneous bands
NORMAL_FROM = 30
"""Largest number of degrees of freedom that is simulated: beyond it the quantiles of t hardly change."""
MOST_FREEDOM = 1e6


@dataclass(frozen=True, eq=False)
class Curve:
    """One method at n numbers of steps, fewest calls first, under k training seeds.

    Args:
        steps, calls: (n,) each.
        values: by metric, distances (k, n).
        replicates: by metric, (n, R) means over seeds under each resampling of the real test set.
        validation: by metric, (n,) mean distances over seeds to the validation set.
        per_step: calls per step, the smallest possible spacing of rows.
    """

    name: str
    steps: np.ndarray
    calls: np.ndarray
    values: Mapping[str, np.ndarray]
    replicates: Mapping[str, np.ndarray]
    validation: Mapping[str, np.ndarray]
    per_step: float = 1.0

    @property
    def seeds(self) -> int:
        return int(next(iter(self.values.values())).shape[0])

    def mean(self, metric: str) -> np.ndarray:
        """(n,) means over seeds."""
        return np.asarray(self.values[metric].mean(0))

    def at(self, calls: float) -> int | None:
        """The index of the row at this number of calls; None if there is none."""
        found = np.flatnonzero(np.isclose(self.calls, calls))
        return int(found[0]) if len(found) else None


@dataclass(frozen=True, eq=False)
class Bounds:
    """Estimates (n,) with their variances (n,) due to training and due to the real set, and the degrees of freedom (n,) of the
    former."""

    estimate: np.ndarray
    training: np.ndarray
    real: np.ndarray
    freedom: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """(n,) standard errors."""
        return np.asarray(np.sqrt(self.training + self.real))

    @property
    def whole_freedom(self) -> np.ndarray:
        """(n,) Satterthwaite's degrees of freedom of the total variance."""
        share = self.training / np.maximum(self.training + self.real, 1e-300)
        return np.asarray(np.clip(self.freedom / np.maximum(share, 1e-3) ** 2, 1.0, MOST_FREEDOM))

    def reach(self, level: float) -> np.ndarray:
        """The distance (n,) from each estimate to its one-sided bound at a level such as 0.975."""
        return np.asarray(np.sqrt(stdtrit(self.freedom, level) ** 2 * self.training + ndtri(level) ** 2 * self.real))

    def low(self, level: float) -> np.ndarray:
        """(n,) one-sided lower bounds."""
        return np.asarray(self.estimate - self.reach(level))

    def high(self, level: float) -> np.ndarray:
        """(n,) one-sided upper bounds."""
        return np.asarray(self.estimate + self.reach(level))


def _spread(values: np.ndarray) -> np.ndarray:
    """(n,) variances of the means over seeds of values (k, n); 0 for one seed, which has no spread."""
    return values.var(0, ddof=1) / len(values) if len(values) > 1 else np.zeros(values.shape[1])


def _freedom(parts: tuple[np.ndarray, ...], k: int) -> np.ndarray:
    """Welch's degrees of freedom (n,) of the sum of variances (n,), each with k - 1 degrees of freedom."""
    below = sum(part**2 for part in parts) / max(k - 1, 1)
    return np.clip(sum(parts) ** 2 / np.maximum(below, 1e-300), max(k - 1, 1), MOST_FREEDOM)


def difference(a: Curve, b: Curve, metric: str, rows: np.ndarray | None = None, other: np.ndarray | int = 0) -> Bounds:
    """D(a) - D(b) between the rows (m,) of a (default: all) and the rows ``other`` of b, (m,) or a single row."""
    rows = np.arange(len(a.calls)) if rows is None else rows
    others = np.broadcast_to(np.asarray(other), rows.shape)
    x, y = a.values[metric][:, rows], b.values[metric][:, others]
    shared = (a.replicates[metric][rows] - b.replicates[metric][others]).var(1, ddof=1)
    parts = _spread(x), _spread(y)
    return Bounds(x.mean(0) - y.mean(0), parts[0] + parts[1], shared, _freedom(parts, a.seeds))


def distances(a: Curve, metric: str) -> Bounds:
    """D(a) of every row."""
    part = _spread(a.values[metric])
    return Bounds(a.mean(metric), part, a.replicates[metric].var(1, ddof=1), _freedom((part,), a.seeds))


def covariance_of_means(values: np.ndarray) -> np.ndarray:
    """(n, n) covariance of the means over seeds of values (k, n)."""
    if len(values) < 2:
        return np.zeros((values.shape[1],) * 2)
    return np.atleast_2d(np.cov(values, rowvar=False)) / len(values)


def simultaneous(covariance: np.ndarray, freedom: float) -> float:
    """The critical value of a two-sided 95 % band over n estimates with covariance (n, n): the quantile of max |T|."""
    generator = np.random.default_rng(0)
    z = np.abs(generator.standard_normal((DRAWS, len(covariance))) @ _root(covariance).T).max(1)
    chi = generator.chisquare(min(freedom, 1e4), DRAWS) / min(freedom, 1e4)
    pointwise = float(stdtrit(min(freedom, MOST_FREEDOM), 0.5 + LEVEL / 2))
    return max(pointwise, float(np.quantile(z / np.sqrt(chi), LEVEL)))


def _root(covariance: np.ndarray) -> np.ndarray:
    """(n, n) a root of the correlation matrix: root @ z has this correlation for z ~ N(0, I)."""
    spread = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    correlation = covariance / spread[:, None] / spread[None]
    values, vectors = np.linalg.eigh((correlation + correlation.T) / 2)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))


@lru_cache(maxsize=16)
def _normals(n: int) -> np.ndarray:
    """(1 + NORMAL_FROM, DRAWS, n) fixed standard normal draws."""
    return np.random.default_rng(0).standard_normal((1 + NORMAL_FROM, DRAWS, n), dtype=np.float32)


def shared_error(covariance: np.ndarray, freedom: float, error: float) -> float:
    """The error of each of n one-sided tests for which the probability that any of them makes a false claim is ``error``.

    Args:
        covariance: (n, n) covariance of the estimates.
        freedom: their degrees of freedom.
    """
    n = len(covariance)
    if n < 2:
        return error
    nu = int(min(max(round(freedom), 1), NORMAL_FROM))
    drawn = _normals(n)[: nu + 1] @ _root(covariance).T.astype(np.float32)
    estimates, variances = drawn[0], (drawn[1:] ** 2).mean(0)
    least = stdtr(nu, -(estimates / np.sqrt(np.maximum(variances, 1e-30))).max(1))
    return float(np.clip(np.quantile(least, error), error / n, error))


@dataclass(frozen=True, eq=False)
class Band:
    """Estimates (n,) with a two-sided band that covers all of them simultaneously."""

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray


def _band(bounds: Bounds, covariance: np.ndarray) -> Band:
    t, z = (simultaneous(covariance, freedom) for freedom in (float(bounds.freedom.min()), MOST_FREEDOM))
    reach = np.sqrt(t**2 * bounds.training + z**2 * bounds.real)
    return Band(bounds.estimate, bounds.estimate - reach, bounds.estimate + reach)


def band(a: Curve, metric: str) -> Band:
    """D(a) of every row with its simultaneous band."""
    covariance = covariance_of_means(a.values[metric]) + np.atleast_2d(np.cov(a.replicates[metric]))
    return _band(distances(a, metric), covariance)


def band_of_difference(a: Curve, b: Curve, metric: str, rows: np.ndarray, other: np.ndarray) -> Band:
    """D(a) - D(b) between the rows (m,) of a and ``other`` (m,) of b, with a simultaneous band over them."""
    covariance = covariance_of_means(a.values[metric][:, rows]) + covariance_of_means(b.values[metric][:, other])
    covariance = covariance + np.atleast_2d(np.cov(a.replicates[metric][rows] - b.replicates[metric][other]))
    return _band(difference(a, b, metric, rows, other), covariance)
