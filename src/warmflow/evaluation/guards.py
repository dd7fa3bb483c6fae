"""Guards: a method may be near to the data for the wrong reason.

    variation   1/2 sum_c |p_c - q_c| between class (or cluster) shares of samples and of real data. Finite samples of one
                distribution do not give 0: it is held against what sampling alone gives, or the baseline row's own if larger
    copying     the share of samples that lie below the q-quantile of the copying ratio of new real data
                (``metrics.copying``), against q, or the baseline row's own share if larger

Each fails only where its one-sided bound over training seeds is past the limit: a guard has to be sure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from warmflow.evaluation.study import Measure, RealFacts

LEVEL = 0.975
COPYING_SLACK = 0.02
"""Two samples in a hundred: below it nobody would speak of copying."""


@dataclass(frozen=True)
class Guard:
    """One check of a row: an estimate with its one-sided lower bound, and the limit that the bound may not pass."""

    name: str
    passes: bool
    estimate: float
    low: float
    limit: float
    detail: str = ""


def _low(values: np.ndarray, noise: float = 0.0, level: float = LEVEL) -> float:
    """The lower bound of a mean over seeds; ``noise`` is a standard error that all seeds share."""
    k = len(values)
    if k < 2:
        return float(values.mean() - 1.96 * noise)
    total = values.var(ddof=1) / k + noise**2
    freedom = min(max(total**2 / max((values.var(ddof=1) / k) ** 2 / (k - 1), 1e-300), 1.0), 1e6)
    return float(values.mean() - stdtrit(freedom, level) * math.sqrt(total))


def _variations(measures: Sequence[Measure], real: RealFacts) -> np.ndarray:
    assert real.shares is not None
    shares = [m.classes / m.classes.sum() for m in measures if m.classes is not None]
    return np.array([float(0.5 * (p - real.shares).abs().sum()) for p in shares])


def variation_guard(row: Sequence[Measure], baseline: Sequence[Measure], real: RealFacts) -> Guard | None:
    """The class guard of a row (its measures by seed) beside the baseline's row it is exchanged for; None without classes."""
    if real.shares is None or any(m.classes is None for m in (*row, *baseline)):
        return None
    ours, theirs = _variations(row, real), _variations(baseline, real)
    mean = float(theirs.mean()) if len(theirs) else 0.0
    limit = max(real.variation_limit, mean + real.variation_limit - real.variation_mean)
    low = _low(ours)
    return Guard("class variation", low <= limit, float(ours.mean()), low, limit)


def copying_guard(row: Sequence[Measure], baseline: Sequence[Measure], real: RealFacts) -> Guard | None:
    """The copying guard of a row, at the quantile where it is worst; None without training data."""
    if not real.quantiles or any(m.copies is None for m in (*row, *baseline)):
        return None
    level = 1 - (1 - LEVEL) / len(real.quantiles)
    found = []
    for j, q in enumerate(real.quantiles):
        ours, theirs = (
            np.array([float(m.copies[j]) for m in part if m.copies is not None]) for part in (row, baseline)
        )
        limit = max(q, float(theirs.mean()) if len(theirs) else 0.0) + COPYING_SLACK
        noise = real.copying_noise[j] if real.copying_noise else 0.0
        low = _low(ours, noise, level)
        detail = f"{ours.mean():.1%} of the samples are nearer to the training set than {q:.0%} of new real data"
        found.append((low - limit, Guard("copying", low <= limit, float(ours.mean()), low, limit, detail)))
    return max(found, key=lambda f: f[0])[1]


def guards(row: Sequence[Measure], baseline: Sequence[Measure], real: RealFacts) -> tuple[Guard, ...]:
    """The guards that this study can have; without a baseline's row they are held against real data alone."""
    found = (variation_guard(row, baseline, real), copying_guard(row, baseline, real))
    return tuple(g for g in found if g is not None)
