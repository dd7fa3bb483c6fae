"""A recurrent network that reads tokens from left to right; trained on whole texts, evaluated one token at a time when sampling.

    in layer k, with u the output of the layer below (u = E[x^(i-1)] in the first) and h its own:
        [i, f, g, o] = W u + U h + b
        c <- sigmoid(f) * c + sigmoid(i) * tanh(g);     h <- sigmoid(o) * tanh(c)
    logits of x^i given x^1 .. x^(i-1) = W_out h of the last layer + b_out

A special begin token, V, precedes the first token. In the first layer W E[x] + b takes only V + 1 different values; for
sampling they are tabulated once, and a look-up replaces the product.

The output layer starts at zero, so the untrained network predicts all tokens with equal probability. The forget gates start open.

References:
    Long Short-Term Memory, Hochreiter and Schmidhuber, Neural Computation 1997
    An Empirical Exploration of Recurrent Network Architectures, Jozefowicz et al., ICML 2015 (forget gates that start open)
    Warm-Start Flow Matching for Guaranteed Fast Text/Image Generation, Minyoung Kim, 2026, arXiv 2603.19360 (the draft's size)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from warmflow.networks.base import Network

PRESETS = {
    "small": {"width": 320, "layers": 1},
    "paper": {"width": 512, "layers": 2},
}
"""With 27 tokens: 839,387 and 4,230,683 parameters."""


@dataclass(frozen=True, eq=False)
class Reading:
    """The state of n texts that are read one token at a time: the first layer's table (V + 1, 4 W); for each layer the matrix
    for h; for each layer above the first, the matrix for the layer below and the bias; h and c (n, W) of every layer; the
    device on which logits are returned.
    """

    table: Tensor
    own: tuple[Tensor, ...]
    below: tuple[tuple[Tensor, Tensor], ...]
    h: tuple[Tensor, ...]
    c: tuple[Tensor, ...]
    device: torch.device | str


class TokenLSTM(Network):
    """``TokenLSTM(V)(x (B, L) int64) -> (B, L, V)``: logits of x[:, i] given x[:, :i].

    ``start`` and ``advance`` return the same logits token by token, without gradients and without dropout.

    Args:
        vocabulary: V, the tokens 0 .. V - 1.
        width: width of the embedding and of every layer.
        dropout: dropout probability on the output of each layer.

    Raises:
        ValueError: a vocabulary, width or number of layers below 1.
    """

    def __init__(self, vocabulary: int, *, width: int = 320, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        for name, value in (("vocabulary", vocabulary), ("width", width), ("layers", layers)):
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        self.arguments = {"vocabulary": vocabulary, "width": width, "layers": layers, "dropout": dropout}
        self.vocabulary, self.width, self.layers = vocabulary, width, layers
        self.tokens = nn.Embedding(vocabulary + 1, width)
        self.lstm = nn.LSTM(width, width, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.dropout, self.out = nn.Dropout(dropout), nn.Linear(width, vocabulary)
        for k in range(layers):  # the order of the gates is i, f, g, o
            nn.init.ones_(getattr(self.lstm, f"bias_ih_l{k}").data[width : 2 * width])
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        before = F.pad(x[:, :-1], (1, 0), value=self.vocabulary)
        logits: Tensor = self.out(self.dropout(self.lstm(self.tokens(before))[0]))
        return logits

    def _layer(self, k: int) -> tuple[Tensor, Tensor, Tensor]:
        """W' (W, 4 W), U' (W, 4 W) and the sum of both biases (4 W,) of layer k."""
        w, u, b, more = (
            getattr(self.lstm, f"{name}_l{k}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        return w.T, u.T, b + more

    @torch.no_grad()
    def start(self, n: int, device: torch.device | str = "cpu") -> Reading:
        """The state of n texts before any token, including the begin token, is read. The network computes on its own device;
        logits are returned on ``device``.
        """
        (w, _, b), *above = (self._layer(k) for k in range(self.layers))
        own = tuple(self._layer(k)[1] for k in range(self.layers))
        zero = (w.new_zeros(n, self.width),) * self.layers
        return Reading(self.tokens.weight @ w + b, own, tuple((w, b) for w, _, b in above), zero, zero, device)

    @torch.no_grad()
    def advance(self, token: Tensor, state: Reading) -> tuple[Tensor, Reading]:
        """Reads the tokens (n,), V for the begin token. Returns logits (n, V) of the next tokens, and the new state."""
        h: list[Tensor] = []
        c: list[Tensor] = []
        for k, u in enumerate(state.own):
            if k == 0:
                gates = state.table[token.to(state.table.device)]
            else:
                w, b = state.below[k - 1]
                gates = torch.addmm(b, h[-1], w)
            gates.addmm_(state.h[k], u)
            enter, keep, new, show = gates.chunk(4, 1)
            c.append(keep.sigmoid_() * state.c[k] + enter.sigmoid_() * new.tanh_())
            h.append(show.sigmoid_() * torch.tanh(c[-1]))
        return self.out(h[-1]).to(state.device), replace(state, h=tuple(h), c=tuple(c))
