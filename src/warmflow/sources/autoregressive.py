"""Drafts written from left to right, one token at a time, and the likelihood of any text under the draft model.

    x^i ~ q(. | x^1 .. x^(i-1)),        log q(x) = sum_i log q(x^i | x^1 .. x^(i-1))

A subclass implements three methods: the state before the first token, the probabilities of the next token given a state, and
the state after a token. Sampling, sampling around given tokens, and likelihood are implemented here for all of them. A draft
costs L sequential evaluations, however cheap each one is. The cost appears in the measured time and, where a network is
evaluated, in ``Start.calls``.

Given tokens (``condition["given"]`` (B, L), -1 where free) are copied. A free position sees the given tokens to its left, but
not those to its right.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise, inverse


class Autoregressive(Source):
    """Samples tokens (L,) from left to right; subclasses implement ``first``, ``chances`` and ``after``."""

    if TYPE_CHECKING:  # a field or a property

        @property
        def vocabulary(self) -> int: ...

    calls_per_token: int = 0
    takes = frozenset({"given"})

    @abstractmethod
    def first(self, n: int, device: torch.device | str) -> Any:
        """The state of n empty texts."""

    @abstractmethod
    def chances(self, state: Any) -> Tensor:
        """The probabilities (n, V) float64 of the next token; each row sums to 1."""

    @abstractmethod
    def after(self, state: Any, token: Tensor) -> Any:
        """The state after appending the tokens (n,)."""

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        kept = dict(condition or {})
        given = kept.pop("given", None)
        device, (length,) = noise.root.device, self.shape
        x = torch.empty(n, length, dtype=torch.int64, device=device)
        uniform, state = noise.uniform("token", length), self.first(n, device)
        with torch.no_grad():
            for i in range(length):
                token = inverse(self.chances(state).cumsum(1), uniform[:, i])
                if given is not None:
                    token = torch.where(given[:, i] >= 0, given[:, i], token)
                x[:, i] = token
                if i + 1 < length:
                    state = self.after(state, token)
        spent = length * self.calls_per_token
        calls = torch.full((n,), spent, dtype=torch.int64, device=device) if spent else None
        return Start(x, kept, None if given is None else given >= 0, None, calls)

    @torch.no_grad()
    def log_chances(self, x: Tensor) -> Tensor:
        """The log-probability (n, L) float64 of each token of x (n, L), given the tokens before it."""
        state, parts = self.first(len(x), x.device), []
        for i in range(x.shape[1]):
            parts.append(self.chances(state).gather(1, x[:, i : i + 1]))
            if i + 1 < x.shape[1]:
                state = self.after(state, x[:, i])
        return torch.log(torch.cat(parts, 1))
