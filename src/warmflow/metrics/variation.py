"""Total variation between class (or cluster) histograms, which shows missing or too frequent classes.

    TV(p, q) = 1/2 sum_c |p_c - q_c|        in [0, 1]: the share of samples that would have to change class

It is not 0 for two finite sets of one distribution: for ten equal classes, two sets of 500 give 0.08 on average, and 0.13 if
one of the sets has 100. Compare it with its value for two real sets of the same sizes.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Labeller(Protocol):
    """An object that assigns samples (n, *S) to classes 0 .. classes - 1."""

    @property
    def classes(self) -> int: ...

    def labels(self, x: Tensor) -> Tensor: ...


def histogram(labels: Tensor, classes: int) -> Tensor:
    """The shares (..., classes) float64 of the classes among labels (..., n) int64; each row sums to 1."""
    if labels.numel() == 0 or int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise ValueError(
            f"labels: {labels.numel()} of them, "
            + (f"from {int(labels.min())} to {int(labels.max())}" if labels.numel() else "none")
            + f"; a histogram over {classes} classes needs at least one, in 0 .. {classes - 1}"
        )
    zeros = torch.zeros(*labels.shape[:-1], classes, dtype=torch.float64)
    return zeros.scatter_add_(-1, labels, torch.ones_like(labels, dtype=torch.float64)) / labels.shape[-1]


def total_variation(p: Tensor, q: Tensor) -> Tensor:
    """Total variation distances (...,) between class shares p and q (..., classes)."""
    return 0.5 * (p - q).abs().sum(-1)


def variation(labeller: Labeller, a: Tensor, b: Tensor) -> float:
    """Total variation distance between the shares of the labels that ``labeller`` gives to samples a (n, *S) and b (m, *S)."""
    shares = [histogram(labeller.labels(x), labeller.classes) for x in (a, b)]
    return float(total_variation(shares[0], shares[1]))


MULTINOMIALS = 400


def sampled_variation(labeller: Labeller, test: Tensor, n: int, seed: int) -> tuple[Tensor, float, float]:
    """The class shares of a real set, and the 95 % quantile and mean of the total variation due to sampling n rows alone."""
    shares = histogram(labeller.labels(test), labeller.classes)
    generator = np.random.default_rng(seed)
    p = shares.numpy() / shares.numpy().sum()
    drawn = generator.multinomial(n, p, MULTINOMIALS) / n
    real = generator.multinomial(len(test), p, MULTINOMIALS) / len(test)
    values = 0.5 * np.abs(drawn - real).sum(1)
    return shares, float(np.quantile(values, 0.95)), float(values.mean())
