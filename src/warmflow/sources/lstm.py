"""A recurrent network as a draft: text written by a small LSTM, one evaluation a token.

    x^i ~ softmax(W_out h^i + b_out),        h^i the network's memory of x^1 .. x^(i-1)

The network itself, and how it is run token by token, is in ``networks.lstm``; ``recipes.drafts`` trains one. Where a whole
text is at hand, ``networks.log_chances(source.network, x)`` says the same as ``log_chances(x)`` and is faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from warmflow.sources.autoregressive import Autoregressive


class Reads(Protocol):
    """A network that is run one token at a time, as ``networks.TokenLSTM`` is; ``vocabulary`` itself is its begin token."""

    vocabulary: int

    def start(self, n: int, device: torch.device | str) -> Any:
        """The state of n texts of which nothing is read; logits are wanted on ``device``."""

    def advance(self, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Logits (n, V) of the next tokens after the tokens (n,), and the state then; no gradients."""


@dataclass(frozen=True, eq=False)
class LSTM(Autoregressive):
    """Tokens (L,) from a ``TokenLSTM``; ``Start.calls`` is L, its evaluations one after the other.

    The network computes in float32, and matrix products of other batch sizes differ in their last bits: chances agree to
    1e-5, and about one token in a million, whose uniform lies that near to a step, is drawn otherwise at another batch size
    (and with it the rest of that text). At one batch size the draws are the same bit for bit.
    """

    network: Reads
    shape: tuple[int, ...]

    calls_per_token = 1

    def __post_init__(self) -> None:
        if len(self.shape) != 1 or self.shape[0] < 1:
            raise ValueError(f"shape is {self.shape}; tokens have one axis, give (length,)")

    @property
    def vocabulary(self) -> int:  # type: ignore[override]
        return self.network.vocabulary

    def first(self, n: int, device: torch.device | str) -> tuple[Tensor, Any]:
        begin = torch.full((n,), self.network.vocabulary, dtype=torch.int64, device=device)
        return self.network.advance(begin, self.network.start(n, device))

    def chances(self, state: tuple[Tensor, Any]) -> Tensor:
        return torch.softmax(state[0].double(), 1)

    def after(self, state: tuple[Tensor, Any], token: Tensor) -> tuple[Tensor, Any]:
        return self.network.advance(token, state[1])
