"""An n-gram model as a draft: the next token given the last n - 1 tokens, with smoothing, stored as one table.

With c the counts in the training text and h' the context h without its oldest token,

    q(w | h) = max(c(h w) - D(c(h w)), 0) / c(h) + gamma(h) q(w | h')

down to the uniform distribution below the empty context. gamma(h) is the probability mass that the discounts remove from h. D has
three values per order, for counts of 1, 2, and 3 or more, estimated from the counts of counts. Lower orders keep their true
counts instead of numbers of distinct contexts (as in Kneser-Ney), because a window begins in the middle of a text: its first
tokens are sampled from the lower orders.

The observed contexts are rows of a table of probabilities (R, V), and ``next`` (R, V) is the row of the longest observed context
after one more token. Sampling therefore takes two look-ups per token for a whole batch, for any n.

References:
    An empirical study of smoothing techniques for language modeling, Chen and Goodman, Computer Speech and Language 1999
        (sections 2.7 and 3: absolute discounting, and its three discounts)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.number_checks import is_whole
from warmflow.sources.autoregressive import Autoregressive


def discounts(counts: Tensor) -> tuple[float, float, float]:
    """The discounts D for counts of 1, 2, and at least 3, estimated from the numbers of n-grams seen once, twice, three and
    four times. Fixed values are returned if one of these numbers is zero.
    """
    n1, n2, n3, n4 = (float((counts == k).sum()) for k in (1, 2, 3, 4))
    if not (n1 and n2 and n3 and n4):
        return 0.5, 0.75, 0.9
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    one, two, more = (min(max(d, 0.1), k - 0.1) for k, d in enumerate(found, 1))
    return one, two, more


def most_order(vocabulary: int) -> int:
    """The largest order whose contexts can be numbered in int64."""
    return int(62 / math.log2(max(2, vocabulary)))


@dataclass(frozen=True, eq=False)
class NGram(Autoregressive):
    """Probabilities (R, V) float32 and next rows (R, V) int32 of the observed contexts; row 0 is the empty context. Build it with
    ``fit``.
    """

    table: Tensor
    next: Tensor
    order: int
    shape: tuple[int, ...]

    @property
    def vocabulary(self) -> int:
        return self.table.shape[1]

    @staticmethod
    def fit(text: Tensor, *, vocabulary: int, order: int, length: int, least: int = 1) -> NGram:
        """Fits a text (T,) of tokens below ``vocabulary``.

        Args:
            order: n; contexts have up to n - 1 tokens.
            length: length L of the texts to sample.
            least: contexts seen fewer times are left out.

        Raises:
            ValueError: an invalid order, a text no longer than the order, or tokens outside the vocabulary.
        """
        most = most_order(vocabulary)
        if not is_whole(order, 1, most):
            raise ValueError(f"order is {order!r}; with {vocabulary} tokens it must be a whole number in 1 .. {most}")
        if len(text) <= order:
            raise ValueError(
                f"the text has {len(text)} tokens, too few for order {order}: give more text or a lower order"
            )
        text = text.long()
        if int(text.min()) < 0 or int(text.max()) >= vocabulary:
            bad = int(text.max()) if int(text.max()) >= vocabulary else int(text.min())
            raise ValueError(f"the text contains token {bad}; tokens must lie in 0 .. {vocabulary - 1}")
        tables: list[Tensor] = []
        nexts: list[Tensor] = []
        codes, contexts, offset = text, torch.zeros(1, dtype=torch.int64), 0
        rows = torch.zeros(1, dtype=torch.int64)  # of the same contexts without their oldest token
        for m in range(order):
            grams, times = _counted(codes, vocabulary ** (m + 1))
            place = torch.searchsorted(contexts, grams // vocabulary).clamp(max=len(contexts) - 1)
            known = contexts[place] == grams // vocabulary
            place, token = place[known], (grams % vocabulary)[known]
            counts = torch.zeros(len(contexts), vocabulary, dtype=torch.float64)
            counts[place, token] = times[known].double()
            lower = torch.full((1, vocabulary), 1 / vocabulary, dtype=torch.float64) if m == 0 else tables[-1][rows]
            tables.append(_smoothed(counts, lower, discounts(times)))
            follow = torch.zeros(1, vocabulary, dtype=torch.int64) if m == 0 else nexts[-1][rows]
            offset += len(contexts)
            if m + 1 < order:
                kept = known & (times >= least)
                longer = grams[kept]
                follow = follow.clone()
                follow[place[kept[known]], longer % vocabulary] = offset + torch.arange(len(longer))
                rows = torch.searchsorted(contexts, longer % vocabulary**m)
                contexts, codes = longer, codes[:-1] * vocabulary + text[m + 1 :]
            nexts.append(follow)
        return NGram(torch.cat(tables).float(), torch.cat(nexts).int(), order, (length,))

    def first(self, n: int, device: torch.device | str) -> Tensor:
        return torch.zeros(n, dtype=torch.int64, device=device)

    def chances(self, state: Tensor) -> Tensor:
        return self.table[state].double()

    def after(self, state: Tensor, token: Tensor) -> Tensor:
        return self.next[state, token].long()


def _counted(codes: Tensor, bound: int) -> tuple[Tensor, Tensor]:
    """The distinct codes (all below ``bound``), sorted, and the number of times each occurs."""
    if bound <= 1 << 24:
        times = torch.bincount(codes, minlength=1)
        found = torch.nonzero(times)[:, 0]
        return found, times[found]
    found, times = codes.unique(return_counts=True)
    return found, times


def _smoothed(counts: Tensor, lower: Tensor, discount: tuple[float, float, float]) -> Tensor:
    """The probabilities (R, V) from counts (R, V) and from the probabilities of the shorter contexts, which are used unchanged
    for contexts without counts.
    """
    one, two, more = discount
    taken = torch.where(counts >= 3, more, torch.where(counts == 2, two, torch.where(counts == 1, one, 0.0)))
    total = counts.sum(1, keepdim=True)
    found = (counts - taken + taken.sum(1, keepdim=True) * lower) / total.clamp(min=1)
    return torch.where(total > 0, found, lower)
