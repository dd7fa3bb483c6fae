"""A study: the measurements of all methods, as numbers only, from which verdicts are computed.

A *method* is measured at several numbers of steps and under several training seeds; a ``Row`` is one combination. All methods are
measured with the same number of samples, the same held-out real data, and the same training seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from warmflow.brief import Brief
from warmflow.evaluation.curves import Curve
from warmflow.schemas import Finite, Seconds, Seed, Undefined, Whole


class Role(StrEnum):
    """The role of a method in the verdict."""

    BASELINE = "baseline"  # the candidate has to be faster than all baselines
    CANDIDATE = "candidate"
    CONTROL = "control"  # the candidate's recipe, pairing included, from noise instead of its draft
    START = "start"  # the start of a candidate (a draft, a learned prior) itself: 0 calls
    SHOWN = "shown"  # in tables and figures only, not in the verdict


class Training(StrEnum):
    """The condition under which the methods were trained."""

    EQUAL = "equal training"
    EQUAL_FLOWS = "equal training of the flows"  # the training of a learned prior is additional
    CONVERGENCE = "convergence"
    DISTILLED = "distilled"  # the candidate was distilled from a trained flow
    UNKNOWN = "unknown"  # samples from elsewhere


@dataclass(frozen=True)
class Method:
    """Facts about a method, apart from its samples.

    Args:
        solver: the solver it was measured with; empty if unknown.
        solvers: all solvers tried on validation data.
        of: for a control or a start, the candidate it belongs to.
        bill: one-off seconds before the first sample, by name ("draft", "pairing", "training").
        title: the name in sentences and figures; empty for ``name``.
        calls_per_step: calls per step of its solver, if steps are unknown (ready samples).
    """

    name: str
    role: Role
    solver: str = ""
    solvers: tuple[str, ...] = ()
    of: str = ""
    bill: Mapping[str, Seconds] = field(default_factory=dict)
    title: str = ""
    calls_per_step: Seconds = 1.0

    @property
    def shown(self) -> str:
        """The title, or the name in words."""
        return self.title or self.name.replace("_", " ").replace("-", " ")


@dataclass(frozen=True)
class MetricFacts:
    """A metric of a study.

    Args:
        scatter: 1 - E k(X, X') of its kernel on real data, which converts a distance D to n_eq = scatter / D; None for metrics
            with their own unit.
        zero: whether the expected distance is 0 for samples of the data distribution (False for scores).
        unit: the unit of its numbers in words.
        floor: the standard deviation on validation data of a distance whose expectation is 0; 0 if unknown.
    """

    name: str
    scatter: Finite | None = None
    zero: bool = True
    unit: str = ""
    floor: Seconds = 0.0


@dataclass(frozen=True, eq=False)
class Measure(Brief):
    """The measurements of one set of samples.

    Args:
        samples: the number of samples.
        distance: by metric, the distance to the held-out test set.
        replicates: by metric, (R,) distances under the R resamplings of the test set, which all rows share.
        validation: by metric, the distance to the validation set, used for choices.
        classes: (C,) counts of the samples' classes or clusters; None without classes.
        copies: (Q,) shares of samples below each quantile of the copying ratio; None without training data.
        beside: numbers that are reported only.
    """

    samples: Whole
    distance: Mapping[str, Finite]
    replicates: Mapping[str, Tensor]
    validation: Mapping[str, Finite]
    classes: Tensor | None = None
    copies: Tensor | None = None
    beside: Mapping[str, Undefined] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Row(Brief):
    """One method at one number of steps under one training seed.

    ``calls`` are evaluations of the flow's network per sample, counted on the network. ``seconds`` are per sample in a large
    batch, with everything counted; None if unknown.
    """

    method: str
    steps: Whole
    calls: Seconds
    seed: Seed
    measure: Measure
    seconds: Seconds | None = None


@dataclass(frozen=True, eq=False)
class RealFacts:
    """Facts about the real data, fixed before anything is sampled.

    Args:
        test, validation: numbers of rows of the two held-out sets; validation is 0 if choices were made elsewhere.
        shares: (C,) class shares of the test set; None without classes.
        variation_limit, variation_mean: the 95 % quantile and the mean of the total variation between class shares that is
            due to sampling alone.
        quantiles: levels q at which copying is measured: a share q of new real data is below the q-quantile.
        copying_noise: the standard error of each such share due to the real data.
    """

    test: Whole
    validation: Whole
    shares: Tensor | None = None
    variation_limit: Finite = 0.0
    variation_mean: Finite = 0.0
    quantiles: tuple[Finite, ...] = ()
    copying_noise: tuple[Finite, ...] = ()


@dataclass(frozen=True)
class Times:
    """Seconds per sample of one method at one number of steps, one value for each round of interleaved timing. Everything that
    is needed to draw a sample is counted, including its draft."""

    method: str
    steps: Whole
    seconds: tuple[Seconds, ...]


@dataclass(frozen=True, eq=False)
class Study(Brief):
    """Methods, their rows, and the metrics and data of the measurement. The first metric is the primary one.

    Args:
        given: parts shared by all training seeds ("draft", "pairing"): the claim then says *given this draft*.
        counted: parts included in the candidate's cost besides its flow ("draft", "pairing", "prior").
        times: interleaved timings of the rows that were timed.
        items: the word for samples in sentences: "images", "texts", "samples".
        apart: by candidate that differs from the others, its own ``trained`` and ``counted``.
        calls_counted: whether calls were counted on the networks, rather than stated with the samples.
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
        """By metric with a zero, the distance below which rows are not distinguished on validation data. If unknown, half of the
        smallest standard deviation under resampling of the test set."""
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
        """The rows of a method (at one number of steps), sorted by steps and seed."""
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

        def of(metric: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            values = np.array([[r.measure.distance[metric] for r in column] for column in table]).T
            replicates = [
                torch.stack([r.measure.replicates[metric] for r in column]).mean(0).numpy() for column in table
            ]
            validation = np.array([np.mean([r.measure.validation[metric] for r in column]) for column in table])
            return values, np.array(replicates), validation

        parts = {m.name: of(m.name) for m in self.metrics}
        values, replicates, validation = ({metric: part[k] for metric, part in parts.items()} for k in range(3))
        calls = np.array([np.mean([r.calls for r in column]) for column in table])
        return Curve(name, np.array(steps), calls, values, replicates, validation, self._per_step(name, table))

    def _per_step(self, name: str, table: Sequence[Sequence[Row]]) -> float:
        """Calls per step: the smallest cost of an additional step among the rows, at least 1."""
        calls, steps = (
            np.array([float(np.mean([getattr(r, k) for r in rows])) for rows in table]) for k in ("calls", "steps")
        )
        slope = float((np.diff(calls) / np.maximum(np.diff(steps), 1e-9)).min(initial=math.inf))
        counted = round(slope) if 1 < slope < math.inf else 1.0
        return max(counted, self.method(name).calls_per_step)


def _check(study: Study) -> None:
    """Raises ValueError if a study is inconsistent; messages name the method, the value and the remedy."""
    names, metrics = [m.name for m in study.methods], {m.name for m in study.metrics}
    if len(set(names)) < len(names):
        raise ValueError(f"methods are named {', '.join(names)}; give each method its own name")
    if not study.named(Role.BASELINE) or not study.named(Role.CANDIDATE):
        raise ValueError(f"the methods are {', '.join(names)}; a verdict needs a baseline and a candidate")
    seeds: dict[str, dict[int, set[int]]] = {name: {} for name in names}
    for row in study.rows:
        if row.method not in seeds:
            raise ValueError(f"a row is of {row.method!r}, which is not in this study; known: {', '.join(names)}")
        have = seeds[row.method].setdefault(row.steps, set())
        if row.seed in have:
            raise ValueError(f"{row.method} has two rows at {row.steps} steps under seed {row.seed}; give one")
        have.add(row.seed)
        if (form := _form(row.measure, metrics)) is None or form != _form(study.rows[0].measure, metrics):
            raise ValueError(f"{row.method} at {row.steps} steps has other metrics, resamplings or classes than others")
        if row.measure.samples != study.rows[0].measure.samples:
            raise ValueError(
                f"{row.method} at {row.steps} steps has {row.measure.samples} samples and {study.rows[0].method} "
                f"{study.rows[0].measure.samples}; a comparison needs equally many of every method"
            )
    _check_seeds({name: found for name, found in seeds.items() if found}, study.methods)


def _form(m: Measure, metrics: set[str]) -> object:
    """What is the same in all rows; None where a metric is missing or numbers are not finite."""
    held = [x for x in (m.classes, m.copies, *m.replicates.values()) if x is not None]
    if not metrics or not metrics <= m.distance.keys() & m.validation.keys() & m.replicates.keys():
        return None
    finite = all(bool(torch.isfinite(x).all()) for x in held)
    return (m.classes is None, set(m.beside), [(x.shape, x.dtype) for x in held]) if finite else None


def _check_seeds(seeds: Mapping[str, Mapping[int, set[int]]], methods: Sequence[Method]) -> None:
    """Raises ValueError unless every method and number of steps has the same training seeds, which rules out selected seeds."""
    missing = [m.name for m in methods if m.name not in seeds]
    if missing:
        raise ValueError(f"{missing[0]} has no samples; give it at least one number of steps, or leave it out")
    every = set().union(*(s for found in seeds.values() for s in found.values()))
    for name, found in seeds.items():
        for steps, have in found.items():
            if have != every:
                raise ValueError(
                    f"{name} at {steps} steps has the training seeds {sorted(have)} and others have {sorted(every)}; selected "
                    "seeds make a verdict invalid: measure every method under the same seeds"
                )
