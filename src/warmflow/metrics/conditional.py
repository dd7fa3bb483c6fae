"""Scores of samples that answer an input: a restoration, a forecast, a conditional text.

For an input c there is one truth y, drawn from p(y | c), and K draws x_1 .. x_K of the method. A distance between the set of
all x and the set of all y cannot show whether each x answers *its* input. A *proper score* S(q, y), lower is better, can:

    E_{y ~ p} S(p, y) <= E_{y ~ p} S(q, y)        for every q, with equality only at q = p (strictly proper)

so the best expected score is that of the posterior itself. Two scores are used. |.| is the Euclidean norm over the d
coordinates of an output divided by sqrt(d), so that the unit is that of one coordinate for any d:

    energy score   S = E |x - y| - 1/2 E |x - x'|            x, x' independent draws        the joint distribution of y
    CRPS           the same for each coordinate, averaged                                  its marginals only

Both are estimated without bias in K ("fair": pairs of *distinct* draws):

    S_K = 1/K sum_k |x_k - y| - 1/(2 K (K-1)) sum_{k != l} |x_k - x_l|

so that methods with different K can be compared. The first term alone is the error, which is minimal for a regression to the
median. The second rewards spread, by less than too much spread adds to the first. The mean of S exceeds its value at the
posterior by half the energy distance between q and p, averaged over inputs, but this value is unknown: *a score has no zero*.
Only differences of scores are meaningful, and their replicates under resampling of the inputs (``Score``).

Energy scores are sensitive to errors of location and scale, and less to errors of correlations. They are complemented by the MMD
of pairs (input, output) as samples of a joint distribution (``joint_features``), which has a zero, by the consistency with the
input if an operator is known, and by the calibration of the draws (``coverage``, ``rank_deviation``).

Spread over skill (``restoration.recovered_variance``) is reported only. It is 1 for the posterior, but also for draws from the
whole data set that ignore the input (both variances grow together), and for a bias b with a spread of s^2 = sigma^2 + b^2: a
method can have a ratio of 1.00 and a poor value of every proper score.

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
    """The energy score S_K (n,) float64 of each input, from draws (K, n, *S), K at least 2, and the truth (n, *S).

    Reference: Gneiting, Raftery 2007, section 4; unbiased in K as in Ferro 2014.
    """
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
    """CRPS (n,) float64 of each input, averaged over coordinates, from draws (K, n, *S), K at least 2, and the truth (n, *S).

    The sum over pairs is computed from the sorted draws: sum_{k < l} |x_k - x_l| = sum_j (2 j - K - 1) x_(j).
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
    """Rows (n, d' + d) float64 for an MMD on pairs: inputs (n, *S') / scale_inputs, then outputs (n, *S) / scale_outputs.

    The scales are the median distances of inputs and outputs in the training set (``joint_scales``), so that two rows typically
    differ by about 1 in each half and both halves have equal weight in the kernel. Without scaling, the half with more
    coordinates or the larger unit would dominate. For example, a blurred input of low contrast would hardly count, and the MMD
    would be that of the outputs alone, which does not detect a sampler that ignores its input.

    Raises:
        ValueError: unequal numbers of inputs and outputs, or a scale that is not positive and finite.
    """
    if len(inputs) != len(outputs):
        raise ValueError(f"inputs has {len(inputs)} rows and outputs {len(outputs)}; give one output for each input")
    for name, scale in (("scale_inputs", scale_inputs), ("scale_outputs", scale_outputs)):
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"{name} is {scale}; give the median distance of the training set, positive and finite")
    return torch.cat([flatten(inputs) / scale_inputs, flatten(outputs) / scale_outputs], 1)


def joint_scales(inputs: Tensor, outputs: Tensor) -> tuple[float, float]:
    """The median distances between the inputs (n, *S') and between the outputs (n, *S) of the training set."""
    return median_distance(flatten(inputs)), median_distance(flatten(outputs))


@dataclass(frozen=True, eq=False)
class Consistency:
    """Root mean squared error (n,) float64 between operator(output) and the input, for a method's draws and for the truth,
    which is the noise of the input. A method need not be below the truth."""

    draws: Tensor
    truth: Tensor


def consistency(draws: Tensor, truth: Tensor, inputs: Tensor, operator: Callable[[Tensor], Tensor]) -> Consistency:
    """The consistency of draws (K, n, *S) and the truth (n, *S) with inputs (n, *S').

    Args:
        operator: the degradation, which maps (n, *S) to (n, *S').

    Raises:
        ValueError: shapes that do not match.
    """
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
    """For each input and coordinate, the numbers of draws below the truth and equal to it: (n, d) int64 each."""
    x, y = _aligned(draws, truth)
    below, equal = torch.zeros(y.shape, dtype=torch.int64), torch.zeros(y.shape, dtype=torch.int64)
    for one in x:
        below += one < y
        equal += one == y
    return below, equal


def coverage(draws: Tensor, truth: Tensor, level: float = 0.9) -> Tensor:
    """(n,) float64: the share of coordinates of the truth (n, *S) inside the central interval of the draws (K, n, *S).

    Its expectation is ``level`` for the posterior, for every K. If truth and draws are exchangeable given the input, the rank
    of the truth among them is uniform on the K + 1 places 0 .. K. Let place p represent [p, p + 1]; the central interval is
    [c, K + 1 - c] with c = (1 - level) / 2 (K + 1), and a rank counts by the part of its place inside of it. If the interval
    between the extreme draws has a smaller coverage than ``level``, as for K = 4 (60 %), the outermost places count in part;
    quantiles of the K draws themselves would cover too little. With draws equal to the truth, its rank is spread evenly over
    the tied places.

    Raises:
        ValueError: a level outside (0, 1), or shapes that do not match.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; give a share between 0 and 1")
    below, equal = ranks(draws, truth)
    places = len(draws) + 1
    cut = (1 - level) / 2 * places
    edges = torch.arange(places + 1, dtype=torch.float64).clamp(cut, places - cut)  # covered length below each place
    return ((edges[below + equal + 1] - edges[below]) / (equal + 1)).mean(1)


def rank_deviation(draws: Tensor, truth: Tensor) -> Tensor:
    """(K + 1,) float64: the rank histogram of the truth among the draws, over inputs and coordinates, minus 1 / (K + 1).

    All values are near 0 for the posterior. They are positive at both ends if the draws vary too little, in the middle if they
    vary too much, and at one end if they are biased. Half the sum of absolute values is the total variation from uniform.
    Calibrated draws need not be correct: draws that ignore the input are calibrated too.

    Reference: Hamill 2001.
    """
    below, equal = ranks(draws, truth)
    places = len(draws) + 1
    part = 1 / (equal + 1).double().reshape(-1)
    starts = torch.bincount(below.reshape(-1), part, minlength=places + 1)
    ends = torch.bincount((below + equal + 1).reshape(-1), part, minlength=places + 1)
    return (starts - ends).cumsum(0)[:places] / len(part) - 1 / places


class PerInput(Protocol):
    """A function that scores draws (K, n, *S) against the truth (n, *S) for each input (n,): ``energy_score``, ``crps``."""

    def __call__(self, draws: Tensor, truth: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class Score:
    """A proper score as a metric: its mean over inputs, and its replicates under resampling counts of the inputs.

    It is not a distance: ``has_zero`` is False, only differences between two methods are meaningful, and there is neither n_eq
    nor a margin between real sets. Inputs are resampled together with their truths. All methods answer the same inputs and are
    measured under the same counts, so the replicates of a difference are the differences of the replicates.
    """

    name: str
    score: PerInput
    has_zero: ClassVar[bool] = False

    def reference(self, truth: Tensor, counts: Tensor) -> Reference:
        """The truth (n, *S) with counts (R, n) of the inputs; nothing is computed from the truth alone."""
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
    """Draws (K, n, d) and truth (n, d), float64 on the CPU; ValueError unless there are K >= 2 draws of every input."""
    if draws.ndim < 2 or len(draws) < 2:
        raise ValueError(f"draws are {tuple(draws.shape)}; give (K, n, *S) with at least two draws of every input")
    if draws.shape[1:] != truth.shape:
        raise ValueError(f"draws are {tuple(draws.shape)}, the truth {tuple(truth.shape)}: K draws of every input")
    y = flatten(truth)
    return draws.detach().cpu().double().reshape(len(draws), *y.shape), y
