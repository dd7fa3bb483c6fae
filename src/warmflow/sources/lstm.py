"""A recurrent network as a draft: text sampled from a small LSTM, one evaluation per token.

    x^i ~ softmax(W_out h^i + b_out),        h^i the state of the network after x^1 .. x^(i-1)

The network, with its token-by-token evaluation, is in ``networks.lstm``; ``drafts`` trains one. For complete texts,
``networks.log_chances(source.network, x)`` returns the same as ``log_chances(x)`` and is faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from warmflow.sources.autoregressive import Autoregressive


class Reads(Protocol):
    """A network evaluated one token at a time, such as ``networks.TokenLSTM``; its begin token is ``vocabulary``."""

    vocabulary: int

    def start(self, n: int, device: torch.device | str) -> Any:
        """The state of n texts before any token is read; logits are returned on ``device``."""

    def advance(self, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Reads the tokens (n,) and returns logits (n, V) of the next tokens and the new state, without gradients."""


@dataclass(frozen=True, eq=False)
class LSTM(Autoregressive):
    """Samples tokens (L,) from a ``TokenLSTM``; ``Start.calls`` is L, the number of sequential evaluations.

    The network computes in float32, and matrix products at different batch sizes differ in their last bits. Probabilities agree
    to 1e-5, so about one token in a million, whose uniform number lies that close to a boundary, is drawn differently at
    another batch size, and so is the rest of its text. At the same batch size the samples are identical bit for bit.

    Raises:
        ValueError: a shape that is not (length,).
    """

    network: Reads
    shape: tuple[int, ...]

    calls_per_token = 1

    def __post_init__(self) -> None:
        if len(self.shape) != 1 or self.shape[0] < 1:
            raise ValueError(f"shape is {self.shape}; tokens have one axis: give (length,)")

    @property
    def vocabulary(self) -> int:
        return self.network.vocabulary

    def first(self, n: int, device: torch.device | str) -> tuple[Tensor, Any]:
        begin = torch.full((n,), self.network.vocabulary, dtype=torch.int64, device=device)
        return self.network.advance(begin, self.network.start(n, device))

    def chances(self, state: tuple[Tensor, Any]) -> Tensor:
        return torch.softmax(state[0].double(), 1)

    def after(self, state: tuple[Tensor, Any], token: Tensor) -> tuple[Tensor, Any]:
        return self.network.advance(token, state[1])
