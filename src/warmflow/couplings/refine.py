"""Refinement passes that lower the cost of a pairing too large to be solved at once.

Exact assignment of n rows takes about n^3 operations and n^2 numbers. A pairing is optimal if and only if no cycle of its pairs
can be improved by passing starts along it (cyclical monotonicity):

    sum_i |x0_i - x1_i|^2  <=  sum_i |x0_i+1 - x1_i|^2        for all cycles of pairs

Cycles that can be improved run through nearby pairs. A pass divides the pairs into blocks of nearby ones and assigns each block
again. The old pairs of a block are among the permutations searched, so **no pass increases the cost**, and a permutation
remains a permutation; afterwards no cycle within a block can be improved. The next pass uses other blocks.

Blocks come from a random tree over the midpoints m_i = (x0_i + x1_i) / 2 of the pairs: a set of pairs is sorted by its component
along the difference of two randomly drawn midpoints and cut in two, until the parts fit into a block. Block sizes differ by one
row at most.

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
    """One pass: returns rows (n,) such that the total squared distance from x0[rows] to x1 is at most that of the given rows.

    Args:
        x0, x1: (n, d) starts and data, in the space of the costs.
        rows: (n,) int64, the start of each data point: a permutation.
        groups: (n,) integers; starts stay within the group of their data point. None for one group.
        block: largest number of rows assigned at once; at least 2.
        noise: one stream per row; each pass needs its own ``fold``.

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
            if _cost(x0[new], x1[near]) < _cost(x0[old], x1[near]):  # at equal cost the old pairs are kept
                out[near] = new
    return out


def halved(x: Tensor, members: Tensor, block: int, noise: Noise) -> list[Tensor]:
    """Divides the rows ``members`` of x (n, d) into parts of at most ``block`` nearby rows, by a random tree."""
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
