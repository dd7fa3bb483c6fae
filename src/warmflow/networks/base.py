"""Shared by all networks: they store their constructor's arguments, so that a run folder can rebuild them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


class Network(nn.Module):
    """A module that stores its constructor's arguments (JSON values) in ``arguments``."""

    arguments: dict[str, object]


def seeded(seed: int, build: Callable[[], M]) -> M:
    """Calls ``build()`` with torch's global generator seeded; the generator's previous state is restored afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def parameters(network: nn.Module) -> int:
    """The number of trainable parameters of a network."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def preset(presets: Mapping[str, Mapping[str, int]], name: str, vocabulary: int, **more: object) -> dict[str, object]:
    """The arguments of a token network by the name of a preset; raises ValueError for an unknown name."""
    if name not in presets:
        raise ValueError(f"preset {name!r} is unknown; known: {', '.join(presets)}")
    return {"vocabulary": vocabulary, **presets[name], **more}


class TimeEmbedding(nn.Module):
    """Sines and cosines of t (B,) at frequencies in geometric progression from 1 to 100: (B, 2 * half)."""

    frequencies: Tensor

    def __init__(self, half: int = 32) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.exp(torch.linspace(0, math.log(100.0), half)), persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        angle = t[:, None] * self.frequencies
        return torch.cat([angle.sin(), angle.cos()], 1)
