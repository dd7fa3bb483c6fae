"""Scores of samples that answer an input: a restoration, a forecast, a conditional text.

For an input c there is one truth y, drawn from p(y | c), and K draws x_1 .. x_K of the method. A set distance between all x and
all y does not see whether each x answers *its* input. A *proper score* does: S(q, y), the lower the better, with

    E_{y ~ p} S(p, y) <= E_{y ~ p} S(q, y)        for every q, with equality only at q = p (strictly proper)

so no method gains by any distribution but the posterior itself. Two of them, |.| being the Euclidean norm over the d
coordinates of an output divided by sqrt(d), so that the unit is that of one coordinate whatever the size:

    energy score   S = E |x - y| - 1/2 E |x - x'|            x, x' independent draws        the joint distribution of y
    CRPS           the same for each coordinate, averaged                                  its marginals only

Both are estimated without bias in K ("fair": pairs of *distinct* draws):

    S_K = 1/K sum_k |x_k - y| - 1/(2 K (K-1)) sum_{k != l} |x_k - x_l|

so that two methods with different K may be compared. The first term alone is the error, which a regression to the median
minimises; the second rewards spread, by less than too much spread adds to the first. The mean of S exceeds its value at
the posterior by half the energy distance between q and p, averaged over inputs, but that value itself is unknown: *a score has
no zero*. Only differences of scores mean something, and their replicates under resampling of the inputs (``Score``).

Energy scores see the location and the scale of an error well and its correlations weakly. The pair (input, output) as one
sample of a joint distribution is judged beside it by MMD (``joint_features``), which has a zero; further the consistency with
the input, where an operator is known, and the calibration of the draws (``coverage``, ``rank_deviation``).

Spread over skill (``restoration.recovered_variance``) is shown and decides nothing. It is 1 for the posterior, but also for
draws of the whole data set that ignore the input (both variances grow together), and for a bias b hidden in a
spread s^2 = sigma^2 + b^2: a method can have 1.00 and every proper score against it.

References:
    Strictly proper scoring rules, prediction, and estimation, Gneiting, Raftery, JASA 2007 (energy score, CRPS; section 4)
    Fair scores for ensemble forecasts, Ferro, Q. J. R. Meteorol. Soc. 2014 (without bias in K)
    Interpretation of rank histograms for verifying ensemble forecasts, Hamill, Monthly Weather Review 2001
    Discrimination ability of the energy score, Pinson, Tastu, DTU technical report, 2013 (weak on correlations)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from warmflow.metrics.distances import flatten
from warmflow.metrics.mmd import median_distance
from warmflow.metrics.resampled import Reference

ROWS = 64


def energy_score(draws: Tensor, truth: Tensor) -> Tensor:
    """S_K (n,) float64 for each input, of draws (K, n, *S), K at least 2, and the truth (n, *S)."""
    x, y = _aligned(draws, truth)
    d = y.shape[1]
    parts = []
    for rows in range(0, len(y), ROWS):
        block, true = x[:, rows : rows + ROWS].transpose(0, 1), y[rows : rows + ROWS]
        error = (block - true[:, None]).square().sum(2).sqrt().mean(1)
        k = block.shape[1]
        spread = torch.zeros_like(error)
        for i in range(k - 1):
            spread += (block[:, i + 1 :] - block[:, i : i + 1]).square().sum(2).sqrt().sum(1)
        parts.append((error - spread / (k * (k - 1))) / math.sqrt(d))
    return torch.cat(parts)


def crps(draws: Tensor, truth: Tensor) -> Tensor:
    """CRPS (n,) float64 for each input, averaged over coordinates, of draws (K, n, *S), K at least 2, and the truth (n, *S).

    The sum over pairs comes from the sorted draws: sum_{k < l} |x_k - x_l| = sum_j (2 j - K - 1) x_(j).
    """
    x, y = _aligned(draws, truth)
    k = len(x)
    weight = 2 * torch.arange(1, k + 1, dtype=torch.float64) - k - 1
    parts = []
    for rows in range(0, len(y), ROWS):
        block, true = x[:, rows : rows + ROWS], y[rows : rows + ROWS]
        error = (block - true).abs().mean(0)
        pairs = torch.einsum("k,knd->nd", weight, block.sort(dim=0).values)
        parts.append((error - pairs / (k * (k - 1))).mean(1))
    return torch.cat(parts)


def joint_features(inputs: Tensor, outputs: Tensor, scale_inputs: float, scale_outputs: float) -> Tensor:
    """Rows (n, d' + d) float64 for an MMD on the pair: inputs (n, *S') / scale_inputs beside outputs (n, *S) / scale_outputs.

    The scales are the median distances of the two in the training set (``joint_scales``). Then a typical pair of rows differs
    by about 1 in each half, and both matter equally in the kernel. Without it the half with more coordinates or the larger
    unit decides: a blurred image of small contrast beside its original would count for nothing, and the MMD would be that of
    the outputs alone, which a sampler that ignores its input passes.

    Raises:
        ValueError: not one output for each input, or a scale that is not positive and finite.
    """
    if len(inputs) != len(outputs):
        raise ValueError(f"inputs has {len(inputs)} rows and outputs {len(outputs)}; give one output for each input")
    for name, scale in (("scale_inputs", scale_inputs), ("scale_outputs", scale_outputs)):
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"{name} is {scale}; give the median distance of the training set, positive and finite")
    return torch.cat([flatten(inputs) / scale_inputs, flatten(outputs) / scale_outputs], 1)


def joint_scales(inputs: Tensor, outputs: Tensor) -> tuple[float, float]:
    """The median distances of the training set's inputs (n, *S') and outputs (n, *S)."""
    return median_distance(flatten(inputs)), median_distance(flatten(outputs))


@dataclass(frozen=True, eq=False)
class Consistency:
    """Root mean squared error between operator(output) and the input, for each input (n,) float64: of the method's draws,
    and of the truth, which is the noise that the input carries. A method need not be below the truth."""

    draws: Tensor
    truth: Tensor


def consistency(draws: Tensor, truth: Tensor, inputs: Tensor, operator: Callable[[Tensor], Tensor]) -> Consistency:
    """Of draws (K, n, *S), the truth (n, *S) and inputs (n, *S'); ``operator`` takes (n, *S) to (n, *S')."""
    if draws.shape[1:] != truth.shape:
        raise ValueError(f"draws are {tuple(draws.shape)}, the truth {tuple(truth.shape)}: K draws of every input")

    def error(x: Tensor) -> Tensor:
        found = operator(x)
        if found.shape != inputs.shape:
            raise ValueError(f"operator gives {tuple(found.shape)}; inputs are {tuple(inputs.shape)}")
        return (flatten(found) - flatten(inputs)).square().mean(1)

    mean = torch.stack([error(x) for x in draws]).mean(0)
    return Consistency(draws=mean.sqrt(), truth=error(truth).sqrt())


def ranks(draws: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """For each input and coordinate how many of the K draws are below the truth and how many equal to it: (n, d) int64 each."""
    x, y = _aligned(draws, truth)
    below, equal = torch.zeros(y.shape, dtype=torch.int64), torch.zeros(y.shape, dtype=torch.int64)
    for one in x:
        below += one < y
        equal += one == y
    return below, equal


def coverage(draws: Tensor, truth: Tensor, level: float = 0.9) -> Tensor:
    """(n,) float64: for each input the share of coordinates of the truth (n, *S) inside the central interval of its draws
    (K, n, *S). Its expectation is ``level`` for the posterior, at every K.

    If truth and draws are exchangeable given the input, the rank of the truth among them is uniform on the K + 1 places 0 .. K.
    Let place p stand for [p, p + 1]; the central interval is [c, K + 1 - c] with c = (1 - level) / 2 (K + 1), and a
    rank counts by the part of its place that lies inside. Where the extremes of the draws hold less than ``level``, as with
    K = 4 (60 %), the outermost places count in part: quantiles of the K draws themselves would cover too seldom. Draws equal
    to the truth spread it evenly over the places among them.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; give a share between 0 and 1")
    below, equal = ranks(draws, truth)
    places = len(draws) + 1
    cut = (1 - level) / 2 * places
    edges = torch.arange(places + 1, dtype=torch.float64).clamp(cut, places - cut)  # the part inside below each place
    return ((edges[below + equal + 1] - edges[below]) / (equal + 1)).mean(1)


def rank_deviation(draws: Tensor, truth: Tensor) -> Tensor:
    """(K + 1,) float64: the rank histogram of the truth among the draws, over inputs and coordinates, less 1 / (K + 1).

    All near 0 for the posterior; positive at both ends where draws vary too little, in the middle where they vary too much,
    at one end where they are biased. Half the sum of absolute values is the histogram's total variation from uniform. Where
    it is near 0 the draws need not be right: draws that ignore the input are calibrated too.
    """
    below, equal = ranks(draws, truth)
    places = len(draws) + 1
    part = 1 / (equal + 1).double().reshape(-1)
    starts = torch.bincount(below.reshape(-1), part, minlength=places + 1)
    ends = torch.bincount((below + equal + 1).reshape(-1), part, minlength=places + 1)
    return (starts - ends).cumsum(0)[:places] / len(part) - 1 / places


class PerInput(Protocol):
    """A score (n,) for each input of draws (K, n, *S) and the truth (n, *S): ``energy_score``, ``crps``."""

    def __call__(self, draws: Tensor, truth: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class Score:
    """A proper score as a judged number: its mean over inputs, and the same under counts on the inputs.

    Not a distance: ``has_zero`` is False, only differences of two methods mean something, and there is neither n_eq nor a margin
    between real sets. A resampling draws inputs with their truths; all methods answer the same inputs and are measured under
    the same counts, so that the replicates of a difference are the differences of the replicates.
    """

    name: str
    score: PerInput
    has_zero: ClassVar[bool] = False

    def reference(self, truth: Tensor, counts: Tensor) -> Reference:
        """Truths (n, *S) and counts (R, n) on the inputs; nothing is computed from the truths alone."""
        if counts.ndim != 2 or counts.shape[1] != len(truth):
            raise ValueError(
                f"counts are {tuple(counts.shape)}; give (R, {len(truth)}), one count for each input of the truth"
            )
        return Reference(truth, counts, 0.0, torch.zeros(len(counts), dtype=torch.float64))

    def against(self, samples: Tensor, reference: Reference) -> tuple[float, Tensor]:
        """The mean score of draws (K, n, *S), in the order of the reference's inputs, and its (R,) replicates."""
        each = self.score(samples, reference.features)
        return float(each.mean()), reference.counts @ each / reference.counts.sum(1)


def _aligned(draws: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """(K, n, d) and (n, d) float64 on the CPU."""
    if draws.ndim < 2 or len(draws) < 2:
        raise ValueError(f"draws are {tuple(draws.shape)}; give (K, n, *S) with at least two draws of every input")
    if draws.shape[1:] != truth.shape:
        raise ValueError(f"draws are {tuple(draws.shape)}, the truth {tuple(truth.shape)}: K draws of every input")
    y = flatten(truth)
    return draws.detach().to(device="cpu", dtype=torch.float64).reshape(len(draws), *y.shape), y
