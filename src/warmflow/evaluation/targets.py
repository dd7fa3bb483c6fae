"""In addition to the exchange rate: fewest calls for targets of quality fixed beforehand, and the gain at equal calls.

    ladder     targets n_eq of 25, 50, 100, ..., doubling. A row meets a target if the upper bounds of all metrics with a unit
               do, scanned from many calls to the first failure; it is *refuted* if the lower bound of some metric misses it
    rate       (fewest baseline calls not refuted) / (fewest calls at which the candidate meets it)

Doubtful numbers of calls count as not refuted, as in ``exchange``. A false speed-up requires that the candidate meets a target by
chance *and* baseline rows are refuted by chance. The rate is too low if a target is near a method's best n_eq.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from warmflow.evaluation.curves import Band, Curve, band_of_difference, distances
from warmflow.evaluation.exchange import ERROR, all_doubtful, fewest_calls

FIRST = 25


@dataclass(frozen=True)
class Target:
    """One target; numbers of calls are infinite if no measured row meets the condition.

    Args:
        n_eq: the target, as good as this number of real samples.
        candidate_calls: fewest calls at which the candidate meets the target.
        baseline_calls: fewest baseline calls that are not refuted.
        candidate_possible, baseline_certain: the same with candidate and baseline exchanged, for *no faster*.
    """

    n_eq: float
    candidate_calls: float
    baseline_calls: float
    candidate_possible: float
    baseline_certain: float

    @property
    def rate(self) -> float | None:
        """baseline_calls / candidate_calls; None if the candidate does not meet the target."""
        return self.baseline_calls / self.candidate_calls if math.isfinite(self.candidate_calls) else None


def rungs(most: float) -> list[float]:
    """The targets 25, 50, 100, ... up to ``most``."""
    return [FIRST * 2.0**j for j in range(64) if FIRST * 2.0**j <= most]


def meets(curve: Curve, scatter: Mapping[str, float], n_eq: float, error: float = ERROR) -> float:
    """Fewest calls at which all upper bounds meet the target, scanned from many calls to the first failure."""
    passes = np.ones(len(curve.calls), dtype=bool)
    for metric, value in scatter.items():
        passes &= distances(curve, metric).high(1 - error) <= value / n_eq
    found = math.inf
    for i in np.argsort(-curve.calls, kind="stable"):
        if not passes[i]:
            break
        found = float(curve.calls[i])
    return found


def refuted(curve: Curve, scatter: Mapping[str, float], n_eq: float, error: float = ERROR) -> np.ndarray:
    """(n,) bool: True for rows with a lower bound that misses the target."""
    level = 1 - error / max(len(scatter), 1)
    found = np.zeros(len(curve.calls), dtype=bool)
    for metric, value in scatter.items():
        found |= distances(curve, metric).low(level) > value / n_eq
    return found


def not_refuted(curve: Curve, scatter: Mapping[str, float], n_eq: float, error: float = ERROR) -> float:
    """Fewest calls at which no lower bound misses the target; in a gap of the grid, one more than the last row that misses it."""
    missed = refuted(curve, scatter, n_eq, error)
    if missed.all():
        return math.inf
    first = float(curve.calls[~missed].min())
    below = curve.calls[curve.calls < first]
    return min(first, math.floor(float(below.max()) + 1e-9) + 1.0) if len(below) else first


def ladder(
    candidate: Curve, baselines: Sequence[Curve], scatter: Mapping[str, float], most: float, error: float = ERROR
) -> list[Target]:
    """All targets up to ``most`` real samples that some method may reach."""
    if not scatter:
        return []
    found, doubtful = [], all_doubtful(candidate, baselines)
    for n_eq in rungs(most):
        met = meets(candidate, scatter, n_eq, error)
        missed = {b.name: refuted(b, scatter, n_eq, error) for b in baselines}
        target = Target(
            n_eq,
            met,
            fewest_calls(met, missed, baselines, doubtful),
            not_refuted(candidate, scatter, n_eq, error),
            min(meets(b, scatter, n_eq, error) for b in baselines),
        )
        found.append(target)
        if math.isinf(min(target.baseline_calls, target.candidate_possible)):
            break
    return found


@dataclass(frozen=True, eq=False)
class Gains:
    """D(other) - D(candidate) at equal calls on one metric, with a simultaneous 95 % band; ``calls`` (m,)."""

    metric: str
    calls: np.ndarray
    others: tuple[str, ...]
    band: Band


def gain_at_equal_calls(candidate: Curve, baselines: Sequence[Curve], metric: str) -> Gains | None:
    """The gain of each row of the candidate over the best baseline method at the same calls, chosen on the validation set.

    The band is simultaneous over the rows that are compared with the same baseline method.
    """
    shared: dict[str, list[tuple[int, int]]] = {}
    for i, calls in enumerate(candidate.calls):
        options = [(b, b.at(float(calls))) for b in baselines]
        here = [(float(b.validation[metric][j]), b.name, j) for b, j in options if j is not None]
        if here:
            _, name, j = min(here)
            shared.setdefault(name, []).append((i, j))
    if not shared:
        return None
    calls, names, parts = [], [], []
    for b in baselines:
        if b.name in shared:
            rows = np.array(shared[b.name])
            parts.append(band_of_difference(b, candidate, metric, rows[:, 1], rows[:, 0]))
            calls += [float(candidate.calls[i]) for i in rows[:, 0]]
            names += [b.name] * len(rows)
    order = np.argsort(calls, kind="stable")
    joined = [np.concatenate([getattr(p, key) for p in parts])[order] for key in ("estimate", "low", "high")]
    return Gains(metric, np.array(calls)[order], tuple(names[i] for i in order), Band(*joined))
