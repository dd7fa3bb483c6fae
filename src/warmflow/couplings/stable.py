"""Stable matching of starts and data points with limited capacity.

    c_ij = |x0_i - x1_j|^2 - g_j         the cost of start i at data point j, with a bonus g_j (0 for plain distance)

Each start prefers the data point where its cost is least; data point j has capacity m_j and keeps the starts with the least
cost. A matching is *stable* if no start i and data point j prefer each other to what they have: the cost of i would be less at
j, and j has capacity left or holds a start with a higher cost. Starts and data points rank each other by the same numbers c_ij,
so the stable matching is unique (if no two costs are equal): it pairs the cheapest pair of all, then the cheapest among the
rest, and so on. If no data point is preferred by more starts than its capacity, every start gets its nearest data point.

It is computed by deferred acceptance. Every start proposes to its best data point; a data point keeps the best m_j among the
proposals and the starts it holds, and rejects the rest. Rejected starts propose to their best data point among those that would
accept them, with capacity left or a start of higher cost. No start is rejected twice by the same data point, so the algorithm
terminates, and its result does not depend on the order of proposals. A round takes (number of proposals) x m x d operations, and
memory for one chunk of rows.

References:
    College Admissions and the Stability of Marriage, Gale, Shapley, American Mathematical Monthly 1962
"""

from __future__ import annotations

import torch
from torch import Tensor

ENTRIES = 2**23
"""Number of costs computed at once: 32 MiB."""


def stable(x0: Tensor, x1: Tensor, bonus: Tensor, room: Tensor) -> Tensor:
    """The stable matching: returns the data point of each start, rows (n,) int64.

    Ties are broken in favour of the earlier proposal, and among proposals of the same round in favour of the lower index.

    Args:
        x0, x1: (n, d) and (m, d) float, starts and data.
        bonus: (m,) in squared units.
        room: (m,) int64, the capacity of each data point.

    Raises:
        ValueError: total capacity below the number of starts; NaN or infinite values.
    """
    if int(room.sum()) < len(x0):
        raise ValueError(
            f"the capacity of {len(x1)} data points is {int(room.sum())}, for {len(x0)} starts: raise the capacity"
        )
    if not (bool(torch.isfinite(x0).all()) and bool(torch.isfinite(x1).all())):
        raise ValueError(
            "cannot pair starts with data that contain NaN or infinite values: mend the data or the draft model"
        )
    room = room.to(x1.device)
    x0, x1, height = centred(x0, x1, bonus)
    square = x0.square().sum(1)
    held = torch.zeros(len(x0), dtype=torch.int64, device=x1.device)
    paid = torch.zeros(len(x0), dtype=x0.dtype, device=x1.device)
    limit = torch.full((len(x1),), torch.inf, dtype=x0.dtype, device=x1.device).masked_fill(room < 1, -torch.inf)
    proposing = torch.arange(len(x0), device=x1.device)
    while len(proposing):
        for part in proposing.split(max(1, ENTRIES // len(x1))):
            cost = torch.addmm(height, x0[part], x1.T, alpha=-2).add_(square[part, None])
            paid[part], held[part] = cost.masked_fill_(cost >= limit, torch.inf).min(1)
        proposing = _rejected(held, paid, room, limit)
    return held


def centred(x0: Tensor, x1: Tensor, bonus: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x0 and x1 relative to the data's mean, and |x1_j|^2 - g_j (m,). Up to a number that depends on the start only, the costs
    are height_j - 2 x0_i x1_j. Centring avoids the loss of precision from a large offset.
    """
    centre = x1.mean(0)
    x0, x1 = x0 - centre, x1 - centre
    return x0, x1, x1.square().sum(1) - bonus.to(x1)


def _rejected(held: Tensor, paid: Tensor, room: Tensor, limit: Tensor) -> Tensor:
    """The starts that their data point rejects; ``limit`` is set to the highest cost held at each full data point."""
    order = paid.argsort(stable=True)
    order = order[held[order].argsort(stable=True)]  # by data point, then by cost, then by index
    datum = held[order]
    counts = torch.bincount(datum, minlength=len(room))
    place = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[datum]
    last = place == room[datum] - 1
    limit[datum[last]] = paid[order[last]]
    return order[place >= room[datum]]
