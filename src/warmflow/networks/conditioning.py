"""Conditioning of the image networks: time, label and latent are combined in one vector, from which the scale and shift of
every norm are computed.

    e = silu( V silu( U [sin t, cos t] ) (+ label) (+ W latent) )
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from warmflow.networks.base import TimeEmbedding


def fit_beside(shape: Sequence[int], sees: Mapping[str, Sequence[int]]) -> int:
    """The number of channels of x and of all conditions concatenated to it; raises ValueError for a condition that is not an
    image of x's size.
    """
    for name, size in sees.items():
        if len(size) != 3 or list(size[1:]) != list(shape[1:]):
            raise ValueError(
                f"{name} is {tuple(size)}; it must be (channels, H, W) with the height and width of the images {tuple(shape)}"
            )
    return shape[0] + sum(size[0] for size in sees.values())


class Conditioning(nn.Module):
    """``Conditioning(width)(t (B,), label (B,) or None, conditions) -> (B, width)``.

    Args:
        modulated: conditions that are flattened and mapped into the vector, name to shape.
        classes: the number of labels, 0 for none; a dropped label is -1.
    """

    def __init__(self, width: int, modulated: Mapping[str, Sequence[int]], classes: int) -> None:
        super().__init__()
        self.names = tuple(modulated)
        self.time = nn.Sequential(TimeEmbedding(), nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(classes + 1, width) if classes else None
        size = sum(math.prod(v) for v in modulated.values())
        self.latent = nn.Linear(size, width) if size else None

    def forward(self, t: Tensor, label: Tensor | None, conditions: Mapping[str, Tensor]) -> Tensor:
        e = self.time(t)
        if self.label is not None:
            assert label is not None, "this network sees labels"
            e = e + self.label(label + 1)  # -1, the dropped label, is row 0
        if self.latent is not None:
            e = e + self.latent(torch.cat([conditions[name].flatten(1) for name in self.names], 1))
        return F.silu(e)
