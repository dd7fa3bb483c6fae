"""A small U-Net for images: residual blocks at three sizes; time, label and latent in every norm's scale and shift.

    block:  h <- h + W conv(silu(norm(conv(silu(norm(h)))) (1 + a(e)) + b(e)))
    down:   a convolution of stride 2;   up: nearest to the size of the other side, beside which it is put

Sizes need not be powers of two. Conditions of the image's own shape (a draft, a mean) stand beside it as channels. The last layer
starts at zero, so that an untrained field stands still.

References:
    U-Net: Convolutional Networks for Biomedical Image Segmentation, Ronneberger, Fischer, Brox, 2015, arXiv 1505.04597
    Diffusion Models Beat GANs on Image Synthesis, Dhariwal, Nichol, 2021, arXiv 2105.05233 (scale and shift from time)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from warmflow.networks.base import Network, TimeEmbedding

GROUPS = 4


class _Block(nn.Module):
    def __init__(self, into: int, out: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.first = nn.GroupNorm(GROUPS, into), nn.Conv2d(into, out, 3, padding=1)
        self.middle, self.second = nn.GroupNorm(GROUPS, out), nn.Conv2d(out, out, 3, padding=1)
        self.time, self.dropout = nn.Linear(embedding, 2 * out), nn.Dropout(dropout)
        self.skip = nn.Identity() if into == out else nn.Conv2d(into, out, 1)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        scale, shift = self.time(e)[:, :, None, None].chunk(2, 1)
        inner = self.first(F.silu(self.norm(h)))
        inner = F.silu(self.middle(inner) * (1 + scale) + shift)
        return self.skip(h) + self.second(self.dropout(inner))


class UNet(Network):
    """``UNet((C, H, W))(x (B, C, H, W), t (B,), **conditions) -> (B, C, H, W)``.

    Args:
        shape: (C, H, W) of one image, H and W of at least 4.
        sees: conditions of the shape (channels, H, W), name to shape, put beside x.
        modulated: conditions of any other shape, flattened into the scale and shift of every norm.
        classes: the number of labels if the network is to see ``label`` (B,) int64, -1 where dropped; 0 for none.
        width: channels at full size; twice and three times as many at half and a quarter. A multiple of 4.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        sees: Mapping[str, Sequence[int]] | None = None,
        modulated: Mapping[str, Sequence[int]] | None = None,
        classes: int = 0,
        width: int = 16,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sees, modulated = ({k: list(v) for k, v in (m or {}).items()} for m in (sees, modulated))
        if len(shape) != 3 or min(shape[1:]) < 4:
            raise ValueError(f"shape is {tuple(shape)}; a U-Net takes images (C, H, W) with sides of at least 4")
        if width < GROUPS or width % GROUPS:
            raise ValueError(f"width is {width}; a U-Net takes a multiple of {GROUPS}")
        odd = [k for k, v in sees.items() if len(v) != 3 or v[1:] != list(shape[1:])]
        if odd:
            raise ValueError(f"{odd[0]} is {tuple(sees[odd[0]])}; beside images {tuple(shape)} go (channels, H, W)")
        self.arguments = {
            "shape": list(shape), "sees": sees, "modulated": modulated, "classes": classes, "width": width,
            "dropout": dropout,
        }  # fmt: skip
        self.names, self.modulators = tuple(sees), tuple(modulated)
        a, b, c, e = width, 2 * width, 3 * width, 4 * width
        self.embed = nn.Sequential(TimeEmbedding(), nn.Linear(64, e), nn.SiLU(), nn.Linear(e, e))
        self.label = nn.Embedding(classes + 1, e) if classes else None
        size = sum(math.prod(v) for v in modulated.values())
        self.modulate = nn.Linear(size, e) if size else None
        self.into = nn.Conv2d(shape[0] + sum(v[0] for v in sees.values()), a, 3, padding=1)
        self.down = nn.ModuleList([_Block(a, a, e, dropout), _Block(b, b, e, dropout), _Block(c, c, e, dropout)])
        self.halving = nn.ModuleList([nn.Conv2d(a, b, 3, 2, 1), nn.Conv2d(b, c, 3, 2, 1)])
        self.narrower = nn.ModuleList([nn.Conv2d(c, b, 1), nn.Conv2d(b, a, 1)])
        self.up = nn.ModuleList([_Block(2 * b, b, e, dropout), _Block(2 * a, a, e, dropout)])
        self.norm, self.out = nn.GroupNorm(GROUPS, a), nn.Conv2d(a, shape[0], 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, **conditions: Tensor) -> Tensor:
        e = self.embed(t)
        if self.label is not None:
            assert label is not None, "this network sees labels"
            e = e + self.label(label + 1)  # -1, the dropped label, is row 0
        if self.modulate is not None:
            e = e + self.modulate(torch.cat([conditions[name].flatten(1) for name in self.modulators], 1))
        e = F.silu(e)
        h = self.into(torch.cat([x, *(conditions[name] for name in self.names)], 1))
        whole = self.down[0](h, e)
        half = self.down[1](self.halving[0](whole), e)
        h = self.down[2](self.halving[1](half), e)
        for beside, narrow, block in zip((half, whole), self.narrower, self.up, strict=True):
            h = F.interpolate(narrow(h), size=beside.shape[-2:], mode="nearest")
            h = block(torch.cat([h, beside], 1), e)
        return self.out(F.silu(self.norm(h)))
