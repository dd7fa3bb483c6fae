"""The certified exchange rate: the number of baseline calls that one call of a candidate is worth.

A baseline row is *shown to be worse* than a candidate's row if, on some metric, the one-sided lower bound of
D(baseline) - D(candidate) is above 0. For the candidate's row at N calls, let c(N) be the fewest baseline calls, over all
baseline methods, that are not shown to be worse:

    rate(N) = c(N) / N,      infinite if every baseline row up to the horizon, the most calls measured, is shown to be worse

If the candidate's true rate is r, then a claim of more than r requires that the baseline row at r N calls, which is as good as
the candidate's by definition, is shown to be worse. This has at most the error probability of the bound. The claim is therefore
safe for any number of baseline rows; more baselines, or noisier ones, only lower it. The error is divided by the number of
metrics, because any of them may show it.

*Several rows of the candidate.* The largest rate is quoted, so each useful row is another opportunity for a false claim. If the
rows of a method share their noise (one network sampled from the same starts), they act almost as one test. If the noise of each
row is independent and small compared with the steps of the curve (deterministic training, many samples, new starts for each
row), identical methods were called faster in 12 to 26 % of simulated studies with 97.5 % bounds for each row. Therefore the
useful rows share the error: each is tested at the smaller error for which *any* false claim has probability ``error``, from the
estimated correlation of D(baseline) - D(candidate) over these rows and the baseline rows they are exchanged for
(``curves.shared_error``).

*Numbers of calls at which a baseline was not measured* are doubtful: it may be better there than at its neighbours (cold flows of
digits are best at 3 or 4 calls). A number counts as not shown to be worse if

    - the next row of this baseline with more calls is not shown to be worse: between 32 and 50 calls the first is 33
    - another method was measured there, and this one was not (for token flows: not at as many steps, within a third)
    - it is in a gap whose ends differ by more than a factor of 2, even if both ends are shown to be worse

A solver with two calls per step has no rows at even numbers: numbers closer to a row than the calls of a step are not missing. If
the candidate's own number of calls is doubtful, the rate is 1. So omitting rows, or a finer grid of the candidate, gains nothing.

*Useful rows.* Poor samples at one call may have a rate of 10 compared with worse ones. A row counts only if its distance on the
validation set is at most 1 / useful times the smallest of any baseline row (useful = 0.5: at least half of the baseline's best
n_eq), plus two standard deviations of a distance of 0: the noise of the validation set is common to all rows, so it changes
distances but not their differences, and the ratio of two small distances is meaningless.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from warmflow.evaluation.curves import Bounds, Curve, covariance_of_means, difference, shared_error

ERROR = 0.025
"""Probability of a false claim for one candidate, shared by its useful rows and the metrics."""
TOLERANCE, WORSE_ERROR = 0.1, 0.05
"""Tolerated excess of the candidate's distance on any metric, as a share of the baseline's, and the error of that test."""
NEAR = 1 / 3
"""A fractional number of calls is covered by a row with as many steps whose calls differ by less than this share."""
WIDE = 2.0
"""A gap is wide if the calls of its second row exceed this multiple of the first."""


@dataclass(frozen=True)
class Rules:
    """Parameters that are fixed before anything is measured.

    Args:
        useful: a candidate's row counts if its n_eq is at least this share of the best of any baseline row.
        error: probability of a false claim, shared by the candidates.
        floor: by metric, the standard deviation on validation data of a distance whose expectation is 0.
        zero: by metric, whether the expected distance is 0 for samples of the data distribution.
    """

    useful: float = 0.5
    error: float = ERROR
    floor: Mapping[str, float] | None = None
    zero: Mapping[str, bool] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.useful <= 1:
            raise ValueError(
                f"useful is {self.useful}; give a share above 0 and at most 1, chosen before anything is measured"
            )
        if not 0 < self.error <= ERROR:
            raise ValueError(f"error is {self.error}; give a probability of error above 0 and at most {ERROR}")


@dataclass(frozen=True)
class Exchange:
    """One row of a candidate and the baseline row it is exchanged for.

    Args:
        calls, steps: those of the candidate's row.
        baseline_calls: the fewest baseline calls not shown to be worse; infinite if there are none.
        horizon: the number of calls up to which every baseline was measured.
        baseline, baseline_steps, row_calls: the baseline row: the first that is not shown to be worse, or the best one if
            ``baseline_calls`` is infinite.
        measured: False if the baseline was not measured at ``baseline_calls``, so that ``row_calls`` differ.
        doubtful: whether ``baseline_calls`` is a number of calls at which it should have been measured.
        useful: whether the row counts; see the top of this module.
        by_metric: the baseline calls according to each metric alone, at the full error.
        worse_on: metrics that show the candidate to be worse than the baseline row.
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
        """The rate, or, if it is infinite, that of one call more than the horizon."""
        return min(self.baseline_calls, math.floor(self.horizon + 1e-9) + 1.0) / self.calls


def shown_worse(candidate: Curve, row: int, baseline: Curve, metrics: Sequence[str], error: float) -> np.ndarray:
    """(n,) bool: True for rows of the baseline that some metric shows to be worse than the candidate's row."""
    level = 1 - error / len(metrics)
    found = np.zeros(len(baseline.calls), dtype=bool)
    for metric in metrics:
        found |= difference(baseline, candidate, metric, other=row).low(level) > 0
    return found


def useful_rows(candidate: Curve, baselines: Sequence[Curve], metric: str, rules: Rules) -> np.ndarray:
    """(n,) bool: True for useful rows of the candidate, determined on the validation set only."""
    best = min(float(b.validation[metric].min()) for b in baselines)
    limit = max(best, 0.0) / rules.useful + 2 * (rules.floor or {}).get(metric, 0.0)
    return np.asarray(candidate.validation[metric] <= limit)


def doubtful_calls(b: Curve, others: Sequence[Curve]) -> np.ndarray:
    """The doubtful numbers of calls of a baseline, ascending, which always count as not shown to be worse."""
    missing = set()
    for c in others:
        for n, steps in zip(c.calls, c.steps, strict=True):
            near = b.calls[b.steps == steps]  # token flows have different numbers of calls for equal numbers of steps
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
    """The doubtful numbers of calls of each baseline in a comparison with this candidate."""
    curves = [candidate, *baselines]
    return {b.name: doubtful_calls(b, [c for c in curves if c is not b]) for b in baselines}


def _first_doubt(calls: float, worse: np.ndarray, b: Curve, doubtful: np.ndarray) -> float:
    """The fewest calls at which this baseline is not shown to be worse than a row at ``calls``; infinite for none.

    If a gap extends to the row's own calls or below, nothing is claimed: the rate is then 1.
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
    """The fewest calls at which some baseline is not shown to be worse than a row at ``calls``, including gaps in its grid and
    all numbers beyond its last row; infinite for none."""
    found = min(_first_doubt(calls, worse[b.name], b, doubtful[b.name]) for b in baselines)
    return found if math.isinf(found) else min(found, *(math.floor(b.calls.max() + 1e-9) + 1.0 for b in baselines))


def _exchanged_for(
    calls: float, worse: Mapping[str, np.ndarray], baselines: Sequence[Curve], metric: str
) -> tuple[Curve, int, bool]:
    """The baseline row at these calls (or the next one above, if none was measured there), else the best baseline row."""
    options: list[tuple[float, float, Curve, int]] = []
    for b in baselines:
        fine = np.flatnonzero(~worse[b.name] & (b.calls >= calls - 1e-9))
        if len(fine):
            i = int(fine[b.calls[fine].argmin()])
            options.append((float(b.calls[i]), float(b.mean(metric)[i]), b, i))
    if not options:  # no row there, or all are shown to be worse
        best = [(float(b.validation[metric].min()), b, int(b.validation[metric].argmin())) for b in baselines]
        _, curve, row = min(best, key=lambda o: o[0])
        return curve, row, math.isinf(calls)
    distance, _, curve, row = min(options, key=lambda o: (round(o[0], 6), o[1]))
    return curve, row, distance <= calls + 1e-9


def worse_on(candidate: Curve, row: int, baseline: Curve, other: int, rules: Rules) -> tuple[str, ...]:
    """Metrics that show the candidate's row to be worse than the baseline's by more than a tenth of the baseline's distance."""
    found = []
    for metric in candidate.values:
        bounds = difference(candidate, baseline, metric, np.array([row]), other)
        zero = (rules.zero or {}).get(metric, True)
        allowed = TOLERANCE * max(float(baseline.mean(metric)[other]), 0.0) if zero else 0.0
        if float(bounds.low(1 - WORSE_ERROR)[0]) > allowed:
            found.append(metric)
    return tuple(found)


Shown = Mapping[str, np.ndarray]
"""By baseline, (n, n_b) bool: True for its rows that are shown to be worse than each row of the candidate."""
Pair = tuple[int, Curve, int]
"""A row of the candidate and the baseline's row it is exchanged for."""


def _bounds(candidate: Curve, baseline: Curve, metric: str) -> Bounds:
    """D(baseline) - D(candidate) between all rows of the candidate and all rows of the baseline, (n n_b,)."""
    n, m = len(candidate.calls), len(baseline.calls)
    return difference(baseline, candidate, metric, np.tile(np.arange(m), n), np.repeat(np.arange(n), m))


def _shown(bounds: Mapping[str, Mapping[str, Bounds]], errors: Mapping[str, float], n: int) -> Shown:
    """``Shown`` for n rows of the candidate, by the metrics in ``errors``, each at its error."""
    names = next(iter(bounds.values()))
    return {
        b: np.any([bounds[metric][b].low(1 - error).reshape(n, -1) > 0 for metric, error in errors.items()], axis=0)
        for b in names
    }


def _of_row(shown: Shown, i: int) -> dict[str, np.ndarray]:
    return {name: worse[i] for name, worse in shown.items()}


def row_error(candidate: Curve, pairs: Sequence[Pair], metric: str, error: float) -> float:
    """The error probability of each row's test, chosen so that at least one false claim from these rows has probability
    ``error``.
    """
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
    """The exchange of each row of the candidate; the first metric determines which rows are useful."""
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
    """The row quoted by the verdict: among the useful rows that pass, the one with the largest rate, then the fewest calls."""
    kept = [e for i, e in enumerate(rows) if e.useful and not e.worse_on and (passes is None or passes[i])]
    return max(kept, key=lambda e: (e.certified, -e.calls), default=None)
