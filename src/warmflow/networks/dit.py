"""A diffusion transformer (DiT) for images cut into patches: time, label and latent by adaptive layer norm, with gates that
start at zero.

    h = W patches([x, conditions]) + P;     e = V [sin t, cos t] (+ label) (+ latent)
    h <- h + g1(e) * attention(norm(h) * (1 + a1(e)) + b1(e))
    h <- h + g2(e) * mlp(norm(h) * (1 + a2(e)) + b2(e))
    out = unpatched(W_out (norm(h) * (1 + a(e)) + b(e)))

P are fixed sines and cosines of a patch's row and column. Conditions of the image's own size (a draft, a mean) are concatenated
to it before it is cut into patches. The last layer starts at zero, so the untrained output is zero. The sides must be multiples
of the patch size.

References:
    Scalable Diffusion Models with Transformers, Peebles and Xie, 2022, arXiv 2212.09748
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from warmflow.networks.base import Network
from warmflow.networks.conditioning import Conditioning, fit_beside

PRESETS = {
    "tiny": {"width": 64, "depth": 4, "heads": 4},
    "small": {"width": 384, "depth": 12, "heads": 6},
    "base": {"width": 768, "depth": 12, "heads": 12},
}
"""On (3, 32, 32) with patches of 2: 0.32, 32.4 and 129 million parameters."""


def places(rows: int, columns: int, width: int) -> Tensor:
    """Position embeddings (rows * columns, width): for each patch, sines and cosines of its row and of its column, a quarter of
    the width each.
    """
    frequency = 10_000.0 ** (-torch.arange(width // 4, dtype=torch.float32) / max(width // 4, 1))
    r, c = (torch.arange(n, dtype=torch.float32)[:, None] * frequency for n in (rows, columns))
    parts = [r.sin(), r.cos()], [c.sin(), c.cos()]
    row = torch.cat(parts[0], 1)[:, None].expand(-1, columns, -1)
    column = torch.cat(parts[1], 1)[None].expand(rows, -1, -1)
    return torch.cat([row, column], 2).flatten(0, 1)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = (nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.keys, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.modulation, self.dropout = nn.Linear(width, 6 * width), nn.Dropout(dropout)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(e)[:, None].chunk(6, 2)
        split = (self.heads, h.shape[2] // self.heads)
        parts = self.keys(self.norm1(h) * (1 + scale1) + shift1).chunk(3, 2)
        q, k, v = (part.unflatten(2, split).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        h = h + gate1 * self.dropout(self.mix(mixed))
        x = self.norm2(h) * (1 + scale2) + shift2
        return h + gate2 * self.dropout(self.down(F.gelu(self.up(x), approximate="tanh")))


class DiT(Network):
    """``DiT((C, H, W))(x (B, C, H, W), t (B,), **conditions) -> (B, C, H, W)``.

    Args:
        shape: (C, H, W) of one image, H and W multiples of ``patch``.
        sees: conditions of shape (channels, H, W), name to shape, concatenated to x.
        modulated: conditions of any other shape, name to shape, mapped to the scale, shift and gate of every block.
        classes: the number of labels if the network sees ``label`` (B,) int64, -1 where dropped; 0 for none.
        patch: side of a patch, in pixels.
        width: width of a token; a multiple of 4 and of ``heads``.

    Raises:
        ValueError: a shape, width or condition that does not fit.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        sees: Mapping[str, Sequence[int]] | None = None,
        modulated: Mapping[str, Sequence[int]] | None = None,
        classes: int = 0,
        patch: int = 2,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sees, modulated = ({k: list(v) for k, v in (m or {}).items()} for m in (sees, modulated))
        if len(shape) != 3 or patch < 1 or any(side % patch for side in shape[1:]):
            raise ValueError(
                f"shape is {tuple(shape)}; a DiT takes images (C, H, W), H and W multiples of patch = {patch}"
            )
        if width < 4 or width % 4 or width % heads:
            raise ValueError(f"width is {width}; a DiT takes a multiple of 4 and of its {heads} heads")
        channels = fit_beside(shape, sees)
        self.arguments = {
            "shape": list(shape), "sees": sees, "modulated": modulated, "classes": classes, "patch": patch,
            "width": width, "depth": depth, "heads": heads, "dropout": dropout,
        }  # fmt: skip
        self.shape, self.patch = tuple(shape), patch
        self.names, self.modulators = tuple(sees), tuple(modulated)
        rows, columns = (side // patch for side in shape[1:])
        self.register_buffer("places", places(rows, columns, width), persistent=False)
        self.into = nn.Linear(channels * patch * patch, width)
        self.told = Conditioning(width, modulated, classes)
        self.blocks = nn.ModuleList([_Block(width, heads, dropout) for _ in range(depth)])
        self.norm, self.modulation = nn.LayerNorm(width, elementwise_affine=False), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, shape[0] * patch * patch)
        for layer in (self.modulation, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, **conditions: Tensor) -> Tensor:
        e = self.told(t, label, conditions)
        side = self.patch
        seen = torch.cat([x, *(conditions[name] for name in self.names)], 1)
        patches = F.pixel_unshuffle(seen, side).flatten(2).transpose(1, 2)
        h = self.into(patches) + self.get_buffer("places")
        for block in self.blocks:
            h = block(h, e)
        shift, scale = self.modulation(e)[:, None].chunk(2, 2)
        out = self.out(self.norm(h) * (1 + scale) + shift).transpose(1, 2)
        rows, columns = (n // side for n in x.shape[2:])
        return F.pixel_shuffle(out.unflatten(2, (rows, columns)), side)
