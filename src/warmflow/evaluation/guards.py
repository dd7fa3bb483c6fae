"""Guards: checks for wrong class proportions and copying, which a small distance does not exclude.

    variation   1/2 sum_c |p_c - q_c| between class (or cluster) shares of samples and of real data. It is not 0 for finite
                samples of one distribution: the limit is the variation of sampling alone, or of the baseline row if larger
    copying     the share of samples below the q-quantile of the copying ratio of new real data (``metrics.copying``); the
                limit is q, or the share of the baseline row if larger

A guard fails if its lower bound is above the limit, for the mean over training seeds or for any single seed. The bounds account
for sampling with these networks only: a bound over seeds would be less strict if the seeds differ more, for example if only
one of them copies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from warmflow.evaluation.study import Measure, RealFacts

LEVEL = 0.975
COPYING_SLACK = 0.02  # a tolerated excess of two samples in a hundred


@dataclass(frozen=True)
class Guard:
    """One check of a row: an estimate with its one-sided lower bound, and the limit that the bound must not exceed."""

    name: str
    passes: bool
    estimate: float
    low: float
    limit: float
    detail: str = ""


def _variations(measures: Sequence[Measure], real: RealFacts) -> np.ndarray:
    assert real.shares is not None
    shares = [m.classes / m.classes.sum() for m in measures if m.classes is not None]
    return np.array([float(0.5 * (p - real.shares).abs().sum()) for p in shares])


def variation_guard(row: Sequence[Measure], baseline: Sequence[Measure], real: RealFacts) -> Guard | None:
    """The class guard of a row (its measures by seed) compared with its baseline row; None without classes."""
    if real.shares is None or any(m.classes is None for m in (*row, *baseline)):
        return None
    ours, theirs = _variations(row, real), _variations(baseline, real)
    allowed = real.variation_limit - real.variation_mean
    limit = max(real.variation_limit, (float(theirs.mean()) if len(theirs) else 0.0) + allowed)
    mean, worst = float(ours.mean()), float(ours.max()) - allowed  # a single seed may have twice the allowance
    detail = "" if mean > limit or worst <= limit else f"one training seed: {ours.max():.3f}"
    return Guard("class variation", max(mean, worst) <= limit, mean, max(mean, worst), limit, detail)


def copying_guard(row: Sequence[Measure], baseline: Sequence[Measure], real: RealFacts) -> Guard | None:
    """The copying guard of a row, at the quantile with the largest excess; None without training data."""
    if not real.quantiles or any(m.copies is None for m in (*row, *baseline)):
        return None
    z, n = ndtri(1 - (1 - LEVEL) / len(real.quantiles)), sum(m.samples for m in row) * 3 / 4
    found = []
    for j, q in enumerate(real.quantiles):
        ours, theirs = (
            np.array([float(m.copies[j]) for m in part if m.copies is not None]) for part in (row, baseline)
        )
        noise = real.copying_noise[j] if real.copying_noise else 0.0
        share, worst = float(ours.mean()), float(ours.max())
        limit = max(q, float(theirs.mean()) if len(theirs) else 0.0) + COPYING_SLACK
        low = share - z * math.hypot(math.sqrt(share * (1 - share) / n), noise)
        of_one = max(q, float(theirs.max()) if len(theirs) else 0.0) + COPYING_SLACK
        lowest = worst - z * math.hypot(math.sqrt(worst * (1 - worst) * len(ours) / n), noise) - of_one + limit
        said, which = (share, "") if low > limit or lowest <= limit else (worst, " of one training seed")
        detail = f"{said:.1%} of the samples{which} are nearer to the training set than {q:.0%} of new real data"
        low = max(low, lowest)
        found.append((low - limit, Guard("copying", low <= limit, share, low, limit, detail)))
    return max(found, key=lambda f: f[0])[1]


def guards(row: Sequence[Measure], baseline: Sequence[Measure], real: RealFacts) -> tuple[Guard, ...]:
    """All guards that are available in this study; without a baseline row they compare with real data only."""
    found = (variation_guard(row, baseline, real), copying_guard(row, baseline, real))
    return tuple(g for g in found if g is not None)
