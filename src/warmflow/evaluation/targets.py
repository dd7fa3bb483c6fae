"""Beside the headline: fewest calls for qualities that were fixed beforehand, and the gain at equal calls.

    ladder     n_eq of 25, 50, 100, ..., doubling: a method meets a target where the upper bounds of all metrics with a unit do,
               scanned from many calls to few up to the first failure; it is *refuted* where some metric's lower bound misses it
    rate       (fewest baseline calls not refuted) / (fewest calls at which the candidate meets it)

Numbers of calls that are doubtful count as not refuted, as in ``exchange``. A false speed-up needs a target that the candidate
meets by luck *and* baseline rows refuted by bad luck; it reads low where a target is near a method's best.
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
    """One rung: calls are infinite where no measured row will do.

    Args:
        n_eq: as good as so many real samples.
        candidate_calls: fewest calls at which the candidate meets the target.
        baseline_calls: fewest baseline calls that are not refuted.
        candidate_possible, baseline_certain: the same the other way round, for *no faster*.
    """

    n_eq: float
    candidate_calls: float
    baseline_calls: float
    candidate_possible: float
    baseline_certain: float

    @property
    def rate(self) -> float | None:
        """None where the candidate does not meet the target."""
        return self.baseline_calls / self.candidate_calls if math.isfinite(self.candidate_calls) else None


def rungs(most: float) -> list[float]:
    """25, 50, 100, ... up to ``most``."""
    return [FIRST * 2.0**j for j in range(64) if FIRST * 2.0**j <= most]


def meets(curve: Curve, scatter: Mapping[str, float], n_eq: float, error: float = ERROR) -> float:
    """Fewest calls at which every upper bound meets the target, scanned from many calls to few up to the first failure."""
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
    """(n,) bool: where some lower bound misses the target."""
    level = 1 - error / max(len(scatter), 1)
    found = np.zeros(len(curve.calls), dtype=bool)
    for metric, value in scatter.items():
        found |= distances(curve, metric).low(level) > value / n_eq
    return found


def not_refuted(curve: Curve, scatter: Mapping[str, float], n_eq: float, error: float = ERROR) -> float:
    """Fewest calls at which no lower bound misses the target; one more than the last that does, where there is a gap."""
    missed = refuted(curve, scatter, n_eq, error)
    if missed.all():
        return math.inf
    first = float(curve.calls[~missed].min())
    below = curve.calls[curve.calls < first]
    return min(first, math.floor(float(below.max()) + 1e-9) + 1.0) if len(below) else first


def ladder(
    candidate: Curve, baselines: Sequence[Curve], scatter: Mapping[str, float], most: float, error: float = ERROR
) -> list[Target]:
    """Every rung up to ``most`` real samples that some method may reach."""
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
    """Beside each row of the candidate the baseline method that is best at the same calls, chosen on the validation set.

    The band is over the rows of one baseline method at a time: that which is best at most numbers of calls.
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
