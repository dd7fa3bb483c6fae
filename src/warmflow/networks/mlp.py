"""A residual MLP on flattened samples: sufficient for points in the plane and for small images.

    h = W_in [x, conditions];   h <- h + B silu(A norm(h) + E [time, label]);   out = W_out norm(h)

The output layer starts at zero, so the untrained output is zero. A condition that describes the sample as a whole (a latent),
rather than entry by entry, may change the scale and shift of every norm instead: norm(h) (1 + a(z)) + b(z), where a and b start
at zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from warmflow.networks.base import Network, TimeEmbedding

PRESETS = {
    "tiny": {"width": 256, "depth": 3},
    "small": {"width": 1024, "depth": 4},
    "base": {"width": 2048, "depth": 6},
}
"""On (3, 32, 32): 2.0, 15.0 and 63.8 million parameters."""


class _Block(nn.Module):
    def __init__(self, width: int, embedding: int, dropout: float, modulation: int = 0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.into, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.time = nn.Linear(embedding, width)
        self.dropout = nn.Dropout(dropout)
        self.modulate = nn.Linear(modulation, 2 * width) if modulation else None
        if self.modulate is not None:
            nn.init.zeros_(self.modulate.weight)
            nn.init.zeros_(self.modulate.bias)

    def forward(self, h: Tensor, e: Tensor, z: Tensor | None = None) -> Tensor:
        normed = self.norm(h)
        if self.modulate is not None:
            scale, shift = self.modulate(z).chunk(2, 1)
            normed = normed * (1 + scale) + shift
        return h + self.out(self.dropout(F.silu(self.into(normed) + self.time(e))))


class MLP(Network):
    """``MLP(shape)(x (B, *shape), t (B,), **conditions) -> (B, *shape)``.

    Args:
        shape: shape of one sample.
        sees: conditions, name to shape, that are flattened and concatenated to x.
        modulated: conditions, name to shape, that scale and shift the norms.
        classes: the number of labels if the network sees ``label`` (B,) int64, -1 where dropped; 0 for none.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        sees: Mapping[str, Sequence[int]] | None = None,
        modulated: Mapping[str, Sequence[int]] | None = None,
        classes: int = 0,
        width: int = 256,
        depth: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sees = {k: list(v) for k, v in (sees or {}).items()}
        self.arguments = {
            "shape": list(shape), "sees": sees, "classes": classes, "width": width, "depth": depth, "dropout": dropout
        }  # fmt: skip
        modulated = {k: list(v) for k, v in (modulated or {}).items()}
        if modulated:
            self.arguments["modulated"] = modulated
        size, modulation = math.prod(shape), sum(math.prod(s) for s in modulated.values())
        self.names, self.modulators = tuple(sees), tuple(modulated)
        self.embed = TimeEmbedding()
        self.label = nn.Embedding(classes + 1, 64) if classes else None
        self.into = nn.Linear(size + sum(math.prod(s) for s in sees.values()), width)
        self.blocks = nn.ModuleList([_Block(width, 128 if classes else 64, dropout, modulation) for _ in range(depth)])
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, size)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, **conditions: Tensor) -> Tensor:
        e = self.embed(t)
        if self.label is not None:
            assert label is not None, "this network sees labels"
            e = torch.cat([e, self.label(label + 1)], 1)  # -1, the dropped label, is row 0
        h = self.into(torch.cat([x.flatten(1), *(conditions[name].flatten(1) for name in self.names)], 1))
        z = torch.cat([conditions[name].flatten(1) for name in self.modulators], 1) if self.modulators else None
        for block in self.blocks:
            h = block(h, e, z)
        return self.out(self.norm(h)).reshape(x.shape)
