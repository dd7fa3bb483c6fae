"""Semidiscrete optimal transport: starts of any law to the data of a set, by one number for each datum.

    max over g in R^N of   E min_j (|x0 - y_j|^2 - g_j)  +  sum_j b_j g_j,        b_j the share of datum j (1/N)

At the maximum every start goes to the datum where |x0 - y_j|^2 - g_j is least, and this map is the optimal transport of the
starts' *law* to the data: no block, no bias of a minibatch, and a fresh start finds its datum by one search. A datum's cell, the
starts that go to it, is a polytope of mass p_j(g), and the gradient is b_j - p_j(g). With B fresh starts, n_j of them in
cell j, an unbiased estimate of it over b_j gives the averaged stochastic gradient ascent

    g_j <- g_j + eta_k (1 - n_j / (B b_j)),        eta_k = a^(1 - k/K) b^(k/K),    g the mean of the last quarter of K steps

where a lets an unused datum climb by half of the costs' range in all, and b is small beside the gap between the best and the
second best cost. Starts are moved to the data's mean meanwhile, which changes g by a linear function of y. Data much nearer to
each other than most are cannot be told apart by such steps: they share the mass of their cells, not evenly.

Two data y = -1, 1 on the line and starts of the distribution function F: the cells meet at x = (g_1 - g_2) / 4 = F^-1(b_1).

**The masses are as good as the fit.** What is left of |p_j / b_j - 1| is measured on fresh starts, beside what exact cells
would show by counting so many. In a block of n starts, chance alone uses some data often and a third of them never; so a
datum is used at most ceil(most n b_j) times there, and starts beyond that go where the stable matching of the same costs
sends them (``stable``). The starts' law is kept as it is, the data's nearly.

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
from warmflow.couplings.base import Space, permuted, place, seen, starts, unmixed
from warmflow.couplings.stable import ENTRIES, stable
from warmflow.noise import Noise

CLIMB = 3.0
"""The first step is this times the costs' range over the number of steps: all steps together climb about half of it."""

AVERAGED = 0.25
"""The share of the steps, the last ones, whose duals are averaged."""

SETTLE = 3e-3
"""The last step is this times the gap between the two best costs and the number of starts to a datum (at most 0.3 gaps): the
masses then waver by about sqrt(SETTLE / 2) of themselves, before averaging, and forget what they were in N / (B SETTLE) steps."""


@dataclass(frozen=True)
class Masses:
    """How far the cells' masses are from the shares: the worst and the mean of |p_j / b_j - 1| over the data, measured on so
    many fresh ``starts``, and the same two numbers of cells that are exact, where all of it is chance."""

    worst: float
    mean: float
    exact_worst: float
    exact_mean: float
    starts: int


@dataclass(frozen=True, eq=False)
class Semidiscrete(Coupling):
    """Each start goes to the datum where |x0 - y_j|^2 - g_j is least, in a block that holds the whole set:
    ``prepare(coupling, data, source, block=len(data))``.

    Args:
        dual: (N,) float64, g, in squared units of the data (or of ``space``): from :meth:`fit`.
        shares: (N,) the data's shares, which sum to 1; None for equal ones.
        most: how many times its share of a block a datum may be used, at least 1: ceil(most n b_j) times among n starts.
            Infinite for no bound.
        space: measures costs by what it makes of starts and data (n, *S), such as ``Principal``; that of the fit.

    Raises:
        ValueError: impossible settings; a block that is not the whole set; a source that takes labels that the data carry.
    """

    dual: Tensor
    shares: Tensor | None = None
    most: float = 2.0
    space: Space | None = None
    preserves: ClassVar[frozenset[str]] = frozenset({"source"})

    def __post_init__(self) -> None:
        if not self.most >= 1:
            raise ValueError(f"most is {self.most}; a datum may be used at least once its share of a block")
        _checked(self.shares, len(self.dual))

    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        unmixed(batch, source, "fit one to each label's data, or use Assignment(within='label')")
        n, index = len(self.dual), batch.index
        if index is None or not torch.equal(index.sort().values.cpu(), torch.arange(n)):
            raise ValueError(
                f"the dual was fitted to a set of {n} data, and this block of {len(batch)} rows is not that set: its cells are "
                f"those of all data, so prepare the pairs with block={n}"
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
        """The coupling of a source with the data x (N, *S), and how good its masses are.

        Args:
            steps: gradient steps, each of ``batch`` fresh starts and a search of batch x N costs.
            check: fresh starts a datum, on the average, that the masses are measured on: counting alone leaves a mean error
                of about 0.8 / sqrt(check).

        Raises:
            ValueError: no steps, starts or data; shares that are no shares of the data; NaN or infinite values.
        """
        if min(len(x), steps, batch, check) < 1:
            raise ValueError(f"{len(x)} data, steps={steps}, batch={batch}, check={check}: each is at least 1")
        b, noise = _checked(shares, len(x)), Noise.of(seed, batch)
        y = seen(x, space).float()
        if not bool(torch.isfinite(y).all()):
            raise ValueError("the data hold NaN or infinite values: remove or repair these rows")
        y, middle = y - y.mean(0), y.mean(0)
        height = y.square().sum(1)

        def fresh(name: str) -> Tensor:
            """(batch, d) starts that were never drawn before, around their own mean once it is known."""
            x0 = place(source.draw(batch, noise=noise.fold(name)), space).to(y.device) - middle
            if not bool(torch.isfinite(x0).all()):
                raise ValueError(
                    f"the {type(source).__name__} source draws NaN or infinite values: mend the draft model"
                )
            return x0

        middle = middle + (apart := fresh("middle").mean(0))
        g = _ascended(fresh, y, height, b, steps, batch)
        rounds = math.ceil(check * len(y) / batch)
        used = sum((_used(fresh(f"check {k}"), y, height, g) for k in range(rounds)), torch.zeros(len(y)))
        # |x0 - a - y|^2 is |x0 - y|^2 + 2 a y, but for a number of the start's own: starts moved by a have the dual g + 2 a y
        g = g - 2 * (y @ apart).double().cpu()
        return Semidiscrete(g - g.mean(), shares, most, space), _masses(used, b, rounds * batch, seed)


def _ascended(
    fresh: Callable[[str], Tensor], y: Tensor, height: Tensor, shares: Tensor, steps: int, batch: int
) -> Tensor:
    """(N,) float64: the dual of fresh starts and data y (N, d), by averaged stochastic gradients."""
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
    """(n,) float64 shares: the given ones, or equal ones."""
    if shares is None:
        return torch.full((n,), 1 / n, dtype=torch.float64)
    if shares.shape != (n,) or not bool((shares > 0).all()) or abs(float(shares.double().sum()) - 1) > 1e-4:
        total = float(shares.double().sum())
        raise ValueError(
            f"shares are {tuple(shares.shape)} and sum to {total:g}: give {n} positive numbers that sum to 1"
        )
    return shares.double().cpu() / shares.double().cpu().sum()


def _scales(gain: Tensor, height: Tensor) -> tuple[float, float]:
    """The mean range of a start's costs, and the mean gap between its best and second best; 1 where there is none."""
    cost = height - gain
    best = cost.topk(min(2, cost.shape[1]), largest=False).values
    span, gap = float((cost.amax(1) - best[:, 0]).mean()), float((best[:, -1] - best[:, 0]).mean())
    return span or 1.0, gap or span or 1.0


def _used(x0: Tensor, y: Tensor, height: Tensor, g: Tensor) -> Tensor:
    """(N,) float64: how many of the starts go to each datum."""
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
