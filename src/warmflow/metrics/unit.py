"""Squared MMD expressed as a number of real samples.

    n_eq = (1 - E k(X, X')) / D

is the number of real samples whose empirical distribution is on average as far from the data as the measured samples are
(derived in ``metrics.mmd``): *as good as 400 real images*. It does not depend on the number of measured samples, because D
is unbiased. It is infinite for D <= 0, where no difference between samples and data is shown. The numerator is called
``scatter`` and is estimated by ``MMD.scatter``; its error with m real points is about 1/m, which is small compared with that
of D and is neglected in bounds.

n_eq decreases with D, so bounds are inverted: D in [low, high] means n_eq in [scatter / high, scatter / low], where a bound of
D at or below 0 gives infinity. If the interval of D contains 0, n_eq has no finite upper bound.
"""

from __future__ import annotations

import math


def equivalent(distance: float, scatter: float) -> float:
    """n_eq: the number of real samples that are as far from the data as ``distance``; infinite if it is 0 or negative.

    Raises:
        ValueError: distance is NaN, or scatter is not in (0, 1].
    """
    _check_scatter(scatter)
    if math.isnan(distance):
        raise ValueError("distance is NaN; give a measured distance")
    return scatter / distance if distance > 0 else math.inf


def _check_scatter(scatter: float) -> None:
    if not 0 < scatter <= 1:
        raise ValueError(
            f"scatter is {scatter}; 1 - E k(X, X') is in (0, 1] for a kernel in [0, 1]: compute it by MMD.scatter "
            "on real samples that are not all equal"
        )
