"""From a study to a verdict: one of five outcomes for each candidate, with the numbers that it is based on.

    faster        the certified exchange rate is above 1: every baseline row with as few calls is shown to be worse
    nearer        better than every baseline row up to the horizon, but not with fewer calls than the horizon
    draft enough  the candidate's start is as near to the data as every measured flow: no flow is needed
    no faster     certified: the baseline reaches every target that either reaches, in as few calls as the candidate may
    cannot tell   none of these is shown; ``missing`` says what is needed

Outcomes are values. ``sentences`` converts them to text at the end; the text is never parsed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from warmflow.brief import Brief
from warmflow.evaluation.curves import Band, Curve, band, difference, distances
from warmflow.evaluation.exchange import TOLERANCE, Exchange, Rules, exchanges, quoted, shown_worse
from warmflow.evaluation.guards import Guard, guards
from warmflow.evaluation.study import Method, Role, Study, Times, Training
from warmflow.evaluation.targets import Gains, Target, gain_at_equal_calls, ladder

MOST_RUNGS = 4.0
"""The targets end at this multiple of the test set's size, because larger n_eq have a large error."""
GROWS = 1.5  # least ratio of the times at most and fewest calls for which time is considered to depend on the calls
SMALL_EFFECT = 1.0
"""A start effect with an upper bound below this multiple of the candidate's distance at most halves n_eq."""
LEAST_QUALITY = 10.0  # the n_eq that makes a baseline near the data, unless the start alone is nearer
COSTLY_START = 0.5  # cost of a start, in network calls, above which the report mentions it


class Outcome(StrEnum):
    FASTER = "faster"
    NEARER = "nearer"
    DRAFT_ENOUGH = "draft enough"
    NO_FASTER = "no faster"
    CANNOT_TELL = "cannot tell"


class Missing(StrEnum):
    """What is needed for a definite outcome."""

    SEEDS = "seeds"  # more training seeds
    SAMPLES = "samples"  # more samples and more real data
    TRAINING = "training"  # no baseline is near the data
    QUALITY = "quality"  # no row of the candidate is near enough to the data to be useful
    SOLVERS = "solvers"  # the baseline was not measured with the candidate's solver
    GRID = "grid"  # the baseline was not measured at the numbers of calls in question
    GUARDS = "guards"  # a row is faster, but fails a guard or is worse on another metric


class Credit(StrEnum):
    """The cause of the gain, if the same recipe from noise (the control) was measured."""

    DRAFT = "draft"  # the control is shown to be worse
    PAIRING = "pairing"  # the control is at least half as good: all differences are certainly below the own distance
    UNDECIDED = "undecided"
    UNKNOWN = "unknown"


class Note(StrEnum):
    """Facts to report with the outcome."""

    UNTRAINED_BASELINE = "untrained baseline"  # the start alone is nearer to the data than every baseline row
    METRICS_DISAGREE = "metrics disagree"  # by one metric alone the rate would be half, or less
    GRID = "grid"  # the baseline was not measured at the number of calls that determines the rate
    COSTLY_START = "costly start"  # the time before the first call is a sizeable part of a call, or more
    SLOWER = "slower"  # fewer calls, but more seconds
    NO_SECONDS = "no seconds"
    UNKNOWN_TRAINING = "unknown training"
    NO_TRAINING_DATA = "no training data"  # copying was not checked
    CALLS_GIVEN = "calls given"  # the numbers of calls were stated with the samples, and not counted
    SOLVERS_UNKNOWN = "solvers unknown"
    SEEDS_WITH_GAPS = "seeds with gaps"  # seeds that are not consecutive may have been chosen


@dataclass(frozen=True)
class Interval:
    """An estimate with a 95 % interval; an n_eq is infinite if the distance is at most 0."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Verdict(Brief):
    """The verdict on one candidate; outcomes are defined at the top of the module.

    Args:
        exchange: the quoted row; None if no useful row passes the guards.
        quality, control_quality: n_eq of that row, and of the control at the same calls.
        rows: the exchange of every row of the candidate, with its guards in ``guarded``.
        start_effect: by metric, the distance of the control minus that of the candidate, at equal calls.
        seconds: seconds of the baseline row divided by those of the candidate's, by medians of interleaved rounds.
    """

    candidate: str
    outcome: Outcome
    missing: tuple[Missing, ...]
    notes: tuple[Note, ...]
    exchange: Exchange | None
    quality: Interval | None
    control_quality: Interval | None
    credit: Credit
    rows: tuple[Exchange, ...]
    guarded: tuple[tuple[Guard, ...], ...]
    targets: tuple[Target, ...]
    gains: Mapping[str, Gains]
    start_effect: Mapping[str, Gains]
    seconds: Interval | None
    start_calls: float | None

    @property
    def rate(self) -> float | None:
        """The certified exchange rate; None unless the outcome is faster."""
        return self.exchange.rate if self.exchange is not None and self.outcome is Outcome.FASTER else None


def judge(study: Study, rules: Rules | None = None) -> dict[str, Verdict]:
    """The verdict on each candidate of a study; the probability of error is divided by the number of candidates."""
    rules = rules or Rules()
    candidates = study.named(Role.CANDIDATE)
    zero = {m.name: m.zero for m in study.metrics}
    shared = replace(
        rules, error=rules.error / len(candidates), floor=rules.floor or study.floors, zero=rules.zero or zero
    )
    curves = {m.name: study.curve(m.name) for m in study.methods}
    return {m.name: _judged(study, m, curves, shared) for m in candidates}


def _judged(study: Study, method: Method, curves: Mapping[str, Curve], rules: Rules) -> Verdict:
    candidate = curves[method.name]
    baselines = [curves[m.name] for m in study.named(Role.BASELINE)]
    found = exchanges(candidate, baselines, rules)
    guarded = [_guards_of(study, method.name, e) for e in found]
    best = quoted(found, [all(g.passes for g in row) for row in guarded])
    scatter = {m.name: m.scatter for m in study.metrics if m.scatter is not None}
    most = MOST_RUNGS * study.real.test
    targets = tuple(ladder(candidate, baselines, scatter, most, rules.error))
    control = next((curves[m.name] for m in study.named(Role.CONTROL) if m.of == method.name), None)
    starts = [curves[m.name] for m in study.named(Role.START) if m.of == method.name]
    untrained = bool(starts) and _all_worse(starts[0], baselines, rules)
    outcome, missing = _outcome(study, method, candidate, baselines, starts, found, guarded, best, targets, rules)
    nearest = min(float(b.mean(study.primary.name).min()) for b in baselines)
    far = untrained or nearest * LEAST_QUALITY > (study.primary.scatter or math.inf)
    foreign = study.apart.get(method.name, (study.trained,))[0] in (Training.UNKNOWN, Training.DISTILLED)
    judged = candidate.seeds > 1 and Missing.GUARDS not in missing
    if (far and foreign and judged) or (untrained and outcome is Outcome.DRAFT_ENOUGH):
        outcome, missing = Outcome.CANNOT_TELL, (Missing.TRAINING,)
    effect = (
        {} if control is None else {m.name: gain_at_equal_calls(candidate, [control], m.name) for m in study.metrics}
    )
    effects = {name: gains for name, gains in effect.items() if gains is not None}
    seconds = None if best is None else _seconds(study.times, method.name, best)
    start_calls = _start_calls(study.times, method.name, candidate)
    return Verdict(
        candidate=method.name,
        outcome=outcome,
        missing=missing,
        notes=_notes(study, best, seconds, start_calls, untrained),
        exchange=best,
        quality=None if best is None else _quality(study, candidate, best.calls),
        control_quality=None if best is None or control is None else _quality(study, control, best.calls),
        credit=_credit(effects, candidate, best),
        rows=tuple(found),
        guarded=tuple(guarded),
        targets=targets,
        gains={
            m.name: g for m in study.metrics if (g := gain_at_equal_calls(candidate, baselines, m.name)) is not None
        },
        start_effect=effects,
        seconds=seconds,
        start_calls=start_calls,
    )


def _guards_of(study: Study, candidate: str, e: Exchange) -> tuple[Guard, ...]:
    row = [r.measure for r in study.rows_of(candidate, e.steps)]
    baseline = [r.measure for r in study.rows_of(e.baseline, e.baseline_steps)]
    return guards(row, baseline, study.real)


# ---------------------------------------------------------------- the outcome


def _outcome(
    study: Study, method: Method, candidate: Curve, baselines: Sequence[Curve], starts: Sequence[Curve],
    found: Sequence[Exchange], guarded: Sequence[Sequence[Guard]], best: Exchange | None, targets: Sequence[Target],
    rules: Rules,
) -> tuple[Outcome, tuple[Missing, ...]]:  # fmt: skip
    if candidate.seeds < 2:
        return Outcome.CANNOT_TELL, (Missing.SEEDS,)
    flows = [candidate, *baselines]
    if starts and _start_is_enough(study, starts[0], flows, rules):
        return Outcome.DRAFT_ENOUGH, ()
    if best is not None and best.rate > 1:
        if not solvers_tried(study, method):
            return Outcome.CANNOT_TELL, (Missing.SOLVERS,)
        return (Outcome.NEARER if best.calls >= best.horizon else Outcome.FASTER), ()
    faster = [e for e in found if e.useful and e.rate > 1]
    if faster and (not all(e.worse_on for e in faster) or len(faster) == sum(e.useful for e in found)):
        return Outcome.CANNOT_TELL, (Missing.GUARDS,)  # otherwise some useful row passes, but is not shown to be faster
    if _no_faster(targets) and _as_good(candidate, baselines, found, rules):
        return Outcome.NO_FASTER, ()
    if not any(e.useful for e in found):
        return Outcome.CANNOT_TELL, (Missing.QUALITY,)
    if any(e.useful and e.rate <= 1 and e.doubtful for e in found):
        return Outcome.CANNOT_TELL, (Missing.GRID,)
    return Outcome.CANNOT_TELL, (_largest_noise(study, candidate, baselines, found),)


def solvers_tried(study: Study, method: Method) -> bool:
    """Returns True if every baseline was tried with the candidate's solver, or if solvers are unknown."""
    return not method.solver or all(not m.solvers or method.solver in m.solvers for m in study.named(Role.BASELINE))


def _all_worse(start: Curve, baselines: Sequence[Curve], rules: Rules) -> bool:
    metrics = list(start.values)
    return all(bool(shown_worse(start, 0, b, metrics, rules.error).all()) for b in baselines)


def _start_is_enough(study: Study, start: Curve, flows: Sequence[Curve], rules: Rules) -> bool:
    """Returns True if no row of a flow is shown to be nearer than the start on any metric, and the upper bounds of the start
    are within the useful range of the best row's distance."""
    metrics = list(start.values)
    level = 1 - rules.error / len(metrics)
    for metric in metrics:
        if any((difference(start, flow, metric, np.zeros(len(flow.calls), int), np.arange(len(flow.calls))).low(level) > 0).any()
               for flow in flows):  # fmt: skip
            return False
        if not (rules.zero or {}).get(metric, True):
            continue
        nearest = min(float(flow.mean(metric)[int(flow.validation[metric].argmin())]) for flow in flows)
        limit = max(nearest, (rules.floor or {}).get(metric, 0.0)) / rules.useful
        if float(distances(start, metric).high(1 - rules.error)[0]) > limit:
            return False
    measures = [r.measure for r in study.rows_of(start.name)]
    return all(g.passes for g in guards(measures, (), study.real))


def _no_faster(targets: Sequence[Target]) -> bool:
    """Returns True if at least one target is certainly reached by the baseline or the candidate, and the baseline certainly
    reaches each such target with no more calls than the candidate possibly needs."""
    certain = [t for t in targets if math.isfinite(min(t.baseline_certain, t.candidate_calls))]
    reached = all(math.isfinite(t.baseline_certain) and t.baseline_certain <= t.candidate_possible for t in certain)
    return bool(certain) and reached


def _as_good(candidate: Curve, baselines: Sequence[Curve], found: Sequence[Exchange], rules: Rules) -> bool:
    """Returns True if for each useful row of the candidate some baseline row with no more calls is certain, on every metric, to
    be farther from the data by at most a tenth of its own distance."""

    def near(b: Curve, j: int, i: int, metric: str) -> bool:
        slack = TOLERANCE * abs(float(b.mean(metric)[j])) if (rules.zero or {}).get(metric, True) else 0.0
        high = float(difference(b, candidate, metric, np.array([j]), i).high(1 - rules.error)[0])
        return high <= max(slack, (rules.floor or {}).get(metric, 0.0))

    return all(
        any(all(near(b, int(j), i, m) for m in candidate.values) for b in baselines
            for j in np.flatnonzero(b.calls <= e.calls + 1e-9))
        for i, e in enumerate(found) if e.useful
    )  # fmt: skip


def _largest_noise(study: Study, candidate: Curve, baselines: Sequence[Curve], found: Sequence[Exchange]) -> Missing:
    """The larger source of uncertainty at the useful rows: training seeds, or samples and real data."""
    metric, seeds, real = study.primary.name, 0.0, 0.0
    for i, e in enumerate(found):
        if e.useful:
            b = next(c for c in baselines if c.name == e.baseline)
            j = int(np.flatnonzero(b.steps == e.baseline_steps)[0])
            for curve, row in ((candidate, i), (b, j)):
                seeds += float(curve.values[metric][:, row].var(ddof=1)) / curve.seeds
            real += float((candidate.replicates[metric][i] - b.replicates[metric][j]).var(ddof=1))
    return Missing.SEEDS if seeds >= real else Missing.SAMPLES


# ---------------------------------------------------------------- beside the outcome


def _quality(study: Study, curve: Curve, calls: float) -> Interval | None:
    """n_eq of the row at these calls."""
    row, primary = curve.at(calls), study.primary
    if row is None or primary.scatter is None:
        return None
    bounds = distances(curve, primary.name)
    values = float(bounds.estimate[row]), float(bounds.high(0.975)[row]), float(bounds.low(0.975)[row])
    return Interval(*(primary.scatter / d if d > 0 else math.inf for d in values))


def _credit(effects: Mapping[str, Gains], candidate: Curve, best: Exchange | None) -> Credit:
    """The draft is credited if the band of some metric at the quoted row is above 0 and none is below it. The pairing is credited
    if all bands end below the candidate's own distance, so that n_eq without the draft is at least half."""
    row = None if best is None else candidate.at(best.calls)
    if not effects or row is None:
        return Credit.UNKNOWN
    bands = []
    for metric, gains in effects.items():
        found = np.flatnonzero(np.isclose(gains.calls, candidate.calls[row]))
        bands += [(metric, float(gains.band.low[i]), float(gains.band.high[i])) for i in found]
    if any(low > 0 for _, low, _ in bands) and not any(high < 0 for _, _, high in bands):
        return Credit.DRAFT
    small = all(high <= SMALL_EFFECT * max(float(candidate.mean(m)[row]), 0.0) for m, _, high in bands)
    return Credit.PAIRING if small else Credit.UNDECIDED


def _rounds(times: Sequence[Times], method: str, steps: int) -> np.ndarray | None:
    found = [t.seconds for t in times if t.method == method and t.steps == steps]
    return np.array(found[0]) if found else None


def _seconds(times: Sequence[Times], candidate: str, e: Exchange) -> Interval | None:
    """The ratio of medians over rounds, with a bootstrap interval over the rounds, which both methods share."""
    ours, theirs = _rounds(times, candidate, e.steps), _rounds(times, e.baseline, e.baseline_steps)
    if ours is None or theirs is None or len(ours) != len(theirs):
        return None
    if not e.measured:  # the exchange is at fewer calls than this row: time decreases at most in proportion
        theirs = theirs * e.baseline_calls / e.row_calls
    chosen = np.random.default_rng(0).integers(len(ours), size=(2_000, len(ours)))
    ratios = np.median(theirs[chosen], axis=1) / np.median(ours[chosen], axis=1)
    return Interval(
        float(np.median(theirs) / np.median(ours)), *(float(q) for q in np.quantile(ratios, [0.025, 0.975]))
    )


def _start_calls(times: Sequence[Times], candidate: str, curve: Curve) -> float | None:
    """The time before the first call, in calls: the intercept of a line through (calls, median seconds), over its slope."""
    medians = [(c, np.median(r)) for s, c in zip(curve.steps, curve.calls, strict=True)
               if (r := _rounds(times, candidate, int(s))) is not None]  # fmt: skip
    if len(medians) < 3:
        return None
    calls, seconds = np.array(medians).T
    weights = 1 / seconds
    slope, start = np.polyfit(calls, seconds, 1, w=weights)
    grows = seconds[calls.argmax()] > GROWS * seconds[calls.argmin()]  # otherwise time does not depend on the calls
    return float(max(start, 0.0) / slope) if grows and slope > 0 else None


def _notes(
    study: Study, best: Exchange | None, seconds: Interval | None, start_calls: float | None, untrained: bool
) -> tuple[Note, ...]:
    seeds = study.seeds
    disagree = best is not None and len(best.by_metric) > 1 and min(best.by_metric.values()) <= best.baseline_calls / 2
    found = {
        Note.UNTRAINED_BASELINE: untrained,
        Note.METRICS_DISAGREE: disagree,
        Note.GRID: best is not None and (best.doubtful or best.calls > best.horizon),
        Note.COSTLY_START: start_calls is not None and start_calls > COSTLY_START,
        Note.SLOWER: seconds is not None and seconds.high < 1,
        Note.NO_SECONDS: seconds is None and not study.times,
        Note.UNKNOWN_TRAINING: study.trained.value == "unknown",
        Note.NO_TRAINING_DATA: not study.real.quantiles,
        Note.CALLS_GIVEN: not study.calls_counted,
        Note.SOLVERS_UNKNOWN: any(not m.solver for m in study.named(Role.CANDIDATE) + study.named(Role.BASELINE)),
        Note.SEEDS_WITH_GAPS: seeds != list(range(seeds[0], seeds[0] + len(seeds))),
    }
    return tuple(note for note, holds in found.items() if holds)


def bands_of(study: Study) -> dict[str, dict[str, Band]]:
    """The distances of all rows with a simultaneous 95 % band, by method and metric."""
    return {m.name: {f.name: band(study.curve(m.name), f.name) for f in study.metrics} for m in study.methods}
