"""The ruler: everything a verdict is measured with, fixed before anything is sampled.

    margin   delta = 95 % quantile of D(R1, R2) over random splits of the real data into disjoint sets of the sizes used
    floor    the total variation TV(R1, R2) of the same splits: mean and 95 % quantile
    band     the copying ratio of real points that were not trained on: nearest over second-nearest distance, unless
             another is given (text has one of its own)
    counts   the R multinomial resamplings of the held-out real set, the same ones for every arm

An arm is measured on ``sets`` sets of ``samples / sets`` samples each, and each number is the mean over the sets. D is
unbiased, so cutting changes no expectation; but the margin is what two sets of one size differ by, and a difference
of two arms, each measured on one such set for five seeds, has itself a standard error of about a third of that margin:
two *equal* arms are then judged equal in only 67 (digits) to 77 (toys) of 100 verdicts. With four sets it was 96 to 98
of 100 (the setting of tests/truths/test_calibration.py). Four sets cost four times the sampling and no real data.

References:
    A kernel two-sample test, Gretton et al., JMLR 2012 (the splits of one pool are its permutation null)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from warmflow.contracts import Metric
from warmflow.metrics.copying import NEAR, copying_ratio, distinct
from warmflow.metrics.distances import flatten
from warmflow.metrics.features import Classifier
from warmflow.metrics.frechet import Frechet
from warmflow.metrics.resampled import Reference, ResampledMetric, random_splits, resampling_counts
from warmflow.metrics.variation import Labeller, histogram, total_variation
from warmflow.noise import permutation

POOL_ROWS = 10_000
RESAMPLES = 200
BESIDE_SPLITS = 8


@dataclass(frozen=True)
class Floor:
    """A number measured between two real sets: its mean, the middle 95 % (low, high), its 95 % quantile ``limit``."""

    mean: float
    low: float
    high: float
    limit: float

    @staticmethod
    def of(values: Tensor) -> Floor:
        low, high, limit = (float(values.quantile(q)) for q in (0.025, 0.975, 0.95))
        return Floor(float(values.mean()), low, high, limit)


@dataclass(frozen=True)
class CopyingBand:
    """Copying of real sets that were not trained on: the share's mean and 95 % quantile, the mean ratio's mean and 5 %
    quantile, over sets of the size used drawn with replacement from the held-out real points."""

    share: float
    share_limit: float
    mean: float
    mean_limit: float


@dataclass(frozen=True, eq=False)
class Measure:
    """What is kept of one arm's samples under one seed: numbers only.

    ``distance`` and ``replicates`` (R,) are by metric; ``beside`` holds metrics that are shown and not judged.
    """

    samples: int
    distance: Mapping[str, float]
    replicates: Mapping[str, Tensor]
    beside: Mapping[str, float]
    variation: float
    copying_share: float
    copying_mean: float

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "replicates": {name: r.tolist() for name, r in self.replicates.items()}}

    @staticmethod
    def from_json(json: Mapping[str, Any]) -> Measure:
        replicates = {name: torch.tensor(r, dtype=torch.float64) for name, r in json["replicates"].items()}
        return Measure(**{**json, "replicates": replicates})


@dataclass(frozen=True, eq=False)
class Ruler:
    """Metrics (the first is primary), real sets and floors; build it with ``Ruler.of``, before sampling.

    ``margins`` holds for each metric the distance between real sets (``limit`` is delta). ``samples`` is how many an
    arm draws for a seed, measured in ``sets`` equal parts. ``copies`` gives samples (n, *S) their copying ratio (n,).
    """

    metrics: tuple[ResampledMetric, ...]
    beside: tuple[Metric, ...]
    labeller: Labeller
    samples: int
    sets: int
    shape: tuple[int, ...]
    train: Tensor
    references: Mapping[str, Reference]
    beside_real: Mapping[str, Tensor]
    histogram: Tensor
    margins: Mapping[str, Floor]
    beside_floors: Mapping[str, Floor]
    variation: Floor
    copying: CopyingBand
    copies: Callable[[Tensor], Tensor]
    facts: Mapping[str, Any]

    @staticmethod
    def of(
        train: Tensor,
        real: Tensor,
        pool: Tensor,
        metrics: Sequence[ResampledMetric],
        labeller: Labeller,
        samples: int,
        seed: int = 0,
        splits: int = 200,
        *,
        sets: int = 1,
        beside: Sequence[Metric] | None = None,
        copies: Callable[[Tensor], Tensor] | None = None,
    ) -> Ruler:
        """The ruler for arms of ``samples`` samples against the held-out ``real`` (m, *S).

        ``train`` (k, *S) is what the arms are trained on; ``pool`` is all real data that may be split (training,
        validation and held out), at least samples / sets + m rows; a fixed 10,000 of them are used where there are
        more. ``beside`` defaults to the Frechet distance, in the classifier's features where the labeller is one.
        ``copies`` gives samples (n, *S) a ratio (n,) in [0, 1], 0 for a copy and 1 where nothing is copied; it defaults
        to the ratio of distances to the nearest two training points. Rows may be tokens (int64) where the metrics, the
        labeller and ``copies`` take them.
        """
        _check(train, real, pool, metrics, samples, splits, sets)
        size, m = samples // sets, len(real)
        if len(pool) > max(POOL_ROWS, size + m):
            pool = pool[permutation(seed, len(pool), "pool")[: max(POOL_ROWS, size + m)]]
        first, second = random_splits(len(pool), size, m, splits, seed)
        counts = resampling_counts(m, RESAMPLES, seed)
        if beside is None:
            beside = (Frechet(extractor=labeller if isinstance(labeller, Classifier) else None),)
        margins = {metric.name: Floor.of(metric.splits(metric.features(pool), first, second)) for metric in metrics}
        known = train
        if copies is None:
            known = distinct(train)
            copies = partial(copying_ratio, train=known)
        labels = labeller.labels(pool)
        floor = total_variation(*(histogram(labels[rows], labeller.classes) for rows in (first, second)))
        beside_floors = {}
        for metric in beside:
            features = metric.features(pool)
            pairs = zip(first[:BESIDE_SPLITS], second[:BESIDE_SPLITS], strict=True)
            values = [metric.distance(features[a], features[b]) for a, b in pairs]
            beside_floors[metric.name] = Floor.of(torch.tensor(values, dtype=torch.float64))
        return Ruler(
            metrics=tuple(metrics),
            beside=tuple(beside),
            labeller=labeller,
            samples=samples,
            sets=sets,
            shape=tuple(real.shape[1:]),
            train=known,
            references={metric.name: metric.reference(metric.features(real), counts) for metric in metrics},
            beside_real={metric.name: metric.features(real) for metric in beside},
            histogram=histogram(labeller.labels(real), labeller.classes),
            margins=margins,
            beside_floors=beside_floors,
            variation=Floor.of(floor),
            copying=_copying_band(copies(real), size, splits, seed),
            copies=copies,
            facts={
                "seed": seed,
                "splits": splits,
                "resamples": RESAMPLES,
                "train": {"rows": len(train), "digest": _digest(train)},
                "real": {"rows": m, "digest": _digest(real)},
                "pool": len(pool),
            },
        )

    @property
    def primary(self) -> str:
        return self.metrics[0].name

    def margin(self, name: str | None = None) -> float:
        """delta of a metric, of the primary one unless named."""
        return self.margins[self.primary if name is None else name].limit

    def measure(self, x: Tensor) -> Measure:
        """Every number a verdict needs of samples x (``samples``, *S), post-processed as every other arm's are."""
        if len(x) != self.samples or tuple(x.shape[1:]) != self.shape:
            raise ValueError(
                f"x is {tuple(x.shape)}; a verdict compares equal samples: draw {self.samples} of shape {self.shape}, "
                "or build the ruler for another number"
            )
        bad = int((~torch.isfinite(x)).reshape(len(x), -1).any(1).sum())
        if bad:
            raise ValueError(f"x has {bad} of {len(x)} samples with NaN or infinite entries: repair that arm")
        distance, replicates = {}, {}
        for metric in self.metrics:
            pairs = [metric.against(part, self.references[metric.name]) for part in metric.features(x).chunk(self.sets)]
            distance[metric.name] = float(np.mean([d for d, _ in pairs]))
            replicates[metric.name] = torch.stack([r for _, r in pairs]).mean(0)
        beside = {}
        for shown in self.beside:
            parts, real = shown.features(x).chunk(self.sets), self.beside_real[shown.name]
            beside[shown.name] = float(np.mean([shown.distance(part, real) for part in parts]))
        shares = histogram(self.labeller.labels(x).reshape(self.sets, -1), self.labeller.classes)
        ratio = self.copies(x)
        return Measure(
            samples=len(x),
            distance=distance,
            replicates=replicates,
            beside=beside,
            variation=float(total_variation(shares, self.histogram).mean()),
            copying_share=float((ratio < NEAR).double().mean()),
            copying_mean=float(ratio.mean()),
        )

    def to_json(self) -> dict[str, Any]:
        """What is fixed before sampling, for config.json: sizes, seeds, scales, margins, floors, digests."""
        return {
            "metric": self.primary,
            "metrics": {
                metric.name: {
                    "kind": type(metric).__name__,
                    "scale": getattr(metric, "scale", None),
                    **{part: getattr(metric, part) for part in ("k", "bag") if hasattr(metric, part)},
                    "margin": self.margin(metric.name),
                    "real": vars(self.margins[metric.name]),
                }
                for metric in self.metrics
            },
            "beside": {
                metric.name: {"kind": type(metric).__name__, "real": vars(self.beside_floors[metric.name])}
                for metric in self.beside
            },
            "samples": self.samples,
            "sets": self.sets,
            "variation": vars(self.variation),
            "labeller": {"kind": type(self.labeller).__name__, "classes": self.labeller.classes},
            "copying": vars(self.copying),
            **self.facts,
        }


def _check(
    train: Tensor, real: Tensor, pool: Tensor, metrics: Sequence[Metric], samples: int, splits: int, sets: int
) -> None:
    """Every error a user can make here, each naming the argument, the value and the remedy."""
    names = [metric.name for metric in metrics]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"metrics are named {names}; give at least one, each with a name of its own")
    if sets < 1 or samples % sets or samples // sets < 2:
        raise ValueError(f"samples is {samples} and sets {sets}; samples must be sets times a size of at least 2")
    if splits < 20:
        raise ValueError(f"splits is {splits}; a 95 % quantile needs at least 20")
    for name, x in (("train", train), ("real", real), ("pool", pool)):
        if len(x) < 2 or x.shape[1:] != real.shape[1:]:
            raise ValueError(
                f"{name} is {tuple(x.shape)}; give at least 2 rows of shape {tuple(real.shape[1:])}, as real has"
            )
        if not bool(torch.isfinite(x).all()):
            raise ValueError(f"{name} has NaN or infinite entries; remove those rows")


def _copying_band(ratio: Tensor, size: int, times: int, seed: int) -> CopyingBand:
    chosen = torch.from_numpy(np.random.default_rng(seed).integers(len(ratio), size=(times, size)))
    near = (ratio < NEAR).double()
    share, mean = near[chosen].mean(1), ratio[chosen].mean(1)
    return CopyingBand(
        share=float(near.mean()),
        share_limit=float(share.quantile(0.95)),
        mean=float(ratio.mean()),
        mean_limit=float(mean.quantile(0.05)),
    )


def _digest(x: Tensor) -> str:
    return hashlib.sha256(np.ascontiguousarray(flatten(x).numpy()).tobytes()).hexdigest()[:16]
