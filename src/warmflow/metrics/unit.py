"""The unit of a squared MMD: a number of real samples.

    n_eq = (1 - E k(X, X')) / D

is the number of real samples whose empirical distribution is on average as far from the data as the samples measured are
(derived in ``metrics.mmd``): *as good as 400 real images*. It does not depend on how many samples were measured, because D
is unbiased; it is infinite at D <= 0, where the samples are not shown to differ from the data at all. The numerator is
called ``scatter`` here and is estimated by ``MMD.scatter``; a real set of m points gives it with an error of about 1/m,
which is small beside that of D and is left out of bounds.

n_eq falls as D rises, so bounds invert: D in [low, high] means n_eq in [scatter / high, scatter / low], where an end of D at
or below 0 gives infinity. An interval for D that holds 0 has no finite upper end as a number of real samples.
"""

from __future__ import annotations

import math


def equivalent(distance: float, scatter: float) -> float:
    """n_eq: how many real samples are as far from the data as ``distance``; infinite at a distance of 0 or below.

    Raises:
        ValueError: distance is NaN, or scatter is not in (0, 1].
    """
    _check_scatter(scatter)
    if math.isnan(distance):
        raise ValueError("distance is NaN; give a measured distance")
    return scatter / distance if distance > 0 else math.inf


def distance_at(n: float, scatter: float) -> float:
    """The mean distance of n real samples' empirical distribution to the data; 0 at n = infinity.

    The inverse of ``equivalent``.

    Raises:
        ValueError: n is NaN, 0 or negative, or scatter is not in (0, 1].
    """
    _check_scatter(scatter)
    if not n > 0:
        raise ValueError(f"n is {n}; give a positive number of real samples")
    return scatter / n


def equivalent_bounds(low: float, high: float, scatter: float) -> tuple[float, float]:
    """Bounds (low, high) on D as bounds (fewest, most) on n_eq.

    Raises:
        ValueError: low above high, NaN, or scatter not in (0, 1].
    """
    if not low <= high:
        raise ValueError(f"low is {low} and high {high}; give the lower bound on the distance first")
    return equivalent(high, scatter), equivalent(low, scatter)


def _check_scatter(scatter: float) -> None:
    if not 0 < scatter <= 1:
        raise ValueError(
            f"scatter is {scatter}; 1 - E k(X, X') lies in (0, 1] for a kernel in [0, 1]: compute it by MMD.scatter "
            "on real samples that are not all equal"
        )
