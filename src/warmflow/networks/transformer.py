"""A bidirectional transformer for tokens: rotary positions, time by adaptive layer norm, logits at the requested positions.

    h = E[x_t] + sum of E_c[condition] (+ P);     e = W silu(V [sin t, cos t]) (+ label)
    h <- h + g1(e) * attention(norm(h) * (1 + a1(e)) + b1(e))
    h <- h + g2(e) * mlp(norm(h) * (1 + a2(e)) + b2(e))
    logits = W_out (norm(h) * (1 + a(e)) + b(e))

The gates g and the output layer start at zero: the untrained network predicts all tokens with equal probability. With ``at``,
the last block computes queries, and everything after them, for the requested positions only.

Rotary positions encode distances only: in a sequence of equal tokens (all masked) the positions are indistinguishable. This is
right for windows cut anywhere from a text. If the absolute position matters (the two tokens of a point), set ``length``, which
adds a learned vector P at each position.

References:
    RoFormer: Enhanced Transformer with Rotary Position Embedding, Su et al., 2021, arXiv 2104.09864
    Scalable Diffusion Models with Transformers, Peebles and Xie, 2022, arXiv 2212.09748 (adaptive norm, gates at zero)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from warmflow.networks.base import Network, TimeEmbedding

PRESETS = {
    "tiny": {"width": 128, "depth": 3, "heads": 4},
    "small": {"width": 256, "depth": 4, "heads": 8},
    "base": {"width": 512, "depth": 8, "heads": 8},
}
"""With 27 tokens and a mask: 955,419, 4,962,075 and 38,659,611 parameters."""


def rotary(length: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines (length, width) of positions times frequencies from 1 to 1 / 10,000."""
    frequency = 10_000.0 ** (-torch.arange(0, width, 2, device=device, dtype=torch.float32) / width)
    angle = torch.arange(length, device=device, dtype=torch.float32)[:, None] * frequency
    return torch.cat([angle.cos()] * 2, 1), torch.cat([angle.sin()] * 2, 1)


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Applies rotary embeddings to x (..., width): rotates the pairs (i, i + width / 2) by the angles of the position."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


def _chosen(at: Tensor) -> tuple[Tensor, Tensor]:
    """For a mask at (B, L): the positions (B, Q) of its true entries, padded with zeros to the largest number in a row, Q, and
    a mask (B, Q) of the entries that are not padding.
    """
    counts = at.sum(1)
    most = int(counts.max()) if len(counts) else 0
    meant = torch.arange(most, device=at.device) < counts[:, None]
    positions = torch.zeros(len(at), most, dtype=torch.int64, device=at.device)
    positions[meant] = at.nonzero()[:, 1]
    return positions, meant


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = (nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.query, self.keys, self.mix = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.modulation, self.dropout = nn.Linear(width, 6 * width), nn.Dropout(dropout)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, h: Tensor, e: Tensor, cos: Tensor, sin: Tensor, only: Tensor | None = None) -> Tensor:
        """h (B, L, W) -> (B, L, W), or (B, Q, W) at the positions ``only`` (B, Q)."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(e)[:, None].chunk(6, 2)
        x = self.norm1(h) * (1 + scale1) + shift1
        here = x
        if only is not None:
            index = only[..., None].expand(-1, -1, h.shape[2])
            here, h = x.gather(1, index), h.gather(1, index)
        split = (self.heads, h.shape[2] // self.heads)
        q = self.query(here).unflatten(2, split).transpose(1, 2)
        k, v = (part.unflatten(2, split).transpose(1, 2) for part in self.keys(x).chunk(2, 2))
        turn = (cos, sin) if only is None else (cos[only][:, None], sin[only][:, None])
        mixed = F.scaled_dot_product_attention(turned(q, *turn), turned(k, cos, sin), v)
        h = h + gate1 * self.dropout(self.mix(mixed.transpose(1, 2).flatten(2)))
        x = self.norm2(h) * (1 + scale2) + shift2
        return h + gate2 * self.dropout(self.down(F.gelu(self.up(x), approximate="tanh")))


class TokenTransformer(Network):
    """``TokenTransformer(V)(x (B, L) int64, t (B,), at=None, **conditions) -> (B, L, V)``, or (M, V) at the positions where
    ``at`` is true.

    Args:
        vocabulary: V, the tokens that data may contain, 0 .. V - 1.
        extra: further tokens that only starts contain (a mask is token V): they are read, but never predicted.
        sees: conditions given as tokens (B, L), such as "draft".
        classes: the number of labels if the network sees ``label`` (B,) int64, -1 where dropped; 0 for none.
        length: number of positions with a learned vector; 0 for none (relative positions only).

    Raises:
        ValueError: a width that is not an even multiple of the heads.
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        extra: int = 0,
        sees: Sequence[str] = (),
        classes: int = 0,
        length: int = 0,
        width: int = 128,
        depth: int = 3,
        heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if width % (2 * heads):
            raise ValueError(
                f"width is {width} and heads {heads}; rotary positions need an even width per head: use a multiple of {2 * heads}"
            )
        self.arguments = {
            "vocabulary": vocabulary, "extra": extra, "sees": list(sees), "classes": classes,
            "length": length, "width": width, "depth": depth, "heads": heads, "dropout": dropout,
        }  # fmt: skip
        self.tokens = nn.Embedding(vocabulary + extra, width)
        self.seen = nn.ModuleDict({name: nn.Embedding(vocabulary + extra, width) for name in sees})
        self.label = nn.Embedding(classes + 1, width) if classes else None
        self.places = nn.Embedding(length, width) if length else None
        self.embed = TimeEmbedding()
        self.time = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList([_Block(width, heads, dropout) for _ in range(depth)])
        self.norm, self.modulation = nn.LayerNorm(width, elementwise_affine=False), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, vocabulary)
        self.head_width = width // heads
        self.turns: tuple[Tensor, Tensor] | None = None
        for layer in (self.modulation, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def _turns(self, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """The rotations of the first ``length`` positions, cached between calls."""
        if self.turns is None or len(self.turns[0]) < length or self.turns[0].device != device:
            self.turns = rotary(length, self.head_width, device)
        return self.turns[0][:length], self.turns[1][:length]

    def forward(
        self, x: Tensor, t: Tensor, *, at: Tensor | None = None, label: Tensor | None = None, **conditions: Tensor
    ) -> Tensor:
        e = self.time(self.embed(t))
        if self.label is not None:
            assert label is not None, "this network sees labels"
            e = e + self.label(label + 1)  # -1, the dropped label, is row 0
        e = F.silu(e)
        h = self.tokens(x)
        for name, embedding in self.seen.items():
            h = h + embedding(conditions[name])
        if self.places is not None:
            h = h + self.places.weight[: x.shape[1]]
        cos, sin = self._turns(x.shape[1], x.device)
        only = meant = None
        if at is not None and not bool(at.all()):
            only, meant = _chosen(at)
        for block in self.blocks[:-1]:
            h = block(h, e, cos, sin)
        h = self.blocks[-1](h, e, cos, sin, only)
        shift, scale = self.modulation(e)[:, None].chunk(2, 2)
        h = self.norm(h) * (1 + scale) + shift
        if meant is not None:
            h = h[meant]
        elif at is not None:
            h = h.flatten(0, 1)
        logits: Tensor = self.out(h)
        return logits
