"""Who gets which datum where a datum has room for few: the stable matching of starts and data.

    c_ij = |x0_i - x1_j|^2 - g_j         what start i pays at datum j, g_j a bonus of the datum's (0 for plain distance)

Each start wants the datum where it pays least; datum j has room for m_j starts and keeps those that pay least there. A
matching is *stable* if no start i and datum j would both rather have each other: i would pay less at j than where it is, and j
has room left, or holds a start that pays more. Starts and data rank each other by the same numbers c_ij, so that there is one
stable matching (where no two are equal): that of joining the cheapest pair of all, then the cheapest among what is left, and
so on. Where no datum is wanted by more starts than it has room for, it is the nearest datum for every start.

It is found by deferred acceptance. Every start asks at its best datum; a datum keeps the best m_j of those who ask and those
it holds, and sends the rest away; these ask at their best datum of those that would have them, that is with room left, or
holding a start that pays more. Nobody is sent away twice by one datum, so it ends, and the order of asking changes nothing.
A round costs (starts that ask) x m x d operations, and memory of one chunk of rows.

References:
    College Admissions and the Stability of Marriage, Gale, Shapley, American Mathematical Monthly 1962
"""

from __future__ import annotations

import torch
from torch import Tensor

ENTRIES = 2**23
"""How many costs are held at once: 32 MiB."""


def stable(x0: Tensor, x1: Tensor, bonus: Tensor, room: Tensor) -> Tensor:
    """rows (n,) int64: the datum of each start; x0 (n, d), x1 (m, d) float, bonus (m,) squared units, room (m,) int64.

    Of starts that pay the same, the one that asked first stays; of those that asked at once, the one of the lower number.

    Raises:
        ValueError: fewer places than starts; NaN or infinite values.
    """
    if int(room.sum()) < len(x0):
        raise ValueError(f"{len(x1)} data have room for {int(room.sum())} of {len(x0)} starts: raise the capacity")
    if not (bool(torch.isfinite(x0).all()) and bool(torch.isfinite(x1).all())):
        raise ValueError(
            "cannot pair starts with data that hold NaN or infinite values: mend the data or the draft model"
        )
    room = room.to(x1.device)
    x0, x1, height = centred(x0, x1, bonus)
    square = x0.square().sum(1)
    held = torch.zeros(len(x0), dtype=torch.int64, device=x1.device)
    paid = torch.zeros(len(x0), dtype=x0.dtype, device=x1.device)
    bar = torch.full((len(x1),), torch.inf, dtype=x0.dtype, device=x1.device).masked_fill(room < 1, -torch.inf)
    asking = torch.arange(len(x0), device=x1.device)
    while len(asking):
        for part in asking.split(max(1, ENTRIES // len(x1))):
            cost = torch.addmm(height, x0[part], x1.T, alpha=-2).add_(square[part, None])
            paid[part], held[part] = cost.masked_fill_(cost >= bar, torch.inf).min(1)
        asking = _sent_away(held, paid, room, bar)
    return held


def centred(x0: Tensor, x1: Tensor, bonus: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x0 and x1 around the data's mean, and |x1_j|^2 - g_j (m,): costs are then height_j - 2 x0_i x1_j, but for a number of
    the start's own. Around the mean, an offset does not drown them."""
    centre = x1.mean(0)
    x0, x1 = x0 - centre, x1 - centre
    return x0, x1, x1.square().sum(1) - bonus.to(x1)


def _sent_away(held: Tensor, paid: Tensor, room: Tensor, bar: Tensor) -> Tensor:
    """The starts that their datum has no room for; ``bar`` is set to the most that is paid at each full datum."""
    order = paid.argsort(stable=True)
    order = order[held[order].argsort(stable=True)]  # by datum, then by cost, then by number
    datum = held[order]
    counts = torch.bincount(datum, minlength=len(room))
    place = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[datum]
    last = place == room[datum] - 1
    bar[datum[last]] = paid[order[last]]
    return order[place >= room[datum]]
