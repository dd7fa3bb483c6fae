"""The certified exchange rate: how many baseline calls a candidate's call is worth.

A baseline row is *shown to be worse* than a candidate's row where, on some metric, the one-sided lower bound of
D(baseline) - D(candidate) is above 0. For the candidate's row at N calls let c(N) be the fewest baseline calls, over all baseline
methods, that are not shown to be worse:

    rate(N) = c(N) / N,      infinite where every baseline row is shown to be worse, up to the horizon: the most calls measured

If the candidate's true rate is r, then to claim more than r the baseline row at r N calls, which is as good as the candidate's
by definition, must have been shown to be worse: that happens with at most the probability of the bound. So the claim is safe
however many baseline rows there are; more baselines, or noisier ones, only lower it. The error is divided by the number of
metrics, any of which may show it.

*Several rows of the candidate.* The largest rate is quoted, so that each useful row is one more opportunity for a false claim.
Where a method's rows share their noise (one network sampled from the same starts) they are nearly one; where each
row's noise is its own and small beside the steps of the curve (a deterministic training, many samples, new starts for each row)
identical methods were called faster in 12 to 26 % of simulated studies by bounds of 97.5 % for each row. Therefore the useful
rows share the error: each is tested at the smaller error for which *any* false claim has probability ``error``, by the estimated
correlation of D(baseline) - D(candidate) over these rows, each beside the baseline row it is exchanged for
(``curves.shared_error``). With strongly correlated rows this changes next to nothing; false claims are then at most 3.5 %.

*Numbers of calls at which a baseline was not measured* are not shown to be worse, unless the next row of that baseline with more
calls is. Where its row at 32 calls is shown to be worse and the next, at 50, is not, it needs at least 33. A gap that reaches
down to the candidate's own number of calls is no claim (a rate of 1). So a coarse grid of the baseline and a fine one of the
candidate gain nothing.

*Useful rows.* A sample of noise at one call may be exchanged at a rate of 10 against worse noise. Only rows count whose distance
on the validation set is at most 1 / useful times the least that any baseline row reaches there (useful = 0.5: at least half of
the baseline's best n_eq), plus two standard deviations of a distance of 0: the validation set's noise is common to all rows, so
that it moves distances but not their differences, and a ratio of two small ones means nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from warmflow.evaluation.curves import Bounds, Curve, covariance_of_means, difference, shared_error

ERROR = 0.025
"""Probability of a false claim of one candidate, shared over its useful rows and over the metrics."""
TOLERANCE = 0.1
"""By which share of the baseline row's distance another metric may show the candidate to be worse."""
WIDE = 1.6
"""A gap in a grid is wide where the next row has more calls than this many times those in question (20, 32, 50 is not)."""


@dataclass(frozen=True)
class Rules:
    """What is fixed before anything is measured.

    Args:
        useful: a candidate's row counts if its n_eq is at least this share of the best that any baseline row reaches.
        error: probability of a false claim, shared over the candidates.
        floor: by metric, the standard deviation on validation data of a distance of 0.
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
        horizon: the most calls up to which every baseline was measured.
        baseline, baseline_steps, row_calls: the row it is exchanged for: the first that is not shown to be worse, or the
            baseline's best row where ``baseline_calls`` is infinite.
        measured: False where the baseline was not measured at ``baseline_calls``, so that ``row_calls`` are more.
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
    row_calls: float
    measured: bool
    useful: bool
    by_metric: Mapping[str, float]
    worse_on: tuple[str, ...]

    @property
    def rate(self) -> float:
        return self.baseline_calls / self.calls

    @property
    def in_a_gap(self) -> bool:
        """Whether the baseline's grid has a gap here that is wider than those of the standard grid (20, 32, 50)."""
        return not self.measured and math.isfinite(self.baseline_calls) and self.row_calls > WIDE * self.baseline_calls


def shown_worse(candidate: Curve, row: int, baseline: Curve, metrics: Sequence[str], error: float) -> np.ndarray:
    """(n,) bool: the rows of the baseline that some metric shows to be worse than the candidate's row."""
    level = 1 - error / len(metrics)
    found = np.zeros(len(baseline.calls), dtype=bool)
    for metric in metrics:
        found |= difference(baseline, candidate, metric, other=row).low(level) > 0
    return found


def useful_rows(candidate: Curve, baselines: Sequence[Curve], metric: str, rules: Rules) -> np.ndarray:
    """(n,) bool, read on the validation set alone."""
    best = min(float(b.validation[metric].min()) for b in baselines)
    limit = max(best, 0.0) / rules.useful + 2 * (rules.floor or {}).get(metric, 0.0)
    return np.asarray(candidate.validation[metric] <= limit)


def _first_doubt(calls: float, worse: np.ndarray, b: Curve) -> float:
    """The fewest calls at which this baseline is not shown to be worse than a row at so many calls; infinite for none.

    A gap that reaches down to the row's own calls or below is no claim: the rate is then 1.
    """
    if worse.all():
        return math.inf
    first = float(b.calls[~worse].min())
    last = float(b.calls[b.calls < first - 1e-9].max(initial=-math.inf))
    if first <= calls + 1e-9:
        return first
    return calls if last < calls - 1e-9 else min(first, math.floor(last + 1e-9) + 1.0)


def fewest_calls(calls: float, worse: Mapping[str, np.ndarray], baselines: Sequence[Curve]) -> float:
    """The fewest calls at which some baseline is not shown to be worse than a row at so many calls, gaps in its grid and all
    beyond its last row included; infinite for none."""
    found = min(_first_doubt(calls, worse[b.name], b) for b in baselines)
    return found if math.isinf(found) else min(found, *(math.floor(b.calls.max() + 1e-9) + 1.0 for b in baselines))


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


Shown = Mapping[str, np.ndarray]
"""By baseline, (n, n_b) bool: which of its rows are shown to be worse than each of the candidate's."""
Pair = tuple[int, Curve, int]
"""A row of the candidate and the baseline's row it is exchanged for."""


def _p_values(candidate: Curve, baseline: Curve, metric: str) -> np.ndarray:
    """(n, n_b) p-values of "the baseline's row is not worse than the candidate's"."""
    n, m = len(candidate.calls), len(baseline.calls)
    bounds = difference(baseline, candidate, metric, np.tile(np.arange(m), n), np.repeat(np.arange(n), m))
    return bounds.p_value.reshape(n, m)


def _shown(p: Mapping[str, Mapping[str, np.ndarray]], errors: Mapping[str, float]) -> Shown:
    """What the metrics that are named in ``errors`` show, each at its error."""
    names = next(iter(p.values()))
    return {b: np.any([p[metric][b] < error for metric, error in errors.items()], axis=0) for b in names}


def _of_row(shown: Shown, i: int) -> dict[str, np.ndarray]:
    return {name: worse[i] for name, worse in shown.items()}


def row_error(candidate: Curve, pairs: Sequence[Pair], metric: str, error: float) -> float:
    """The error of one row's test such that a false claim from any of these rows has probability ``error``."""
    if len(pairs) < 2:
        return error
    rows = np.array([i for i, _, _ in pairs])
    others = np.array([j for _, _, j in pairs])
    total = covariance_of_means(candidate.values[metric][:, rows])
    bounds: list[Bounds] = []
    replicates = np.empty((len(pairs), candidate.replicates[metric].shape[1]))
    for name in {b.name for _, b, _ in pairs}:
        here = np.array([b.name == name for _, b, _ in pairs])
        b = next(b for _, b, _ in pairs if b.name == name)
        total[np.ix_(here, here)] += covariance_of_means(b.values[metric][:, others[here]])
        replicates[here] = b.replicates[metric][others[here]] - candidate.replicates[metric][rows[here]]
        bounds.append(difference(b, candidate, metric, others[here], rows[here]))
    freedom = float(np.median(np.concatenate([x.freedom for x in bounds])))
    return shared_error(total + np.atleast_2d(np.cov(replicates)), freedom, error)


def exchanges(candidate: Curve, baselines: Sequence[Curve], rules: Rules | None = None) -> list[Exchange]:
    """What each row of the candidate is exchanged for; the first metric decides which rows are useful."""
    rules = rules or Rules()
    metrics = list(candidate.values)
    each = rules.error / len(metrics)
    p = {metric: {b.name: _p_values(candidate, b, metric) for b in baselines} for metric in metrics}
    useful = useful_rows(candidate, baselines, metrics[0], rules)

    def exchanged(shown: Shown, i: int) -> tuple[float, Curve, int, bool]:
        worse = _of_row(shown, i)
        needed = fewest_calls(float(candidate.calls[i]), worse, baselines)
        return needed, *_exchanged_for(needed, worse, baselines, metrics[0])

    first = _shown(p, dict.fromkeys(metrics, each))
    pairs: list[Pair] = [(int(i), *exchanged(first, int(i))[1:3]) for i in np.flatnonzero(useful)]
    errors = {metric: row_error(candidate, pairs, metric, each) for metric in metrics}
    shown = _shown(p, errors)
    alone = {metric: _shown(p, {metric: errors[metric] * len(metrics)}) for metric in metrics}
    found = []
    for i, calls in enumerate(candidate.calls):
        needed, other, row, measured = exchanged(shown, i)
        found.append(
            Exchange(
                calls=float(calls),
                steps=int(candidate.steps[i]),
                baseline_calls=needed,
                horizon=min(float(b.calls.max()) for b in baselines),
                baseline=other.name,
                baseline_steps=int(other.steps[row]),
                row_calls=float(other.calls[row]),
                measured=measured,
                useful=bool(useful[i]),
                by_metric={m: fewest_calls(float(calls), _of_row(alone[m], i), baselines) for m in metrics},
                worse_on=worse_on(candidate, i, other, row, rules),
            )
        )
    return found


def quoted(rows: Sequence[Exchange], passes: Sequence[bool] | None = None) -> Exchange | None:
    """The row that the verdict quotes: of the useful ones that pass, the largest rate; of equal rates the fewest calls."""
    kept = [e for i, e in enumerate(rows) if e.useful and not e.worse_on and (passes is None or passes[i])]
    return max(kept, key=lambda e: (e.rate, -e.calls), default=None)
