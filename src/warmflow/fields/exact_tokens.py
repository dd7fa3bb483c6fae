"""Token fields known in closed form, for tests, documentation and statements about the method itself.

At time t the path's point of a pair (x0, x1) has, independently at each position, x1^i with probability k and x0^i with
probability 1 - k.

Finitely many pairs with weights w_j:

    p(j | x_t)  proportional to  w_j prod_i [ k 1{x_t^i = x1_j^i} + (1 - k) e_j^i(x_t^i) ]

with e = 1{. = x0_j^i} if pair j has its own draft, or the source distribution p0 if starts are independent of the data. Fixed
positions have k = 1.

A Markov chain observed through a kernel K(x0^i | x1^i), independently at each position: x_t is the output of a hidden Markov
model with hidden chain x1 and emission probabilities k 1{x_t^i = v} + (1 - k) K(x_t^i | v). Its posteriors come from the
forward-backward algorithm. If K does not depend on v, this is a cold flow (uniform or masked start); if K is a corruption, it
is a warm flow from drafts of known quality.

References:
    Discrete Flow Matching, Gat et al., 2024, arXiv 2407.15595 (the posterior a network learns)
    A tutorial on hidden Markov models, Rabiner, Proceedings of the IEEE 1989 (forward and backward)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import Estimate, Field, Start
from warmflow.paths import MixturePath


def _answer(chance: Tensor, at: Tensor | None) -> Estimate:
    """The estimate with the logits of posteriors (B, L, V)."""
    calls = torch.ones(len(chance), dtype=torch.int64, device=chance.device)
    return Estimate(calls, logits=torch.log(chance if at is None else chance[at]))


def _known(path: MixturePath, x_t: Tensor, t: Tensor, start: Start) -> Tensor:
    """The probability (B, L) float64 that a position holds its data token: k at t, and 1 where it is fixed."""
    k = path.kappa(t)[:, None].expand(x_t.shape)
    return k if start.fixed is None else torch.where(start.fixed, 1.0, k)


@dataclass(frozen=True, eq=False)
class ExactTokens(Field):
    """Finitely many data points ``ends`` (K, L) with ``weights`` (K,). Each has its own draft ``starts`` (K, L), or starts are
    independent of the data with token probabilities ``source`` (V',), V' >= V tokens.

    Raises:
        ValueError: neither or both of ``starts`` and ``source`` are given.
    """

    ends: Tensor
    weights: Tensor
    vocabulary: int
    path: MixturePath
    starts: Tensor | None = None
    source: Tensor | None = None

    def __post_init__(self) -> None:
        if (self.starts is None) == (self.source is None):
            raise ValueError(
                "give either starts, the drafts of the data points, or source, the distribution of independent starts"
            )

    def __call__(self, x_t: Tensor, t: Tensor, start: Start, *, at: Tensor | None = None) -> Estimate:
        k = _known(self.path, x_t, t, start)[:, None, :]
        there = (x_t[:, None, :] == self.ends).double()  # (B, K, L)
        if self.starts is not None:
            still = (x_t[:, None, :] == self.starts).double()
        else:
            assert self.source is not None
            still = self.source.double()[x_t][:, None, :]
        chance = (k * there + (1 - k) * still).prod(2) * self.weights.double()  # (B, K)
        total = chance.sum(1, keepdim=True)
        prior = (self.weights.double() / self.weights.double().sum()).expand_as(chance)
        chance = torch.where(total > 0, chance / total.clamp(min=1e-300), prior)  # x_t may leave the path's support
        out = torch.zeros(*x_t.shape, self.vocabulary, dtype=torch.float64, device=x_t.device)
        index = self.ends.T[None].expand(len(x_t), -1, -1)  # (B, L, K)
        out.scatter_add_(2, index, chance[:, None, :].expand(-1, x_t.shape[1], -1))
        return _answer(out, at)


@dataclass(frozen=True, eq=False)
class ExactMarkov(Field):
    """Data from a Markov chain with first probabilities ``initial`` (V,) and ``transition`` (V, V), rows summing to 1. Starts
    are drawn from ``kernel`` (V, V') at each position: row v is the distribution of x0^i given x1^i = v (equal rows:
    independent of the data).
    """

    initial: Tensor
    transition: Tensor
    kernel: Tensor
    path: MixturePath

    def __call__(self, x_t: Tensor, t: Tensor, start: Start, *, at: Tensor | None = None) -> Estimate:
        k = _known(self.path, x_t, t, start)[:, :, None]
        vocabulary = len(self.initial)
        there = torch.nn.functional.one_hot(x_t, self.kernel.shape[1])[..., :vocabulary].double()
        seen = k * there + (1 - k) * self.kernel.double().T[x_t]  # (B, L, V): probability of x_t^i given x1^i = v
        seen = torch.where(seen.sum(2, keepdim=True) > 0, seen, torch.ones_like(seen))
        length, step = x_t.shape[1], self.transition.double()
        forward, backward = torch.empty_like(seen), torch.ones_like(seen)
        message = self.initial.double() * seen[:, 0]
        forward[:, 0] = message / message.sum(1, keepdim=True).clamp(min=1e-300)
        for i in range(1, length):
            message = (forward[:, i - 1] @ step) * seen[:, i]
            forward[:, i] = message / message.sum(1, keepdim=True).clamp(min=1e-300)
        for i in range(length - 2, -1, -1):
            message = (backward[:, i + 1] * seen[:, i + 1]) @ step.T
            backward[:, i] = message / message.sum(1, keepdim=True).clamp(min=1e-300)
        chance = forward * backward
        total = chance.sum(2, keepdim=True)
        return _answer(torch.where(total > 0, chance / total.clamp(min=1e-300), 1 / vocabulary), at)
