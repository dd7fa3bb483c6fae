"""A draft from a degraded input: the input resized to the target's size, or a regression's prediction from it.

    x0 = f(input),     f the identity, or a network trained to predict E[target | input]

Such a draft is a function of the input, so noise must be added (``Blurred``): without noise, a field that sees the draft returns
the conditional mean at any number of steps, which a regression already gives in one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise
from warmflow.sources.conditioned import Conditioned
from warmflow.sources.noise import StandardNormal
from warmflow.user_code import evaluating

ROWS = 256


@dataclass(frozen=True, eq=False)
class Restored(Source):
    """Drafts from inputs (N, *S), which are drawn uniformly if none are given.

    Args:
        network: called as ``network(input, t)`` at t = 0 for (n, *S), counted as one call; None uses the input as the draft.

    Raises:
        ValueError: there are no inputs, or a given input has another shape.
    """

    network: Callable[[Tensor, Tensor], Tensor] | None
    inputs: Tensor

    def __post_init__(self) -> None:
        self._given()

    def _given(self) -> Conditioned:
        return Conditioned(StandardNormal(()), "input", self.inputs)

    @property
    def takes(self) -> frozenset[str]:
        return frozenset({"input"})

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.inputs.shape[1:])

    @torch.no_grad()
    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        given = self._given().draw(n, condition, noise=noise).condition
        x = given["input"]
        if self.network is None:
            return Start(x, given)
        with evaluating(self.network):
            parts = [self.network(part, torch.zeros(len(part), device=part.device)) for part in x.split(ROWS)]
        return Start(torch.cat(parts) if parts else x, given, calls=torch.ones(n, dtype=torch.int64))
