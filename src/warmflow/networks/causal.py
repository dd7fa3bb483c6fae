"""A transformer that reads tokens from left to right: the judge that measures the likelihood of texts.

    h = E[begin, x^1, ..., x^(L-1)]
    h <- h + attention(norm(h)), each position seeing itself and those before it;     h <- h + mlp(norm(h))
    logits of x^i given x^1 .. x^(i-1) = W_out norm(h^i)

The begin token is V. Positions are rotary, so the length is not fixed. If tied, W_out is the first V rows of E. The output of
each block starts at zero, and so does W_out if it is not tied: the untrained network then predicts all tokens with equal
probability. The presets have the sizes of those of ``TokenTransformer``: with 27 tokens, untied, 602,139, 3,173,659 and
25,248,283 parameters.

References:
    Attention Is All You Need, Vaswani et al., 2017, arXiv 1706.03762
    RoFormer: Enhanced Transformer with Rotary Position Embedding, Su et al., 2021, arXiv 2104.09864
    Using the Output Embedding to Improve Language Models, Press and Wolf, 2016, arXiv 1608.05859 (tied output)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from warmflow.devices import doubled
from warmflow.networks.base import Network
from warmflow.networks.lstm import TokenLSTM
from warmflow.networks.transformer import PRESETS, rotary, turned
from warmflow.user_code import evaluating

__all__ = ["PRESETS", "CausalTransformer", "log_chances"]


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.split = (heads, width // heads)
        self.norm1, self.norm2, self.dropout = nn.LayerNorm(width), nn.LayerNorm(width), nn.Dropout(dropout)
        self.into, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        for layer in (self.mix, self.down):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, h: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        q, k, v = (part.unflatten(2, self.split).transpose(1, 2) for part in self.into(self.norm1(h)).chunk(3, 2))
        mixed = F.scaled_dot_product_attention(turned(q, cos, sin), turned(k, cos, sin), v, is_causal=True)
        h = h + self.dropout(self.mix(mixed.transpose(1, 2).flatten(2)))
        return h + self.dropout(self.down(F.gelu(self.up(self.norm2(h)), approximate="tanh")))


class CausalTransformer(Network):
    """``CausalTransformer(V)(x (B, L) int64) -> (B, L, V)``: logits of x[:, i] given x[:, :i].

    Args:
        vocabulary: V, the tokens 0 .. V - 1.
        tied: use the token embeddings as output weights (worthwhile if V is large).
        dropout: dropout probability on the output of each block's attention and MLP.

    Raises:
        ValueError: a width that is not an even multiple of the heads.
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int = 128,
        depth: int = 3,
        heads: int = 4,
        tied: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if width % (2 * heads):
            raise ValueError(
                f"width is {width} and heads {heads}; rotary positions need an even width per head: use a multiple of {2 * heads}"
            )
        self.arguments = {
            "vocabulary": vocabulary, "width": width, "depth": depth, "heads": heads, "tied": tied, "dropout": dropout
        }  # fmt: skip
        self.vocabulary, self.head_width = vocabulary, width // heads
        self.tokens = nn.Embedding(vocabulary + 1, width)
        self.blocks = nn.ModuleList([_Block(width, heads, dropout) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.out = None if tied else nn.Linear(width, vocabulary)
        if self.out is None:
            nn.init.normal_(self.tokens.weight, std=0.02)  # unit variance would give extreme logits
        else:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.tokens(F.pad(x[:, :-1], (1, 0), value=self.vocabulary))
        cos, sin = rotary(x.shape[1], self.head_width, x.device)
        for block in self.blocks:
            h = block(h, cos, sin)
        h = self.norm(h)
        logits: Tensor = F.linear(h, self.tokens.weight[:-1]) if self.out is None else self.out(h)
        return logits


@torch.no_grad()
def log_chances(network: CausalTransformer | TokenLSTM, x: Tensor, batch: int = 256) -> Tensor:
    """The log-probability (n, L) float64 of each token of x (n, L) given the tokens before it, ``batch`` rows at once, without
    dropout.

    Raises:
        ValueError: a batch below 1.
    """
    if batch < 1:
        raise ValueError(f"batch is {batch}; it must be at least 1")
    place, found = network.tokens.weight.device, []
    with evaluating(network):
        for rows in x.split(batch):
            here = rows.to(place)
            chance = torch.log_softmax(doubled(network(here)), 2)
            found.append(chance.gather(2, here[..., None].to(chance.device))[..., 0].to(x.device))
    return torch.cat(found)
