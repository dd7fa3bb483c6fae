"""Passes that lower the cost of a pairing too large to be solved at once.

Exact assignment of n rows takes about n^3 operations and n^2 numbers. A pairing is optimal if and only if no cycle of its
pairs can be lowered by passing starts along it (cyclical monotonicity):

    sum_i |x0_i - x1_i|^2  <=  sum_i |x0_i+1 - x1_i|^2        for all cycles of pairs

and the cycles that can be lowered run through pairs that lie near each other. A pass divides the pairs into blocks of near
ones and assigns each block anew. The old pairs of a block are one of the permutations that are searched, so **no pass raises
the cost** and a permutation stays one; after it, no cycle within a block can be lowered. The next pass draws other blocks.

Blocks come from a random tree over the middles m_i = (x0_i + x1_i) / 2 of the pairs: a set of pairs is sorted by its
component along the difference of two of its middles, drawn at random, and cut into two, until the parts fit into a block. Sizes
differ by one row at most.

References:
    Optimal Transport, Old and New, Villani, Springer 2009, chapter 5 (cyclical monotonicity)
    Random projection trees and low dimensional manifolds, Dasgupta, Freund, STOC 2008
"""

from __future__ import annotations

import torch
from torch import Tensor

from warmflow.couplings.assignment import assign
from warmflow.noise import Noise


def refined(x0: Tensor, x1: Tensor, rows: Tensor, groups: Tensor | None = None, *, block: int, noise: Noise) -> Tensor:
    """One pass: rows (n,) such that x0[rows] is nearer to x1, in sum of squares, than it was by the rows given, or as near.

    Args:
        x0, x1: (n, d) starts and data, as costs see them.
        rows: (n,) int64, the start of each datum: a permutation.
        groups: (n,) whole numbers; starts stay within the group of their datum. None for one group.
        block: rows assigned at once, at most; at least 2.
        noise: one stream a row; each pass takes a room of its own.

    Raises:
        ValueError: a block below 2; NaN or infinite values.
    """
    if block < 2:
        raise ValueError(f"block is {block}; a pass exchanges starts within blocks of at least 2 rows")
    rows, out = rows.to(x0.device), rows.clone()
    middle = x0[rows].add_(x1)
    for group in (
        [torch.arange(len(rows))] if groups is None else [torch.nonzero(groups == g)[:, 0] for g in groups.unique()]
    ):
        for near in halved(middle, group, block, noise):
            old = rows[near]
            new = old[assign(x0[old], x1[near])]
            if _cost(x0[new], x1[near]) < _cost(x0[old], x1[near]):  # of equal costs the old pairs stay
                out[near] = new
    return out


def halved(x: Tensor, members: Tensor, block: int, noise: Noise) -> list[Tensor]:
    """The rows ``members`` of x (n, d) in parts of at most ``block`` that lie near each other, by a random tree."""
    count = -(-len(members) // block)
    if count < 2:
        return [members]
    drawn = noise[members[:1]].integers(f"axis of {len(members)}", 2, high=len(members))[0]
    one, other = x[members[drawn]]
    order = (x[members] @ (one - other)).argsort(stable=True)
    half = count // 2 * len(members) // count
    return [part for side in (order[:half], order[half:]) for part in halved(x, members[side], block, noise)]


def _cost(x0: Tensor, x1: Tensor) -> float:
    return float((x0.double() - x1.double()).square().sum())
