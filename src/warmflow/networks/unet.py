"""A U-Net for images: residual blocks at several resolutions; time, label and latent set the scale and shift of every norm.

    block:  h <- h + W conv(silu(norm(conv(silu(norm(h)))) (1 + a(e)) + b(e)))
    attention, after the blocks of the selected resolutions:  h <- h + W softmax(q k / sqrt(d)) v,  where W starts at zero
    down:   a convolution of stride 2;   up: nearest-neighbour to the size of the skip connection, then concatenated with it

Sides need not be powers of two. Conditions of the image's own size (a draft, a mean) are concatenated to it as channels. The
last layer starts at zero, so the untrained output is zero.

References:
    U-Net: Convolutional Networks for Biomedical Image Segmentation, Ronneberger, Fischer, Brox, 2015, arXiv 1505.04597
    Diffusion Models Beat GANs on Image Synthesis, Dhariwal, Nichol, 2021, arXiv 2105.05233 (scale and shift from time)
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from warmflow.networks.base import Network
from warmflow.networks.conditioning import Conditioning, fit_beside

GROUPS = 4
HEAD = 32
"""Maximum number of channels of an attention head."""
PRESETS: dict[str, dict[str, object]] = {
    "tiny": {"width": 16, "multiples": (1, 2, 3), "blocks": 1, "attention": ()},
    "small": {"width": 64, "multiples": (1, 2, 2), "blocks": 2, "attention": (2,)},
    "base": {"width": 128, "multiples": (1, 2, 2, 2), "blocks": 2, "attention": (1,)},
}
"""On (3, 32, 32): 0.15, 3.2 and 20.2 million parameters."""


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


class _Attention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // HEAD)
        while channels % self.heads:
            self.heads -= 1
        self.norm, self.keys = nn.GroupNorm(GROUPS, channels), nn.Conv2d(channels, 3 * channels, 1)
        self.mix = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(cast(Tensor, self.mix.bias))

    def forward(self, h: Tensor) -> Tensor:
        parts = self.keys(self.norm(h)).flatten(2).unflatten(1, (3 * self.heads, -1)).chunk(3, 1)
        q, k, v = (part.transpose(2, 3) for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(2, 3)
        return h + self.mix(mixed.flatten(1, 2).unflatten(2, h.shape[2:]))


class _Level(nn.Module):
    """The blocks of one resolution, and its attention."""

    def __init__(self, into: int, out: int, embedding: int, dropout: float, blocks: int, attention: bool) -> None:
        super().__init__()
        sizes = [into] + [out] * (blocks - 1)
        self.blocks = nn.ModuleList([_Block(size, out, embedding, dropout) for size in sizes])
        self.attention = _Attention(out) if attention else None

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        for block in self.blocks:
            h = block(h, e)
        return h if self.attention is None else self.attention(h)


class UNet(Network):
    """``UNet((C, H, W))(x (B, C, H, W), t (B,), **conditions) -> (B, C, H, W)``.

    Args:
        shape: (C, H, W) of one image; H and W of at least 2^(number of resolutions - 1).
        sees: conditions of shape (channels, H, W), name to shape, concatenated to x.
        modulated: conditions of any other shape, name to shape, mapped to the scale and shift of every norm.
        classes: the number of labels if the network sees ``label`` (B,) int64, -1 where dropped; 0 for none.
        width: channels at full resolution, a multiple of 4.
        multiples: channels at full, half, quarter, ... resolution, as multiples of ``width``.
        blocks: residual blocks at each resolution, on the way down and on the way up.
        attention: indices of the resolutions with self-attention after their blocks; 0 is full resolution.

    Raises:
        ValueError: a shape, width, condition or other argument that does not fit.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        sees: Mapping[str, Sequence[int]] | None = None,
        modulated: Mapping[str, Sequence[int]] | None = None,
        classes: int = 0,
        width: int = 16,
        multiples: Sequence[int] = (1, 2, 3),
        blocks: int = 1,
        attention: Sequence[int] = (),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sees, modulated = ({k: list(v) for k, v in (m or {}).items()} for m in (sees, modulated))
        least = 2 ** (len(multiples) - 1)
        if len(shape) != 3 or min(shape[1:]) < least:
            raise ValueError(f"shape is {tuple(shape)}; a U-Net takes images (C, H, W) with sides of at least {least}")
        if width < GROUPS or width % GROUPS:
            raise ValueError(f"width is {width}; a U-Net takes a multiple of {GROUPS}")
        if not multiples or min(multiples) < 1 or blocks < 1:
            raise ValueError(
                f"multiples are {tuple(multiples)} and blocks {blocks}; they must be whole numbers of at least 1"
            )
        if any(not 0 <= level < len(multiples) for level in attention):
            raise ValueError(
                f"attention is {tuple(attention)}; this U-Net has the resolutions 0 .. {len(multiples) - 1}"
            )
        channels = fit_beside(shape, sees)
        self.arguments = {
            "shape": list(shape), "sees": sees, "modulated": modulated, "classes": classes, "width": width,
            "multiples": list(multiples), "blocks": blocks, "attention": list(attention), "dropout": dropout,
        }  # fmt: skip
        self.names, self.modulators = tuple(sees), tuple(modulated)
        sizes, e = [k * width for k in multiples], 4 * width
        steps = list(itertools.pairwise(sizes))
        self.told = Conditioning(e, modulated, classes)

        def level(k: int, into: int, out: int) -> _Level:
            return _Level(into, out, e, dropout, blocks, k in attention)

        self.into = nn.Conv2d(channels, sizes[0], 3, padding=1)
        self.down = nn.ModuleList([level(k, n, n) for k, n in enumerate(sizes)])
        self.halving = nn.ModuleList([nn.Conv2d(fine, coarse, 3, 2, 1) for fine, coarse in steps])
        self.narrower = nn.ModuleList([nn.Conv2d(coarse, fine, 1) for fine, coarse in reversed(steps)])
        self.up = nn.ModuleList([level(k, 2 * sizes[k], sizes[k]) for k in reversed(range(len(steps)))])
        self.norm, self.out = nn.GroupNorm(GROUPS, sizes[0]), nn.Conv2d(sizes[0], shape[0], 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(cast(Tensor, self.out.bias))

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, **conditions: Tensor) -> Tensor:
        e = self.told(t, label, conditions)
        h = self.into(torch.cat([x, *(conditions[name] for name in self.names)], 1))
        beside = []
        for level, halve in itertools.zip_longest(self.down, self.halving):
            h = level(h, e)
            if halve is not None:
                beside.append(h)
                h = halve(h)
        for narrow, level in zip(self.narrower, self.up, strict=True):
            other = beside.pop()
            h = F.interpolate(narrow(h), size=other.shape[-2:], mode="nearest")
            h = level(torch.cat([h, other], 1), e)
        return self.out(F.silu(self.norm(h)))
