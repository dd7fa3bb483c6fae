"""From a pilot study to the number of training seeds and samples needed for a verdict.

Studies like the pilot, with more seeds and samples, are simulated and evaluated like real ones. The *power* is the share of them
with a certified exchange rate above 1. Few seeds may be enough for a rate above 1 and still certify much less than is true: a
plan therefore also has to reach, on average, two thirds of the rate that ``MOST_SEEDS`` seeds with as many samples certify.

Let the pilot have k seeds, N samples per row and m real samples. A simulated study has

    true curves     the pilot's means plus a sample of their standard error, because the pilot's means are uncertain
    training noise  with the covariance S over rows, pooled over all methods with the same rows. Its off-diagonal is shrunk by
                    1 / (1 + nu), nu its degrees of freedom, and S is multiplied by nu / chi^2(nu), because a small pilot
                    estimates S poorly
    samples         the part of S due to finite samples is proportional to 1/N. One sample changes a distance about as much as
                    one real row, so this part is estimated from the resamplings of the real set: var_r D^r m / (3 N / 4)
    the real set    one of the pilot's resamplings, shared by all methods
    validation      the true curves with the mean noise of the simulated seeds, another resampling of the real set scaled to the
                    size of the validation set, and again the part due to samples, for a third as many samples

The power is thus an expectation over the uncertainty of the pilot (an *assurance*). For a candidate that is not faster it is
at most the error of the claim, unless the pilot favoured the candidate by chance.

References:
    Assurance in clinical trial design, O'Hagan, Stevens, Campbell, Pharmaceutical Statistics 2005
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from warmflow.evaluation.curves import Curve
from warmflow.evaluation.exchange import Rules, exchanges, quoted
from warmflow.evaluation.real import VALIDATION_SHARE
from warmflow.evaluation.study import Role, Study

MOST_SEEDS = 20
POWER = 0.8
SHARE = 2 / 3
"""Share of the mean certified rate with ``MOST_SEEDS`` seeds that a plan has to reach."""
STUDIES = 120
LADDER = (1, 2, 5)
"""Multiples of the pilot's number of samples."""
SAMPLING_COST = 0.1
"""Cost of sampling and measuring as many samples as in the pilot, as a share of training one seed."""
REPLICATES = 50


@dataclass(frozen=True)
class Point:
    """The power of studies with these numbers of seeds and samples, and their mean certified rate (0 where none is useful)."""

    seeds: int
    samples: int
    power: float
    rate: float


@dataclass(frozen=True)
class Plan:
    """The study needed for a verdict; ``seeds`` and ``samples`` are None if no number of seeds up to ``MOST_SEEDS`` suffices.

    Args:
        power, rate: of the planned study, or of the one with the highest power; see ``Point``.
        curve: all numbers of seeds and samples that were tried.
        pilot_seeds, pilot_samples: the numbers of the pilot.
    """

    candidate: str
    seeds: int | None
    samples: int | None
    power: float
    rate: float
    asked: float
    curve: tuple[Point, ...]
    pilot_seeds: int
    pilot_samples: int

    @property
    def text(self) -> str:
        """The plan in one line."""
        pilot = f"the pilot has {self.pilot_seeds} and {self.pilot_samples:,}"
        if self.seeds is None:
            why = "the pilot shows no speed-up" if self.power < self.asked / 2 else "its noise is too large"
            return (
                f"No number of training seeds up to {MOST_SEEDS} is sufficient: {why} "
                f"(a speed-up of {self.candidate} would be certified in {self.power:.0%} of studies)."
            )
        return (
            f"{self.seeds} training seeds with {self.samples:,} samples each: a speed-up of {self.candidate} is then certified "
            f"in about {self.power:.0%} of studies like the pilot, {self.rate:.2g} times on average ({pilot})."
        )


@dataclass(frozen=True, eq=False)
class _Pilot:
    """The curves of a pilot (the candidate first), with the statistics for simulating studies.

    Args:
        residuals: by curve and metric, (d, n) rows; sums with Gaussian weights, divided by sqrt(nu), have the covariance S.
        freedom: nu of S, by curve.
        share: by curve and metric, the part of S due to finite samples.
    """

    curves: tuple[Curve, ...]
    residuals: tuple[dict[str, np.ndarray], ...]
    freedom: tuple[int, ...]
    share: tuple[dict[str, np.ndarray], ...]
    replicates: tuple[dict[str, np.ndarray], ...]
    samples: int
    test: int
    validation: int


def _pilot(curves: Sequence[Curve], samples: int, test: int, validation: int) -> _Pilot:
    k = curves[0].seeds
    if k < 2:
        raise ValueError(
            "the pilot has one training seed, from which training noise cannot be estimated; train at least two"
        )
    residuals, freedom, share, replicates = [], [], [], []
    tested = samples - samples // VALIDATION_SHARE
    for curve in curves:
        alike = [c for c in curves if np.array_equal(c.calls, curve.calls)]
        freedom.append((k - 1) * len(alike))
        rows = {m: np.concatenate([c.values[m] - c.values[m].mean(0) for c in alike]) for m in curve.values}
        residuals.append(rows)
        here = {}
        for m, r in rows.items():
            by_samples = curve.replicates[m].var(1, ddof=1) * test / tested
            here[m] = np.clip(by_samples / np.maximum((r**2).sum(0) / freedom[-1], 1e-300), 0.0, 1.0)
        share.append(here)
        few = {
            m: v[:, np.linspace(0, v.shape[1] - 1, min(v.shape[1], REPLICATES)).astype(int)]
            for m, v in curve.replicates.items()
        }
        replicates.append({m: v - v.mean(1, keepdims=True) for m, v in few.items()})
    return _Pilot(
        tuple(curves),
        tuple(residuals),
        tuple(freedom),
        tuple(share),
        tuple(replicates),
        samples,
        test,
        max(validation, 2),
    )


def _noise(pilot: _Pilot, i: int, k: int, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """(k, n) by metric: noise with the covariance S of the i-th curve; metrics share weights because they share networks."""
    nu = pilot.freedom[i]
    shrunk = 1 / (1 + nu)
    rows = next(iter(pilot.residuals[i].values()))
    weights = generator.standard_normal((k, len(rows))) / np.sqrt(nu)
    return {
        m: np.sqrt(1 - shrunk) * weights @ r
        + np.sqrt(shrunk * (r**2).sum(0) / nu) * generator.standard_normal((k, r.shape[1]))
        for m, r in pilot.residuals[i].items()
    }


def _simulated(pilot: _Pilot, k: int, samples: int, generator: np.random.Generator) -> list[Curve]:
    """The curves of one simulated study like the pilot, with k seeds and ``samples`` samples."""
    found = []
    count = next(iter(pilot.replicates[0].values())).shape[1]
    r, v = (int(generator.integers(count)) for _ in range(2))
    own = pilot.curves[0].seeds
    for i, curve in enumerate(pilot.curves):
        nu = pilot.freedom[i]
        scale = np.sqrt(nu / generator.chisquare(nu))
        error = _noise(pilot, i, own, generator)
        noise, drawn, other = (_noise(pilot, i, k, generator) for _ in range(3))
        values, replicates, validation = {}, {}, {}
        for m in curve.values:
            share, real = pilot.share[i][m], pilot.replicates[i][m]
            truth = curve.mean(m) + scale * error[m].mean(0)
            training = scale * np.sqrt(1 - share) * noise[m]
            sampling = scale * np.sqrt(share * pilot.samples / samples)
            values[m] = truth + training + sampling * drawn[m] + real[:, r]
            replicates[m] = values[m].mean(0)[:, None] + real
            third = np.sqrt(VALIDATION_SHARE - 1) * (sampling * other[m]).mean(0)
            validation[m] = truth + training.mean(0) + third + real[:, v] * np.sqrt(pilot.test / pilot.validation)
        found.append(Curve(curve.name, curve.steps, curve.calls, values, replicates, validation))
    return found


def power(pilot: _Pilot, seeds: int, samples: int, rules: Rules, studies: int) -> Point:
    """The share of simulated studies with a certified rate above 1, and the mean of that rate."""
    generator, rates = np.random.default_rng([0, seeds, samples]), []
    for _ in range(studies):
        candidate, *baselines = _simulated(pilot, seeds, samples, generator)
        best = quoted(exchanges(candidate, baselines, rules))
        rates.append(0.0 if best is None else best.certified)
    return Point(seeds, samples, float(np.mean(np.array(rates) > 1)), float(np.mean(rates)))


def plan_of(
    curves: Sequence[Curve], samples: int, test: int, validation: int, *, rules: Rules | None = None, asked: float = POWER,
    studies: int = STUDIES,
) -> Plan:  # fmt: skip
    """The cheapest study with the power ``asked`` and two thirds of the rate that ``MOST_SEEDS`` seeds certify, from the pilot's
    curves, with the candidate's first.

    For each number of samples the fewest seeds are found by bisection, and the cheapest combination is chosen. Its cost is
    seeds times (1 + ``SAMPLING_COST`` times samples, in multiples of the pilot's).

    Raises:
        ValueError: a pilot of one seed.
    """
    pilot, rules = _pilot(curves, samples, test, validation), rules or Rules()
    enough = min(asked + (asked * (1 - asked) / studies) ** 0.5, 0.99)  # a margin for simulation error
    tried: list[Point] = []
    plans: list[tuple[float, Point]] = []
    for multiple in LADDER:
        most = power(pilot, MOST_SEEDS, multiple * samples, rules, studies)
        tried.append(most)
        if most.power < enough:
            continue
        low, high = 1, most
        while high.seeds - low > 1:
            here = power(pilot, (low + high.seeds) // 2, multiple * samples, rules, studies)
            tried.append(here)
            if here.power >= enough and here.rate >= SHARE * most.rate:
                high = here
            else:
                low = here.seeds
        plans.append((high.seeds * (1 + SAMPLING_COST * multiple), high))
    best = min(plans, key=lambda p: p[0])[1] if plans else None
    at = best or max(tried, key=lambda p: p.power)
    return Plan(
        candidate=curves[0].name,
        seeds=None if best is None else best.seeds,
        samples=None if best is None else best.samples,
        power=at.power,
        rate=at.rate,
        asked=asked,
        curve=tuple(sorted(tried, key=lambda p: (p.samples, p.seeds))),
        pilot_seeds=curves[0].seeds,
        pilot_samples=samples,
    )


def plan(
    study: Study, candidate: str = "", *, asked: float = POWER, studies: int = STUDIES, rules: Rules | None = None
) -> Plan:
    """The seeds and samples needed for a verdict on a candidate (default: the first), with this study as the pilot.

    Raises:
        ValueError: a pilot of one seed, or an unknown candidate.
    """
    names = [m.name for m in study.named(Role.CANDIDATE)]
    candidate = candidate or names[0]
    if candidate not in names:
        raise ValueError(f"candidate is {candidate!r}; this study has {', '.join(names)}")
    rules, zero = rules or Rules(), {m.name: m.zero for m in study.metrics}
    rules = replace(rules, error=rules.error / len(names), floor=rules.floor or study.floors, zero=rules.zero or zero)
    curves = [study.curve(candidate), *(study.curve(m.name) for m in study.named(Role.BASELINE))]
    real, n = study.real, study.samples
    return plan_of(curves, n, real.test, real.validation, rules=rules, asked=asked, studies=studies)


def plans_of(study: Study, candidate: str | None = None, asked: float = POWER) -> list[Plan]:
    """The plan of one candidate, or of all candidates."""
    names = [candidate] if candidate else [m.name for m in study.named(Role.CANDIDATE)]
    return [plan(study, name, asked=asked) for name in names]
