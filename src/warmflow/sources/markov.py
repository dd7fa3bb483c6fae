"""A Markov chain of tokens: data whose distribution, likelihood and posteriors are all known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.noise import Noise
from warmflow.sources.autoregressive import Autoregressive


@dataclass(frozen=True, eq=False)
class MarkovChain(Autoregressive):
    """The first token is drawn from ``initial`` (V,), each next one from a row of ``transition`` (V, V); ``shape`` is (L,)."""

    initial: Tensor
    transition: Tensor
    shape: tuple[int, ...]

    @property
    def vocabulary(self) -> int:
        return len(self.initial)

    def first(self, n: int, device: torch.device | str) -> Tensor:
        return torch.full((n,), len(self.initial), dtype=torch.int64, device=device)

    def chances(self, state: Tensor) -> Tensor:
        rows = torch.cat([self.transition, self.initial[None]]).double().to(state.device)
        return rows[state]

    def after(self, state: Tensor, token: Tensor) -> Tensor:
        return token


def stationary(transition: Tensor) -> Tensor:
    """The stationary distribution (V,) of a chain with this transition matrix."""
    size = len(transition)
    system = torch.cat([transition.double().T - torch.eye(size, dtype=torch.float64), torch.ones(1, size)])
    right = torch.zeros(size + 1, 1, dtype=torch.float64)
    right[-1] = 1
    return torch.linalg.lstsq(system, right).solution[:, 0].clamp(min=0)


def random_chain(vocabulary: int, length: int, *, seed: int = 0, sharpness: float = 2.0) -> MarkovChain:
    """A stationary chain whose rows are softmax(sharpness * normal): the larger ``sharpness``, the more a token determines the
    next.
    """
    rows = torch.softmax(sharpness * Noise.of(seed, vocabulary).normal("chain", vocabulary, dtype=torch.float64), 1)
    return MarkovChain(stationary(rows), rows, (length,))
