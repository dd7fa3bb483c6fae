"""A study: what was measured of every method, as numbers only. Everything a verdict says is computed from it.

A *method* is measured at several numbers of steps and under several training seeds; each of these is a *row*. All methods are
measured with the same number of samples, against the same held-out real data, and under the same training seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from warmflow.evaluation.curves import Curve


class Role(StrEnum):
    """What a method is to the verdict."""

    BASELINE = "baseline"  # the candidate has to be faster than every one of these
    CANDIDATE = "candidate"
    CONTROL = "control"  # the candidate's recipe, pairing included, from noise in place of its draft
    START = "start"  # what a candidate starts from (a draft, a learned prior), measured as it is: 0 calls
    SHOWN = "shown"  # in the tables and figures, not in the verdict


class Training(StrEnum):
    """What was held equal between the methods."""

    EQUAL = "equal training"
    EQUAL_FLOWS = "equal training of the flows"  # a learned prior's own training comes on top
    CONVERGENCE = "convergence"
    DISTILLED = "distilled"  # the candidate was distilled from a trained flow
    UNKNOWN = "unknown"  # samples from elsewhere


@dataclass(frozen=True)
class Method:
    """What is known of a method beside its samples.

    Args:
        solver: the solver it was measured with; empty where it is not known.
        solvers: all that were tried on validation data.
        of: of a control or a start, the candidate it belongs to.
        bill: one-off seconds that this method spends before its first sample, by name ("draft", "pairing", "training").
        title: what sentences and figures call it; its name where empty.
        calls_per_step: calls of a step of its solver, where steps are not known (ready samples).
    """

    name: str
    role: Role
    solver: str = ""
    solvers: tuple[str, ...] = ()
    of: str = ""
    bill: Mapping[str, float] = field(default_factory=dict)
    title: str = ""
    calls_per_step: float = 1.0

    @property
    def shown(self) -> str:
        """The title, or the name in words."""
        return self.title or self.name.replace("_", " ").replace("-", " ")


@dataclass(frozen=True)
class MetricFacts:
    """A metric of a study.

    Args:
        scatter: 1 - E k(X, X') of its kernel on real data, which turns a distance D into n_eq = scatter / D; None for metrics
            that keep their own unit.
        zero: whether the distance of the data's own distribution is 0 (a score has no zero).
        unit: the unit of its numbers in words.
        floor: the standard deviation on validation data of a distance whose expectation is 0; 0 where it is not known.
    """

    name: str
    scatter: float | None = None
    zero: bool = True
    unit: str = ""
    floor: float = 0.0


@dataclass(frozen=True, eq=False)
class Measure:
    """What is kept of one set of samples.

    Args:
        samples: how many there were.
        distance: by metric, against the held-out test set.
        replicates: by metric, (R,) distances under the R resamplings of the test set, which all rows share.
        validation: by metric, the distance against the validation set; choices are made on it.
        classes: (C,) counts of the samples' classes or clusters; None where there are none.
        copies: the share of samples below each quantile of the copying ratio; None without training data.
        beside: numbers that are shown and decide nothing.
    """

    samples: int
    distance: Mapping[str, float]
    replicates: Mapping[str, Tensor]
    validation: Mapping[str, float]
    classes: Tensor | None = None
    copies: Tensor | None = None
    beside: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Row:
    """One method at one number of steps under one training seed.

    ``calls`` are evaluations of the flow's network a sample, counted on the network. ``seconds`` are per sample with
    everything counted, of a large batch; None where they are not known.
    """

    method: str
    steps: int
    calls: float
    seed: int
    measure: Measure
    seconds: float | None = None


@dataclass(frozen=True, eq=False)
class RealFacts:
    """What is fixed by the real data before anything is sampled.

    Args:
        test, validation: rows of the two held-out sets; 0 rows of validation where choices were made elsewhere.
        shares: (C,) class shares of the test set; None without classes.
        variation_limit, variation_mean: the total variation between class shares that sampling alone gives, its 95 %
            quantile and mean.
        quantiles: levels at which copying is measured: a share q of new real data lies below its q-quantile.
        copying_noise: the standard error of each such share that comes of the real data.
    """

    test: int
    validation: int
    shares: Tensor | None = None
    variation_limit: float = 0.0
    variation_mean: float = 0.0
    quantiles: tuple[float, ...] = ()
    copying_noise: tuple[float, ...] = ()


@dataclass(frozen=True)
class Times:
    """Seconds a sample of one method at one number of steps, a value for each round of interleaved timing: everything that
    the method does to make a sample is counted, its draft included."""

    method: str
    steps: int
    seconds: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Study:
    """Methods, their rows, and what they were measured with. The first metric is the primary one.

    Args:
        given: what every training seed shares ("draft", "pairing"): the claim then says *given this draft*.
        counted: what the candidate's cost counts beside its flow ("draft", "pairing", "prior").
        times: interleaved timings of the rows that were timed.
        items: what the samples are called in sentences: "images", "texts", "samples".
        apart: of candidates that differ from the others, what is held equal for them and what their cost counts.
        calls_counted: whether calls were counted on the networks; else they are what the samples were given under.
    """

    methods: tuple[Method, ...]
    rows: tuple[Row, ...]
    metrics: tuple[MetricFacts, ...]
    real: RealFacts
    trained: Training = Training.UNKNOWN
    given: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    times: tuple[Times, ...] = ()
    items: str = "samples"
    calls_counted: bool = True
    apart: Mapping[str, tuple[Training, tuple[str, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self)

    @property
    def floors(self) -> dict[str, float]:
        """By metric with a zero, the distance below which rows are not told apart on validation data. Where it is not known, half
        of the least standard deviation that the resampling of the test set shows."""
        found = {}
        for metric in self.metrics:
            if metric.zero:
                least = min(float(r.measure.replicates[metric.name].std()) for r in self.rows)
                found[metric.name] = metric.floor or least / 2
        return found

    @property
    def primary(self) -> MetricFacts:
        return self.metrics[0]

    def method(self, name: str) -> Method:
        return next(m for m in self.methods if m.name == name)

    def named(self, role: Role) -> list[Method]:
        return [m for m in self.methods if m.role is role]

    def rows_of(self, name: str, steps: int | None = None) -> list[Row]:
        """The rows of a method (at one number of steps), by seed."""
        found = [r for r in self.rows if r.method == name and steps in (None, r.steps)]
        return sorted(found, key=lambda r: (r.steps, r.seed))

    @property
    def seeds(self) -> list[int]:
        return sorted({r.seed for r in self.rows})

    @property
    def samples(self) -> int:
        return self.rows[0].measure.samples

    def curve(self, name: str) -> Curve:
        """The distances of a method at each number of steps, fewest calls first."""
        rows = self.rows_of(name)
        steps = sorted({r.steps for r in rows}, key=lambda s: (np.mean([r.calls for r in rows if r.steps == s]), s))
        table = [[r for r in rows if r.steps == s] for s in steps]
        names = [m.name for m in self.metrics]

        def of(metric: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            values = np.array([[r.measure.distance[metric] for r in column] for column in table]).T
            replicates = [
                torch.stack([r.measure.replicates[metric] for r in column]).mean(0).numpy() for column in table
            ]
            validation = np.array([np.mean([r.measure.validation[metric] for r in column]) for column in table])
            return values, np.array(replicates), validation

        parts = {metric: of(metric) for metric in names}
        return Curve(
            name=name,
            steps=np.array(steps),
            calls=np.array([np.mean([r.calls for r in column]) for column in table]),
            values={metric: part[0] for metric, part in parts.items()},
            replicates={metric: part[1] for metric, part in parts.items()},
            validation={metric: part[2] for metric, part in parts.items()},
            per_step=self._per_step(name, table),
        )

    def _per_step(self, name: str, table: Sequence[Sequence[Row]]) -> float:
        """Calls of a step: what each further step of the rows cost at least, and 1 at least."""
        calls, steps = (
            np.array([float(np.mean([getattr(r, k) for r in rows])) for rows in table]) for k in ("calls", "steps")
        )
        slope = float((np.diff(calls) / np.maximum(np.diff(steps), 1e-9)).min(initial=math.inf))
        counted = round(slope) if 1 < slope < math.inf else 1.0
        return max(counted, self.method(name).calls_per_step)


def _check(study: Study) -> None:
    """Errors of a study as a whole, each naming the method, the value and the remedy."""
    names = [m.name for m in study.methods]
    if len(set(names)) < len(names):
        raise ValueError(f"methods are named {', '.join(names)}; give each method a name of its own")
    if not study.named(Role.BASELINE) or not study.named(Role.CANDIDATE):
        raise ValueError(f"the methods are {', '.join(names)}; a verdict needs a baseline and a candidate")
    seeds: dict[str, dict[int, set[int]]] = {name: {} for name in names}
    for row in study.rows:
        if row.method not in seeds:
            raise ValueError(f"a row is of {row.method!r}, which is no method of this study; known: {', '.join(names)}")
        have = seeds[row.method].setdefault(row.steps, set())
        if row.seed in have:
            raise ValueError(f"{row.method} has two rows at {row.steps} steps under seed {row.seed}; give one")
        have.add(row.seed)
        if row.measure.samples != study.rows[0].measure.samples:
            raise ValueError(
                f"{row.method} at {row.steps} steps has {row.measure.samples} samples and {study.rows[0].method} "
                f"{study.rows[0].measure.samples}; a comparison needs equally many of every method"
            )
    _check_seeds({name: found for name, found in seeds.items() if found}, study.methods)


def _check_seeds(seeds: Mapping[str, Mapping[int, set[int]]], methods: Sequence[Method]) -> None:
    """Every method, and every number of steps, under the same training seeds: seeds left out are seeds chosen afterwards."""
    missing = [m.name for m in methods if m.name not in seeds]
    if missing:
        raise ValueError(f"{missing[0]} has no samples; give it at least one number of steps, or leave it out")
    every = set().union(*(s for found in seeds.values() for s in found.values()))
    for name, found in seeds.items():
        for steps, have in found.items():
            if have != every:
                raise ValueError(
                    f"{name} at {steps} steps has the training seeds {sorted(have)} and others have {sorted(every)}; a verdict "
                    "from chosen seeds is none: measure every method under the same seeds"
                )
