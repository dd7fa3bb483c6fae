"""Semidiscrete optimal transport: from any source distribution to the points of a data set, by one dual variable per data point.

    max over g in R^N of   E min_j (|x0 - y_j|^2 - g_j)  +  sum_j b_j g_j,        b_j the share of data point j (1/N)

At the maximum every start is mapped to the data point with the least |x0 - y_j|^2 - g_j, and this map is the optimal transport
from the source *distribution* to the data: there are no blocks and no minibatch bias, and a new start finds its data point by
one search. The cell of a data point, the set of starts mapped to it, is a polytope of mass p_j(g), and the gradient is b_j -
p_j(g). With B new starts, n_j of them in cell j, an unbiased estimate of the gradient over b_j gives averaged stochastic
gradient ascent:

    g_j <- g_j + eta_k (1 - n_j / (B b_j)),        eta_k = a^(1 - k/K) b^(k/K),    g the mean over the last quarter of K steps

a is large enough that the g_j of an unused data point can rise by half of the range of the costs in total; b is small compared
with the gap between the best and the second best cost. During the ascent, starts are shifted to the data's mean, which changes
g by a linear function of y. The steps cannot separate data points that are much closer together than most: these share the mass
of their cells, but not evenly.

For two data points y = -1, 1 on the line and starts with distribution function F, the cells meet at
x = (g_1 - g_2) / 4 = F^-1(b_1).

**The masses are as accurate as the fit.** The remaining error |p_j / b_j - 1| is measured on new starts, and reported beside the
error that exact cells would show for the same number of starts. In a block of n starts, by chance alone, some data points are
used often and a third never. Therefore a data point is used at most ceil(most n b_j) times, and excess starts go where the
stable matching of the same costs sends them (``stable``). The source distribution is preserved exactly, the data distribution
nearly.

References:
    Stochastic Optimization for Large-scale Optimal Transport, Genevay, Cuturi, Peyre, Bach, 2016, arXiv 1605.08527,
        section 4 (semidiscrete, averaged)
    Convergence of a Newton algorithm for semi-discrete optimal transport, Kitagawa, Merigot, Thibert, 2016, arXiv 1603.05579
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from warmflow.contracts import Batch, Coupling, Pair, Source
from warmflow.couplings.base import Space, check_labels, permuted, place, seen, starts
from warmflow.couplings.stable import ENTRIES, stable
from warmflow.noise import Noise

CLIMB = 3.0
"""The first step size is this times the range of the costs over the number of steps: all steps sum to about half the range."""

AVERAGED = 0.25
"""The dual is averaged over this last share of the steps."""

SETTLE = 3e-3
"""The last step size is this times the gap between the two best costs times the number of starts per data point (at most 0.3
gaps). Before averaging, the masses then fluctuate by about sqrt(SETTLE / 2) relative to themselves, and their correlation time
is N / (B SETTLE) steps.
"""


@dataclass(frozen=True)
class Masses:
    """How far the masses of the cells are from the shares: the maximum and the mean of |p_j / b_j - 1| over the data, measured on
    ``starts`` new starts, and the same two numbers for exact cells, where they are due to sampling alone.
    """

    worst: float
    mean: float
    exact_worst: float
    exact_mean: float
    starts: int


@dataclass(frozen=True, eq=False)
class Semidiscrete(Coupling):
    """Maps each start to the data point with the least |x0 - y_j|^2 - g_j, in a block that holds the whole data set:
    ``prepare(coupling, data, source, block=len(data))``.

    Args:
        dual: (N,) float64, g, in squared units of the data (or of ``space``), from :meth:`fit`.
        shares: (N,) shares of the data points, with sum 1; None for equal ones.
        most: how many times its share of a block a data point may be used, at least 1: ceil(most n b_j) times among n starts.
            Infinite for no limit.
        space: a function of starts and data (n, *S), such as ``Principal``, in whose values costs are measured; the same as in
            the fit.

    Raises:
        ValueError: invalid settings; a block that is not the whole data set; a source that takes labels, if the data have labels.
    """

    dual: Tensor
    shares: Tensor | None = None
    most: float = 2.0
    space: Space | None = None
    preserves: ClassVar[frozenset[str]] = frozenset({"source"})

    def __post_init__(self) -> None:
        if not self.most >= 1:
            raise ValueError(f"most is {self.most}; it must be at least 1, the data point's own share of a block")
        _checked(self.shares, len(self.dual))

    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        check_labels(batch, source, "fit one to each label's data, or use Assignment(within='label')")
        n, index = len(self.dual), batch.index
        if index is None or not torch.equal(index.sort().values.cpu(), torch.arange(n)):
            raise ValueError(
                f"the dual was fitted to a set of {n} data points, and this block of {len(batch)} rows is not that set: its "
                f"cells are those of all data points, so prepare the pairs with block={n}"
            )
        start = starts(batch, source, noise=noise)
        shares = _checked(self.shares, n)[index.cpu()]
        room = (self.most * n * shares - 1e-9).ceil().clamp(max=n).long()  # 2 n (1/n) may be a little above 2
        rows = stable(
            place(start, self.space), seen(batch.x1, self.space).float(), self.dual.to(index.device)[index], room
        )
        chosen = batch[rows]
        return Pair(permuted(start, torch.arange(len(start)), chosen), chosen.x1, chosen.index)

    @staticmethod
    def fit(
        x: Tensor,
        source: Source,
        *,
        steps: int = 1000,
        batch: int = 1024,
        shares: Tensor | None = None,
        most: float = 2.0,
        space: Space | None = None,
        seed: int = 0,
        check: int = 20,
    ) -> tuple[Semidiscrete, Masses]:
        """Fits the coupling of a source with the data x (N, *S), and measures the accuracy of its masses.

        Args:
            steps: gradient steps, each with ``batch`` new starts and a search over batch x N costs.
            check: average number of new starts per data point on which the masses are measured: sampling alone gives a mean
                error of about 0.8 / sqrt(check).

        Raises:
            ValueError: no steps, starts or data; invalid shares; NaN or infinite values.
        """
        if min(len(x), steps, batch, check) < 1:
            raise ValueError(
                f"{len(x)} data points, steps={steps}, batch={batch}, check={check}: each must be at least 1"
            )
        b, noise = _checked(shares, len(x)), Noise.of(seed, batch)
        y = seen(x, space).float()
        if not bool(torch.isfinite(y).all()):
            raise ValueError("the data contain NaN or infinite values: remove or repair these rows")
        y, middle = y - y.mean(0), y.mean(0)
        height = y.square().sum(1)

        def fresh(name: str) -> Tensor:
            """New starts (batch, d), relative to ``middle``."""
            x0 = place(source.draw(batch, noise=noise.fold(name)), space).to(y.device) - middle
            if not bool(torch.isfinite(x0).all()):
                raise ValueError(
                    f"the {type(source).__name__} source draws NaN or infinite values: mend the draft model"
                )
            return x0

        middle = middle + (apart := fresh("middle").mean(0))
        g = _gradient_ascent(fresh, y, height, b, steps, batch)
        rounds = math.ceil(check * len(y) / batch)
        used = sum((_used(fresh(f"check {k}"), y, height, g) for k in range(rounds)), torch.zeros(len(y)))
        # |x0 - a - y|^2 = |x0 - y|^2 + 2 a y + a number that depends on x0 only: starts shifted by a have the dual g + 2 a y
        g = g - 2 * (y @ apart).double().cpu()
        return Semidiscrete(g - g.mean(), shares, most, space), _masses(used, b, rounds * batch, seed)


def _gradient_ascent(
    fresh: Callable[[str], Tensor], y: Tensor, height: Tensor, shares: Tensor, steps: int, batch: int
) -> Tensor:
    """The dual (N,) float64 for new starts and data y (N, d), by averaged stochastic gradient ascent."""
    span, gap = _scales(2 * fresh("scale")[:64] @ y.T, height)
    last = gap * min(SETTLE * batch / len(y), 0.3)
    first = max(CLIMB * span / steps, last)
    g = total = torch.zeros(len(y), dtype=torch.float64)
    kept = math.ceil(AVERAGED * steps)
    for k in range(1, steps + 1):
        used = _used(fresh(f"step {k}"), y, height, g)
        g = g + first ** (1 - k / steps) * last ** (k / steps) * (1 - used / (batch * shares))
        if k > steps - kept:
            total = total + g
    return total / kept


def _checked(shares: Tensor | None, n: int) -> Tensor:
    """The shares (n,) float64: the given ones, or equal ones."""
    if shares is None:
        return torch.full((n,), 1 / n, dtype=torch.float64)
    if shares.shape != (n,) or not bool((shares > 0).all()) or abs(float(shares.double().sum()) - 1) > 1e-4:
        total = float(shares.double().sum())
        raise ValueError(
            f"shares are {tuple(shares.shape)} and sum to {total:g}: give {n} positive numbers that sum to 1"
        )
    return shares.double().cpu() / shares.double().cpu().sum()


def _scales(gain: Tensor, height: Tensor) -> tuple[float, float]:
    """The mean range of a start's costs, and the mean gap between its best and second best cost; 1 if there is none."""
    cost = height - gain
    best = cost.topk(min(2, cost.shape[1]), largest=False).values
    span, gap = float((cost.amax(1) - best[:, 0]).mean()), float((best[:, -1] - best[:, 0]).mean())
    return span or 1.0, gap or span or 1.0


def _used(x0: Tensor, y: Tensor, height: Tensor, g: Tensor) -> Tensor:
    """The number (N,) float64 of starts mapped to each data point."""
    bar = height - g.to(height)
    parts = x0.split(max(1, ENTRIES // len(y)))
    chosen = torch.cat([torch.addmm(bar, part, y.T, alpha=-2).argmin(1) for part in parts])
    return torch.bincount(chosen, minlength=len(y)).double().cpu()


def _masses(used: Tensor, shares: Tensor, n: int, seed: int) -> Masses:
    levels = shares.cumsum(0)
    drawn = torch.searchsorted(levels, Noise.of(seed, n).uniform("exact masses") * levels[-1], right=True)
    exact = torch.bincount(drawn.clamp(max=len(shares) - 1), minlength=len(shares))
    off, chance = (((count / (n * shares)) - 1).abs() for count in (used, exact))
    return Masses(float(off.max()), float(off.mean()), float(chance.max()), float(chance.mean()), n)
