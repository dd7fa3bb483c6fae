"""Distances that can be taken again under resamplings of the real set, without touching the samples again.

A claim about D(warm) - D(cold) must hold for another real set too. Drawing m real points with replacement is giving
each a count w_i, multinomial with sum m; the distance under these counts is a *replicate*. When every arm is measured
under the same R count vectors, the replicate of a difference is the difference of the replicates, so R numbers a
distance are all that need be kept: no samples, no features, no kernels.

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


class Extractor(Protocol):
    """Anything that turns samples (n, *S) into features (n, d)."""

    def features(self, x: Tensor) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Reference:
    """A real set made ready: features (m, d), counts (R, m), and what only the real set enters, under equal weights
    (``own``) and under each of the counts (``own_resampled`` (R,))."""

    features: Tensor
    counts: Tensor
    own: float
    own_resampled: Tensor


class ResampledMetric(Metric):
    """A distance with replicates under counts on the real set.

    ``has_zero``: the number is 0 in expectation where the two distributions are equal (MMD, k-grams). A score that lacks this
    (``conditional.Score``) can be compared between methods and says nothing alone.
    """

    has_zero: ClassVar[bool] = True

    @abstractmethod
    def reference(self, real: Tensor, counts: Tensor) -> Reference:
        """The real features (m, d) and counts (R, m), with everything computed that samples do not enter."""

    @abstractmethod
    def against(self, samples: Tensor, reference: Reference) -> tuple[float, Tensor]:
        """The distance of features (n, d) to the reference, and its (R,) replicates."""


def resampling_counts(m: int, times: int, seed: int) -> Tensor:
    """(times, m) float64 multinomial counts, each row summing to m: how often each real point is drawn."""
    if m < 2 or times < 2:
        raise ValueError(f"m, times are {m}, {times}; resampling needs at least 2 real points and 2 resamples")
    return torch.from_numpy(np.random.default_rng(seed).multinomial(m, np.full(m, 1 / m), size=times)).double()
