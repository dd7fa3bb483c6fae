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
(``curves.shared_error``).

*Numbers of calls at which a baseline was not measured* are doubtful: it may be better there than at its neighbours (cold flows of
digits are best at 3 or 4 calls). A number counts as not shown to be worse where

    - the next row of this baseline with more calls is not shown to be worse: between 32 and 50 calls the first is 33
    - another method of the comparison was measured there, and this one not (of token flows: not at as many steps, within a third)
    - it lies in a gap whose ends are more than a factor of 2 apart, even where both ends are shown to be worse

A solver of two calls a step has no row at even numbers: numbers less than a step's calls from a row are not missing. A doubtful
number that is the candidate's own makes the rate 1. So leaving out rows, or a finer grid of the candidate, gains nothing.

*Useful rows.* A sample of noise at one call may be exchanged at a rate of 10 against worse noise. Only rows count whose distance
on the validation set is at most 1 / useful times the least that any baseline row reaches there (useful = 0.5: at least half of
the baseline's best n_eq), plus two standard deviations of a distance of 0: the validation set's noise is common to all rows, so
that it moves distances but not their differences, and a ratio of two small ones means nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from warmflow.evaluation.curves import Bounds, Curve, covariance_of_means, difference, shared_error

ERROR = 0.025
"""Probability of a false claim of one candidate, shared over its useful rows and over the metrics."""
TOLERANCE, WORSE_ERROR = 0.1, 0.05
"""By which share of the baseline row's distance another metric may show the candidate to be worse, and how sure it has to be."""
NEAR = 1 / 3
"""A number of calls that is not whole is covered by a row of as many steps that is nearer than this share of it."""
WIDE = 2.0
"""A gap is wide where its second row has more calls than this many times the first."""


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

    def __post_init__(self) -> None:
        if not 0 < self.useful <= 1:
            raise ValueError(
                f"useful is {self.useful}; give a share above 0 and at most 1, fixed before anything is measured"
            )
        if not 0 < self.error <= ERROR:
            raise ValueError(f"error is {self.error}; a claim is made with a probability of error of at most {ERROR}")


@dataclass(frozen=True)
class Exchange:
    """One row of a candidate and what it is exchanged for.

    Args:
        calls, steps: of the candidate's row.
        baseline_calls: the fewest baseline calls not shown to be worse; infinite where every row is.
        horizon: the most calls up to which every baseline was measured.
        baseline, baseline_steps, row_calls: the row it is exchanged for: the first that is not shown to be worse, or the
            baseline's best row where ``baseline_calls`` is infinite.
        measured: False where the baseline was not measured at ``baseline_calls``, so that ``row_calls`` differ.
        doubtful: whether ``baseline_calls`` are a number at which it should have been measured.
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
    doubtful: bool
    useful: bool
    by_metric: Mapping[str, float]
    worse_on: tuple[str, ...]

    @property
    def rate(self) -> float:
        return self.baseline_calls / self.calls

    @property
    def certified(self) -> float:
        """The rate that is certain: where no row up to the horizon is as good, one call more than the horizon."""
        return min(self.baseline_calls, math.floor(self.horizon + 1e-9) + 1.0) / self.calls


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


def doubtful_calls(b: Curve, others: Sequence[Curve]) -> np.ndarray:
    """Numbers of calls, rising, that count as not shown to be worse whatever the rows of this baseline say."""
    missing = set()
    for c in others:
        for n, steps in zip(c.calls, c.steps, strict=True):
            near = b.calls[b.steps == steps]  # flows of tokens make other numbers of calls in equally many steps
            same = bool(len(near)) and not float(n).is_integer() and abs(float(near[0]) - n) < NEAR * n
            if n <= b.calls.max() + 1e-9 and float(np.abs(b.calls - n).min()) > b.per_step - 1e-9 and not same:
                missing.add(float(n))
    gaps = [
        math.floor(low + 1e-9) + 1.0
        for low, high in pairwise(b.calls)
        if high > max(WIDE * low, low + b.per_step) + 1e-9
    ]
    return np.array(sorted({*missing, *gaps}))


def all_doubtful(candidate: Curve, baselines: Sequence[Curve]) -> dict[str, np.ndarray]:
    """The doubtful numbers of each baseline in a comparison with this candidate."""
    curves = [candidate, *baselines]
    return {b.name: doubtful_calls(b, [c for c in curves if c is not b]) for b in baselines}


def _first_doubt(calls: float, worse: np.ndarray, b: Curve, doubtful: np.ndarray) -> float:
    """The fewest calls at which this baseline is not shown to be worse than a row at so many calls; infinite for none.

    A gap that reaches down to the row's own calls or below is no claim: the rate is then 1.
    """
    first = float(b.calls[~worse].min(initial=math.inf))
    if first <= calls + 1e-9:
        return first
    found = min(first, float(doubtful[doubtful > calls - 1e-9].min(initial=math.inf)))
    last = float(b.calls[b.calls < first - 1e-9].max(initial=-math.inf))
    if math.isinf(first):
        return found
    return min(found, calls if last < calls - 1e-9 else math.floor(last + 1e-9) + 1.0)


def fewest_calls(
    calls: float, worse: Mapping[str, np.ndarray], baselines: Sequence[Curve], doubtful: Mapping[str, np.ndarray]
) -> float:
    """The fewest calls at which some baseline is not shown to be worse than a row at so many calls, gaps in its grid and all
    beyond its last row included; infinite for none."""
    found = min(_first_doubt(calls, worse[b.name], b, doubtful[b.name]) for b in baselines)
    return found if math.isinf(found) else min(found, *(math.floor(b.calls.max() + 1e-9) + 1.0 for b in baselines))


def _exchanged_for(
    calls: float, worse: Mapping[str, np.ndarray], baselines: Sequence[Curve], metric: str
) -> tuple[Curve, int, bool]:
    """The baseline's row that stands at these calls (or the next one above, where none was measured there), or the best."""
    options: list[tuple[float, float, Curve, int]] = []
    for b in baselines:
        fine = np.flatnonzero(~worse[b.name] & (b.calls >= calls - 1e-9))
        if len(fine):
            i = int(fine[b.calls[fine].argmin()])
            options.append((float(b.calls[i]), float(b.mean(metric)[i]), b, i))
    if not options:  # no row stands there, or none is as good
        best = [(float(b.validation[metric].min()), b, int(b.validation[metric].argmin())) for b in baselines]
        _, curve, row = min(best, key=lambda o: o[0])
        return curve, row, math.isinf(calls)
    distance, _, curve, row = min(options, key=lambda o: (round(o[0], 6), o[1]))
    return curve, row, distance <= calls + 1e-9


def worse_on(candidate: Curve, row: int, baseline: Curve, other: int, rules: Rules) -> tuple[str, ...]:
    """Metrics that show the candidate's row to be worse than the baseline's by more than a tenth of the latter's distance."""
    found = []
    for metric in candidate.values:
        bounds = difference(candidate, baseline, metric, np.array([row]), other)
        zero = (rules.zero or {}).get(metric, True)
        allowed = TOLERANCE * max(float(baseline.mean(metric)[other]), 0.0) if zero else 0.0
        if float(bounds.low(1 - WORSE_ERROR)[0]) > allowed:
            found.append(metric)
    return tuple(found)


Shown = Mapping[str, np.ndarray]
"""By baseline, (n, n_b) bool: which of its rows are shown to be worse than each of the candidate's."""
Pair = tuple[int, Curve, int]
"""A row of the candidate and the baseline's row it is exchanged for."""


def _bounds(candidate: Curve, baseline: Curve, metric: str) -> Bounds:
    """D(baseline) - D(candidate) of every row of the candidate and every row of the baseline, (n n_b,)."""
    n, m = len(candidate.calls), len(baseline.calls)
    return difference(baseline, candidate, metric, np.tile(np.arange(m), n), np.repeat(np.arange(n), m))


def _shown(bounds: Mapping[str, Mapping[str, Bounds]], errors: Mapping[str, float], n: int) -> Shown:
    """What the metrics that are named in ``errors`` show of n rows, each at its error."""
    names = next(iter(bounds.values()))
    return {
        b: np.any([bounds[metric][b].low(1 - error).reshape(n, -1) > 0 for metric, error in errors.items()], axis=0)
        for b in names
    }


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
    freedom = float(np.median(np.concatenate([x.whole_freedom for x in bounds])))
    return shared_error(total + np.atleast_2d(np.cov(replicates)), freedom, error)


def exchanges(candidate: Curve, baselines: Sequence[Curve], rules: Rules | None = None) -> list[Exchange]:
    """What each row of the candidate is exchanged for; the first metric decides which rows are useful."""
    rules = rules or Rules()
    metrics = list(candidate.values)
    each = rules.error / len(metrics)
    n, doubtful = len(candidate.calls), all_doubtful(candidate, baselines)
    bounds = {metric: {b.name: _bounds(candidate, b, metric) for b in baselines} for metric in metrics}
    useful = useful_rows(candidate, baselines, metrics[0], rules)

    def exchanged(shown: Shown, i: int) -> tuple[float, Curve, int, bool]:
        worse = _of_row(shown, i)
        needed = fewest_calls(float(candidate.calls[i]), worse, baselines, doubtful)
        return needed, *_exchanged_for(needed, worse, baselines, metrics[0])

    first = _shown(bounds, dict.fromkeys(metrics, each), n)
    pairs: list[Pair] = [(int(i), *exchanged(first, int(i))[1:3]) for i in np.flatnonzero(useful)]
    errors = {metric: row_error(candidate, pairs, metric, each) for metric in metrics}
    shown = _shown(bounds, errors, n)
    alone = {metric: _shown(bounds, {metric: errors[metric] * len(metrics)}, n) for metric in metrics}
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
                doubtful=not measured and any(bool(np.isclose(doubtful[b.name], needed).any()) for b in baselines),
                useful=bool(useful[i]),
                by_metric={m: fewest_calls(float(calls), _of_row(alone[m], i), baselines, doubtful) for m in metrics},
                worse_on=worse_on(candidate, i, other, row, rules),
            )
        )
    return found


def quoted(rows: Sequence[Exchange], passes: Sequence[bool] | None = None) -> Exchange | None:
    """The row that the verdict quotes: of the useful ones that pass, the largest rate; of equal rates the fewest calls."""
    kept = [e for i, e in enumerate(rows) if e.useful and not e.worse_on and (passes is None or passes[i])]
    return max(kept, key=lambda e: (e.certified, -e.calls), default=None)
