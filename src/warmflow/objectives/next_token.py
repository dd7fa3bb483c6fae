"""Next-token prediction: maximum likelihood for networks that read from left to right.

    E mean_i -log q(x^i | x^1 .. x^(i-1))

The minimum is reached at the data distribution and equals its entropy per token. All positions are trained at once on the text
itself; nothing is sampled, so the noise is not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import Batch, Objective, Pair, Player, Start
from warmflow.networks import Network
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class NextToken(Objective):
    """Trains ``network``, called as ``network(x (B, L)) -> (B, L, V)``, on the data's tokens.

    Args:
        player: the optimiser's settings; its network is ``network``.

    Raises:
        ValueError: the player has another network.
    """

    network: Network
    player: Player

    product = "draft"

    def __post_init__(self) -> None:
        if self.player.network is not self.network:
            raise ValueError("the player's network is not the objective's network; give both the same one")

    @property
    def players(self) -> Mapping[str, Player]:
        return {"draft": self.player}

    def turn(self, step: int) -> str:
        return "draft"

    def pair(self, batch: Batch, *, noise: Noise) -> Pair:
        return Pair(Start(batch.x1), batch.x1, batch.index)

    def loss(self, turn: str, pair: Pair, *, noise: Noise) -> tuple[Tensor, dict[str, float]]:
        logits = self.network(pair.x1)
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), pair.x1.flatten()), {}
