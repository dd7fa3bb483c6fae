"""The certified exchange rate: how many baseline calls a candidate's call is worth.

A baseline row is *shown to be worse* than a candidate's row where, on some metric, the one-sided lower bound of
D(baseline) - D(candidate) is above 0. For the candidate's row at N calls let c(N) be the fewest baseline calls, over all baseline
methods, that are not shown to be worse:

    rate(N) = c(N) / N,      infinite where every baseline row up to the horizon (the most calls measured) is shown to be worse

If the candidate's true rate is r, then to claim more than r the baseline row at r N calls, which is as good as the candidate's
by definition, must have been shown to be worse: that happens with at most the probability of the bound. So the claim is safe
however many baseline rows there are; more baselines, or noisier ones, only lower it. The level is shared over the metrics, any of
which may show it.

*Numbers of calls at which a baseline was not measured.* It is taken for not worse there, unless the nearest row of that baseline
with more calls is shown to be worse. A candidate that is measured on a finer grid than the baseline gains nothing by it.

*Useful rows.* A sample of noise at one call may be exchanged at a rate of 10 against worse noise. Only rows count whose distance
on the validation set is at most 1 / useful times the least that any baseline row reaches there (useful = 0.5: at least half of
the baseline's best n_eq); a baseline as near to the data as the validation set itself counts as being at that distance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from warmflow.evaluation.curves import Curve, difference

ERROR = 0.025
"""Probability of a false claim of one candidate: the error of the one-sided bounds, shared over the metrics."""
TOLERANCE = 0.1
"""By which share of the baseline row's distance another metric may show the candidate to be worse."""


@dataclass(frozen=True)
class Rules:
    """What is fixed before anything is measured.

    Args:
        useful: a candidate's row counts if its n_eq is at least this share of the best that any baseline row reaches.
        error: probability of a false claim, shared over the candidates.
        floor: by metric, the validation distance below which rows are not told apart (one n_eq of the validation set's size).
        zero: by metric, whether the distance of the data's own distribution is 0.
    """

    useful: float = 0.5
    error: float = ERROR
    floor: Mapping[str, float] | None = None
    zero: Mapping[str, bool] | None = None


@dataclass(frozen=True)
class Exchange:
    """One row of a candidate and what it is exchanged for.

    Args:
        calls, steps: of the candidate's row.
        baseline_calls: the fewest baseline calls not shown to be worse; infinite where every row is.
        horizon: the most calls at which a baseline was measured.
        baseline, baseline_steps: the row it is exchanged for; the baseline's best row where ``baseline_calls`` is infinite.
        measured: False where the baseline was not measured at ``baseline_calls``, and is given the benefit of the doubt.
        useful: see the module.
        by_metric: the baseline calls that each metric alone, at the full level, would give.
        worse_on: metrics that show the candidate to be worse than the row it is exchanged for.
    """

    calls: float
    steps: int
    baseline_calls: float
    horizon: float
    baseline: str
    baseline_steps: int
    measured: bool
    useful: bool
    by_metric: Mapping[str, float]
    worse_on: tuple[str, ...]

    @property
    def rate(self) -> float:
        return self.baseline_calls / self.calls


def shown_worse(
    candidate: Curve, row: int, baseline: Curve, metrics: Sequence[str], error: float
) -> np.ndarray:
    """(n,) bool: the rows of the baseline that some metric shows to be worse than the candidate's row."""
    level = 1 - error / len(metrics)
    found = np.zeros(len(baseline.calls), dtype=bool)
    for metric in metrics:
        found |= difference(baseline, candidate, metric, other=row).low(level) > 0
    return found


def useful_rows(candidate: Curve, baselines: Sequence[Curve], metric: str, rules: Rules) -> np.ndarray:
    """(n,) bool, read on the validation set alone."""
    best = min(float(b.validation[metric].min()) for b in baselines)
    limit = max(best, (rules.floor or {}).get(metric, 0.0)) / rules.useful
    return np.asarray(candidate.validation[metric] <= limit)


def fewest_calls(candidate: Curve, worse: Mapping[str, np.ndarray], baselines: Sequence[Curve]) -> float:
    """The fewest calls at which some baseline is not shown to be worse, gaps in its grid included; infinite for none."""
    found = math.inf
    for b in baselines:
        fine = np.flatnonzero(~worse[b.name])
        if not len(fine):
            continue
        first = float(b.calls[fine].min())
        for n in candidate.calls[candidate.calls < first - 1e-9]:
            above = b.calls >= n - 1e-9
            nearest = int(np.flatnonzero(above)[b.calls[above].argmin()])
            if b.calls[nearest] > n + 1e-9 and not worse[b.name][nearest]:
                first = float(n)
                break
        found = min(found, first)
    return found


def _exchanged_for(
    calls: float, worse: Mapping[str, np.ndarray], baselines: Sequence[Curve], metric: str
) -> tuple[Curve, int, bool]:
    """The baseline's row that stands at these calls (or the next one above, where none was measured there), or the best."""
    options: list[tuple[float, float, Curve, int]] = []
    for b in baselines:
        mean = b.mean(metric)
        if math.isinf(calls):
            i = int(b.validation[metric].argmin())
            options.append((0.0, float(b.validation[metric][i]), b, i))
            continue
        fine = np.flatnonzero(~worse[b.name] & (b.calls >= calls - 1e-9))
        if len(fine):
            i = int(fine[b.calls[fine].argmin()])
            options.append((float(b.calls[i]), float(mean[i]), b, i))
    distance, _, curve, row = min(options, key=lambda o: (round(o[0], 6), o[1]))
    return curve, row, math.isinf(calls) or distance <= calls + 1e-9


def worse_on(candidate: Curve, row: int, baseline: Curve, other: int, rules: Rules) -> tuple[str, ...]:
    """Metrics that show the candidate's row to be worse than the baseline's by more than a tenth of the latter's distance."""
    metrics = list(candidate.values)
    level, found = 1 - rules.error / len(metrics), []
    for metric in metrics:
        bounds = difference(candidate, baseline, metric, np.array([row]), other)
        zero = (rules.zero or {}).get(metric, True)
        allowed = TOLERANCE * max(float(baseline.mean(metric)[other]), 0.0) if zero else 0.0
        if float(bounds.low(level)[0]) > allowed:
            found.append(metric)
    return tuple(found)


def exchanges(candidate: Curve, baselines: Sequence[Curve], rules: Rules | None = None) -> list[Exchange]:
    """What each row of the candidate is exchanged for; the first metric decides which rows are useful."""
    rules = rules or Rules()
    metrics = list(candidate.values)
    horizon = max(float(b.calls.max()) for b in baselines)
    useful = useful_rows(candidate, baselines, metrics[0], rules)
    found = []
    for i, calls in enumerate(candidate.calls):
        worse = {b.name: shown_worse(candidate, i, b, metrics, rules.error) for b in baselines}
        alone = {
            metric: fewest_calls(
                candidate, {b.name: shown_worse(candidate, i, b, [metric], rules.error) for b in baselines}, baselines
            )
            for metric in metrics
        }
        needed = fewest_calls(candidate, worse, baselines)
        other, row, measured = _exchanged_for(needed, worse, baselines, metrics[0])
        found.append(
            Exchange(
                calls=float(calls),
                steps=int(candidate.steps[i]),
                baseline_calls=needed,
                horizon=horizon,
                baseline=other.name,
                baseline_steps=int(other.steps[row]),
                measured=measured,
                useful=bool(useful[i]),
                by_metric=alone,
                worse_on=worse_on(candidate, i, other, row, rules),
            )
        )
    return found


def quoted(rows: Sequence[Exchange], passes: Sequence[bool] | None = None) -> Exchange | None:
    """The row that the verdict quotes: of the useful ones that pass, the largest rate; of equal rates the fewest calls."""
    kept = [
        e for i, e in enumerate(rows) if e.useful and not e.worse_on and (passes is None or passes[i])
    ]
    return max(kept, key=lambda e: (e.rate, -e.calls), default=None)
