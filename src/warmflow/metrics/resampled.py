"""Distances with bootstrap replicates under resampling of the real set.

A claim about D(warm) - D(cold) must hold for another real set too. Drawing m real points with replacement gives each a count
w_i, multinomial with sum m; the distance under these counts is a *replicate*. If all methods are measured under the same R
count vectors, the replicates of a difference are the differences of the replicates. Therefore only R numbers per distance
have to be stored, and no samples, features or kernels.

References:
    An introduction to the bootstrap, Efron, Tibshirani, 1993, chapter 6
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from warmflow.contracts import Metric
from warmflow.user_code import as_weights, evaluating, naming, weights_of


class Extractor(Protocol):
    """An object that maps samples (n, *S) to features (n, d)."""

    def features(self, x: Tensor) -> Tensor: ...


@torch.no_grad()
def features_of(extractor: Extractor, x: Tensor) -> Tensor:
    """``extractor.features(x)`` (n, d) on the CPU. Modules are in evaluation mode; a module is given x in the dtype and on the
    device of its weights.

    Raises:
        ValueError: the extractor fails, or does not return a table with a row for each sample.
    """
    called = f"the extractor {getattr(extractor, 'name', type(extractor).__name__)}"
    with evaluating(extractor, getattr(extractor, "features", None)), naming(f"{called} failed on {tuple(x.shape)}"):
        found = extractor.features(as_weights(x, weights_of(extractor)))
    shape = tuple(getattr(found, "shape", ()))
    if not shape or shape[0] != len(x):
        raise ValueError(
            f"{called} gives {shape or type(found).__name__} for {len(x)} samples; features have a row for each"
        )
    return found.cpu()


@dataclass(frozen=True, eq=False)
class Reference:
    """A preprocessed real set: features (m, d), counts (R, m), and the term of a distance that depends on the real set only,
    with equal weights (``own``) and under each of the counts (``own_resampled`` (R,))."""

    features: Tensor
    counts: Tensor
    own: float
    own_resampled: Tensor


class ResampledMetric(Metric):
    """A distance with replicates under resampling counts of the real set.

    ``has_zero``: the expectation is 0 for equal distributions (MMD, k-grams). A score without zero (``conditional.Score``) is
    meaningful only in comparison with that of another method.
    """

    has_zero: ClassVar[bool] = True

    @abstractmethod
    def reference(self, real: Tensor, counts: Tensor) -> Reference:
        """The real features (m, d) and counts (R, m), with all terms that do not depend on samples."""

    @abstractmethod
    def against(self, samples: Tensor, reference: Reference) -> tuple[float, Tensor]:
        """The distance of features (n, d) to the reference, and its (R,) replicates."""

    def reweighted(self, samples: Tensor, reference: Reference, counts: Tensor) -> Tensor | None:
        """The distances (R,) of features (n, d) under each row of counts (R, n) of the samples; None where there are none."""
        return None

    def null_spread(self, real: Tensor, n: int) -> float:
        """The standard deviation of the distance for n samples distributed as the real features (m, d); 0 if unknown."""
        return 0.0

    def one_sample(self, reference: Reference) -> float | None:
        """n times the mean distance of n real samples, which turns distances into numbers of real samples; None if not known."""
        return None


def resampling_counts(m: int, times: int, seed: int) -> Tensor:
    """Multinomial counts (times, m) float64 of how often each of m real points is drawn; each row sums to m.

    Raises:
        ValueError: m or times below 2.
    """
    if m < 2 or times < 2:
        raise ValueError(f"m and times are {m} and {times}; resampling needs at least 2 real points and 2 resamples")
    return torch.from_numpy(np.random.default_rng(seed).multinomial(m, np.full(m, 1 / m), size=times)).double()
