"""A draft of known quality: the inner source's tokens, each replaced once according to a kernel K(x0^i | x1^i).

The inner source is usually new data. The uncorrupted tokens are kept as ``condition["clean"]``: a coupling that pairs each draft
with its own clean tokens (data first) has a posterior that ``ExactMarkov`` knows in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import Condition, Source, Start, Wrapper
from warmflow.noise import Noise, inverse


def uniform_kernel(vocabulary: int, rate: float) -> Tensor:
    """The kernel (V, V) that replaces a token by a uniformly drawn one with probability ``rate``, and keeps it otherwise.

    Raises:
        ValueError: a rate outside [0, 1].
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate is {rate}; the share of replaced tokens must lie in [0, 1]")
    flat = torch.full((vocabulary, vocabulary), rate / vocabulary, dtype=torch.float64)
    return flat + (1 - rate) * torch.eye(vocabulary, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Corrupted(Wrapper):
    """Corrupts tokens with ``kernel`` (V, V): row v is the distribution of the draft's token where the clean token is v."""

    source: Source
    kernel: Tensor

    @property
    def takes(self) -> frozenset[str]:
        return self.source.takes | {"clean"}

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        given = dict(condition or {})
        if "clean" in given:
            clean = given["clean"]
        else:
            drawn = self.source.draw(n, given, noise=noise.fold("clean"))
            clean, given = drawn.x0, {**drawn.condition, "clean": drawn.x0}
        levels = self.kernel.double().cumsum(1)
        x0 = inverse(levels[clean.flatten()], noise.uniform("kernel", *self.shape).flatten())
        return Start(x0.reshape(clean.shape), given)
