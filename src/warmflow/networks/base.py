"""What every network of ours has: its constructor's arguments, so that a run folder can build it again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


class Network(nn.Module):
    """A module that remembers its constructor's arguments (JSON values) in ``arguments``."""

    arguments: dict[str, Any]


def seeded(seed: int, build: Callable[[], M]) -> M:
    """``build()`` with torch's global generator seeded for its duration only: the caller's stream is untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def parameters(network: nn.Module) -> int:
    """The number of trainable numbers in a network."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def preset(presets: Mapping[str, Mapping[str, int]], name: str, vocabulary: int, **more: Any) -> dict[str, Any]:
    """The arguments of a network of tokens by the name of a preset; ValueError for an unknown one."""
    if name not in presets:
        raise ValueError(f"preset {name!r} is unknown; known: {', '.join(presets)}")
    return {"vocabulary": vocabulary, **presets[name], **more}


class TimeEmbedding(nn.Module):
    """Sines and cosines of t (B,) at frequencies geometric from 1 to 100: (B, 2 * half)."""

    frequencies: Tensor

    def __init__(self, half: int = 32) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.exp(torch.linspace(0, math.log(100.0), half)), persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        angle = t[:, None] * self.frequencies
        return torch.cat([angle.sin(), angle.cos()], 1)
