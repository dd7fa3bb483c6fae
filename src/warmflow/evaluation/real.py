"""Real data, prepared for measuring distances of samples: everything here is fixed before anything is sampled.

    test         distances to it are reported; its R multinomial resamplings are the same for every row
    validation   used for choices: the solver and time grid of each method, and which rows are useful
    train        the training data of the methods, for the kernel's width and for copying; optional

Of the N samples of a row, the last quarter is compared with the validation set and the others with the test set, so that choices
do not use the samples of the verdict. If they did, rows would be called useful because their samples happened to be near the
data, and identical methods would be called faster in 7.5 % of simulated studies instead of 3.9 %.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from warmflow.contracts import Metric
from warmflow.data.given import check_set
from warmflow.evaluation.study import Measure, MetricFacts, RealFacts
from warmflow.metrics.copying import CopyingReference
from warmflow.metrics.resampled import Reference, ResampledMetric, resampling_counts
from warmflow.metrics.variation import Labeller, sampled_variation
from warmflow.noise import permutation

if TYPE_CHECKING:
    from warmflow.evaluation.paired import Paired

RESAMPLES = 200
VALIDATION_SHARE = 4
"""One in this many samples is used for choices."""
TRAINING_ROWS = 60_000
QUANTILES = (0.01, 0.05)
"""Levels at which copying is measured; higher levels also depend on the blur of samples."""


class Copies(Protocol):
    """A measure of copying: the shares of samples (n, *S) below each of its quantiles of new real data."""

    @property
    def quantiles(self) -> tuple[float, ...]: ...

    def shares(self, x: Tensor) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class RealData:
    """The held-out sets, prepared for each metric; build it with ``of``. ``beside`` metrics are reported only.

    If samples answer an input, rows are joint rows (input, output), and ``paired`` selects the inputs."""

    metrics: tuple[ResampledMetric, ...]
    test: Mapping[str, Reference]
    validation: Mapping[str, Reference]
    shape: tuple[int, ...]
    facts: RealFacts
    labeller: Labeller | None = None
    copying: Copies | None = None
    beside: tuple[Metric, ...] = ()
    beside_real: Mapping[str, Tensor] = field(default_factory=dict)
    bounds: tuple[float, float] | None = None
    digest: str = ""
    samples: int = 2_000
    paired: Paired | None = None

    @staticmethod
    def of(
        test: Tensor,
        validation: Tensor,
        metrics: Sequence[ResampledMetric],
        *,
        train: Tensor | None = None,
        copying: Copies | None = None,
        labeller: Labeller | None = None,
        beside: Sequence[Metric] = (),
        bounds: tuple[float, float] | None = None,
        samples: int = 2_000,
        seed: int = 0,
    ) -> RealData:
        """Prepares the sets for rows of ``samples`` samples.

        Args:
            test, validation: (m, *S) each, disjoint.
            train: (n, *S) the training data of the methods, of which at most a fixed 60,000 rows are used to measure copying,
                unless another measure ``copying`` is given; without both, copying is not measured.
            labeller: assigns samples to classes (or clusters); None for no class variation.
            bounds: the range to which the samples of all methods were clipped, which is checked; None for none.
        """
        _check_metrics(metrics)
        for name, x in (("test", test), ("validation", validation)):
            check_set(name, x, tuple(test.shape[1:]))
        if train is not None and copying is None:
            check_set("train", train, tuple(test.shape[1:]))
            few = train[permutation(seed, len(train), "copying")[:TRAINING_ROWS]]
            copying = CopyingReference.of(few, validation, test, tuple(q for q in QUANTILES if q * len(test) >= 1))
        quantiles = () if copying is None else copying.quantiles
        noise = tuple(float(np.sqrt(q * (1 - q) / len(test))) for q in quantiles)
        shares, limit, mean = (
            (None, 0.0, 0.0)
            if labeller is None
            else sampled_variation(labeller, test, max(samples - samples // VALIDATION_SHARE, 1), seed)
        )
        return RealData(
            metrics=tuple(metrics),
            test={
                m.name: m.reference(m.features(test), resampling_counts(len(test), RESAMPLES, seed)) for m in metrics
            },
            validation={
                m.name: m.reference(m.features(validation), resampling_counts(len(validation), 2, seed))
                for m in metrics
            },
            shape=tuple(test.shape[1:]),
            facts=RealFacts(len(test), len(validation), shares, limit, mean, quantiles, noise),
            labeller=labeller,
            copying=copying,
            beside=tuple(beside),
            beside_real={m.name: m.features(test) for m in beside},
            bounds=bounds,
            digest=_digest(test, validation, *(() if train is None else (train,))),
            samples=samples,
        )

    @property
    def fixed(self) -> dict[str, object]:
        """Everything fixed before sampling, as JSON values for a configuration: sets, metrics with their widths, levels."""
        return {
            "metrics": [
                {"name": m.name, "kind": type(m).__name__, "width": getattr(m, "scale", None), "k": getattr(m, "k", None)}
                for m in self.metrics
            ],
            "test": self.facts.test,
            "validation": self.facts.validation,
            "digest": self.digest,
            "resamples": RESAMPLES,
            "quantiles": list(self.facts.quantiles),
            "classes": self.labeller and {"kind": type(self.labeller).__name__, "n": self.labeller.classes},
            "variation": {"limit": self.facts.variation_limit, "mean": self.facts.variation_mean},
        }  # fmt: skip

    def _facts_of(self, metric: ResampledMetric) -> MetricFacts:
        """A metric with an n_eq (an MMD) counts real samples; its floor is that of a row's validation samples."""
        scatter = metric.one_sample(self.test[metric.name])
        floor = metric.null_spread(self.validation[metric.name].features, max(self.samples // VALIDATION_SHARE, 2))
        return MetricFacts(metric.name, scatter, metric.has_zero, "" if scatter is None else "real samples", floor)

    @property
    def metric_facts(self) -> tuple[MetricFacts, ...]:
        """The facts about the metrics for a study."""
        scores = () if self.paired is None else (MetricFacts("energy score", None, False, "units of one coordinate"),)
        return (*map(self._facts_of, self.metrics), *scores)

    def measure(self, x: Tensor, name: str = "samples") -> Measure:
        """All numbers about samples x (N, *S) that a verdict needs; ``name`` is used in error messages."""
        check_set(name, x, self.shape)
        if self.bounds is not None and (
            float(x.min()) < self.bounds[0] - 1e-4 or float(x.max()) > self.bounds[1] + 1e-4
        ):
            raise ValueError(
                f"{name} reaches from {float(x.min()):.3g} to {float(x.max()):.3g}, outside {self.bounds[0]:g} .. "
                f"{self.bounds[1]:g}: clip the samples of every method alike, or of none"
            )
        last = len(x) // VALIDATION_SHARE
        tested, chosen = x[: len(x) - last], x[len(x) - last :]
        distance, replicates, validation = {}, {}, {}
        for metric in self.metrics:
            distance[metric.name], replicates[metric.name] = metric.against(
                metric.features(tested), self.test[metric.name]
            )
            validation[metric.name] = metric.against(metric.features(chosen), self.validation[metric.name])[0]
        classes = None
        if self.labeller is not None:
            classes = torch.bincount(self.labeller.labels(tested), minlength=self.labeller.classes).double()
        beside = {m.name: m.distance(m.features(tested), self.beside_real[m.name]) for m in self.beside}
        copies = None if self.copying is None else self.copying.shares(tested)
        return Measure(len(x), distance, replicates, validation, classes, copies, beside)

    def validated(self, x: Tensor, metric: str) -> float:
        """The distance of samples to the validation set, for choices."""
        chosen = next(m for m in self.metrics if m.name == metric)
        return float(chosen.against(chosen.features(x), self.validation[metric])[0])


def _digest(*sets: Tensor) -> str:
    found = hashlib.sha256()
    for x in sets:
        found.update(np.ascontiguousarray(x.detach().cpu().numpy()).tobytes())
    return found.hexdigest()[:16]


def _check_metrics(metrics: Sequence[ResampledMetric]) -> None:
    names = [m.name for m in metrics]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"metrics are named {names}; give at least one, each with its own name")
