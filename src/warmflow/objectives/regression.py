"""Regression of the data on a condition: the default draft of paired problems, and a baseline that flows must beat on
distributional metrics.

    L = E |f(input, 0) - x1|^2,     so that f = E[x1 | input]

It has the smallest squared error, but returns a single mean where many images are possible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from warmflow.contracts import Batch, Objective, Pair, Player, Start
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class Regression(Objective):
    """Trains ``network(input (B, *S), t (B,)) -> (B, *S)`` at t = 0.

    Args:
        player: the optimiser's settings; its network is ``network``.
        given: name of the condition that is the input.

    Raises:
        ValueError: data without that condition.
    """

    network: nn.Module
    player: Player
    given: str = "input"

    product = "regression"

    @property
    def players(self) -> Mapping[str, Player]:
        return {"regression": self.player}

    def turn(self, step: int) -> str:
        return "regression"

    def pair(self, batch: Batch, *, noise: Noise) -> Pair:
        if self.given not in batch.condition:
            raise ValueError(f"the data have no {self.given!r} to regress on: pair them first")
        return Pair(Start(batch.condition[self.given], dict(batch.condition)), batch.x1, batch.index)

    def loss(self, turn: str, pair: Pair, *, noise: Noise) -> tuple[Tensor, dict[str, float]]:
        x = pair.start.x0
        found = self.network(x, torch.zeros(len(x), device=x.device))
        return torch.nn.functional.mse_loss(found, pair.x1), {}
