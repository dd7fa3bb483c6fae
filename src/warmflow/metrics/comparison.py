"""Is one arm as good as another, over training seeds and over real sets; and is it good for the wrong reason?

For k seeds, d_s = D(a_s) - D(b_s) against one held-out real set and d_sr the same under resampling r of that set (one
set of resamplings for all arms and seeds):

    variance = var_s(d_s) / k + var_r(mean_s d_sr)                seeds, and the real set
    bounds   = mean_s d_s -/+ t(95 %, k - 1) sqrt(variance)

The second term also holds a k-th part of the samples' own noise, which the first has already: it errs on the side of
*not as good* (for two equal arms the standard error comes out about 30 % too large).

References:
    Proving the null hypothesis in clinical trials, Blackwelder, Controlled Clinical Trials 1982 (non-inferiority)
    Multiparameter hypothesis testing and acceptance sampling, Berger, Technometrics 1982 (several tests that must all
    hold need no correction)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import stdtrit

from warmflow.metrics.ruler import Measure, Ruler

SHARE_SLACK = 0.01
MEAN_SLACK = 0.02
"""Ours: how far past the band of held-out real sets copying must be, with 95 % confidence, to fail. One sample in a
hundred, and a fiftieth of the ratio, are below what any reader would call copying."""


@dataclass(frozen=True)
class Difference:
    """The mean over seeds of D(a) - D(b) with its one-sided bounds at ``level``; None where one seed gives none."""

    metric: str
    estimate: float
    low: float | None
    high: float | None
    level: float
    margin: float

    @property
    def holds(self) -> bool:
        return self.high is not None and self.high < self.margin


@dataclass(frozen=True)
class Comparison:
    """One Difference a metric, the primary first."""

    differences: tuple[Difference, ...]

    @property
    def holds(self) -> bool:
        return all(d.holds for d in self.differences)

    @property
    def primary(self) -> Difference:
        return self.differences[0]


@dataclass(frozen=True)
class Guard:
    """One check of a row: its value, the limit it was held against (of a ratio, how far it may lie from 1), and a phrase for the
    claim."""

    name: str
    passes: bool
    value: float
    limit: float
    says: str


def _spread(values: np.ndarray, replicates: np.ndarray) -> float:
    """The standard error of the mean of values (k,) with replicates (k, R): seeds (where k > 1) and the real set."""
    between = float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0
    return math.sqrt(between + float(replicates.mean(0).var(ddof=1)))


def as_good(ruler: Ruler, a: Mapping[int, Measure], b: Mapping[int, Measure], level: float = 0.95) -> Comparison:
    """Is a as good as b? Measures by training seed, the same seeds in both; see the module for the bounds."""
    if set(a) != set(b) or not a:
        raise ValueError(f"a has seeds {sorted(a)} and b {sorted(b)}; pairs share the seed: give both the same seeds")
    found = []
    for metric in ruler.metrics:
        bounds = difference(a, b, metric.name, level)
        found.append(Difference(metric.name, **bounds, level=level, margin=ruler.margin(metric.name)))
    return Comparison(tuple(found))


def difference(a: Mapping[int, Measure], b: Mapping[int, Measure], name: str, level: float = 0.95) -> dict[str, Any]:
    """The mean over seeds of D(a) - D(b) on metric ``name`` and its one-sided bounds (estimate, low, high)."""
    seeds = sorted(a)
    values = np.array([a[s].distance[name] - b[s].distance[name] for s in seeds])
    replicates = torch.stack([a[s].replicates[name] - b[s].replicates[name] for s in seeds]).numpy()
    estimate = float(values.mean())
    if len(seeds) < 2:
        return {"estimate": estimate, "low": None, "high": None}
    reach = float(stdtrit(len(seeds) - 1, level)) * _spread(values, replicates)
    return {"estimate": estimate, "low": estimate - reach, "high": estimate + reach}


def guards(ruler: Ruler, row: Mapping[int, Measure], cold: Mapping[int, Measure]) -> dict[str, Guard]:
    """The two guards of a row, beside the cold reference; measures by seed.

    variation: mean TV over seeds is at most the floor's 95 % quantile, or is above cold's by at most what that quantile
    is above the floor's mean. copying (one-sided; less copying never fails): fails if the 95 % lower bound over seeds
    of the share below 1/2 exceeds the band of held-out real sets by more than 0.01, or the 95 % upper bound of the mean
    ratio lies more than 0.02 below it. Both slacks are our choices.
    """
    floor, band = ruler.variation, ruler.copying
    value, reference = (float(np.mean([m.variation for m in group.values()])) for group in (row, cold))
    limit = max(floor.limit, reference + floor.limit - floor.mean)
    says = f"variation guard ({value:.3f}, allowed {limit:.3f})"
    found = {"variation": Guard("variation", value <= limit, value, limit, says)}
    share, ratio = (np.array([getattr(m, name) for m in row.values()]) for name in ("copying_share", "copying_mean"))
    reach = float(stdtrit(len(share) - 1, 0.95)) / math.sqrt(len(share)) if len(share) > 1 else 0.0
    lower = float(share.mean()) - reach * (float(share.std(ddof=1)) if reach else 0.0)
    upper = float(ratio.mean()) + reach * (float(ratio.std(ddof=1)) if reach else 0.0)
    passes = lower <= band.share_limit + SHARE_SLACK and upper >= band.mean_limit - MEAN_SLACK
    says = (
        f"copying guard (share below 1/2 {share.mean():.3f}, allowed {band.share_limit + SHARE_SLACK:.3f}; mean ratio "
        f"{ratio.mean():.3f}, allowed {band.mean_limit - MEAN_SLACK:.3f})"
    )
    found["copying"] = Guard("copying", passes, float(share.mean()), band.share_limit + SHARE_SLACK, says)
    return found


def ratio_guard(name: str, row: Mapping[int, Measure], colds: Sequence[Mapping[int, Measure]], slack: float) -> Guard:
    """A guard on a number shown beside the distances that is 1 where the law is kept; measures by seed.

    It fails where its mean over seeds lies further from 1 than that of the cold row nearest to 1 by more than ``slack``:
    distances between whole sets do not see a law *given the input*, of which a regression keeps nothing.
    """
    value, *others = (float(np.mean([m.beside[name] for m in group.values()])) for group in (row, *colds))
    nearest = min(others, key=lambda other: abs(other - 1))
    limit = abs(nearest - 1) + slack
    says = f"{name} guard ({value:.2f}, cold's nearest to 1 {nearest:.2f}, allowed {slack:g} further off)"
    return Guard(name, abs(value - 1) <= limit, value, limit, says)


def interval(measures: Mapping[int, Measure], name: str) -> dict[str, float]:
    """The mean distance on metric ``name`` over seeds with its two-sided 95 % interval (distance, low, high); with one
    seed it is that of the real set's resampling alone."""
    values = np.array([m.distance[name] for m in measures.values()])
    replicates = torch.stack([m.replicates[name] for m in measures.values()]).numpy()
    quantile = float(stdtrit(len(values) - 1, 0.975)) if len(values) > 1 else 1.96
    mean, reach = float(values.mean()), quantile * _spread(values, replicates)
    return {"distance": mean, "low": mean - reach, "high": mean + reach}
