"""The objective of the auxiliary model of a learned prior: a variational autoencoder that predicts its own error.

    L = E [ 1/(2 d) sum_j ( l_j + (y_j - mu_j)^2 exp(-l_j) ) ] + lambda E KL( q(z|y) || N(0, I) ),    l = log sigma^2

with z = m(y) + e(y) eps. The first term is the negative log-likelihood of N(mu, sigma^2) up to a constant: where the mean is
far off, the variance must grow, so sigma estimates how much remains for the flow at each pixel. For a fixed mean, its minimum
over l is sigma^2 = E (y - mu)^2.

References:
    LeDiFlow: Learned Distribution-guided Flow Matching to Accelerate Image Generation, Zwick et al., 2025, arXiv 2505.20723
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import Batch, Objective, Pair, Player, Start
from warmflow.networks import Auxiliary
from warmflow.noise import Noise


def variance_guided(y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """The mean (B,) over pixels of 1/2 (l + (y - mu)^2 exp(-l)); all arguments are (B, *S)."""
    return (0.5 * (log_variance + (y - mean).square() * (-log_variance).exp())).flatten(1).mean(1)


def divergence(mean: Tensor, log_spread: Tensor) -> Tensor:
    """KL( N(mean, exp(log_spread)^2) || N(0, 1) ) of each latent entry (B, d), in nats; both arguments are (B, d)."""
    return 0.5 * (mean.square() + (2 * log_spread).exp() - 1 - 2 * log_spread)


def losses(network: Auxiliary, y: Tensor, eps: Tensor, weight: float) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss (B,) of each y (B, *S) for the latent noise eps (B, d), and its parts."""
    mean, log_spread = network.encode(y)
    mu, log_variance = network.decode(mean + log_spread.exp() * eps)
    kl = divergence(mean, log_spread)
    parts = {"likelihood": variance_guided(y, mu, log_variance), "kl": kl, "mean": mu, "log_variance": log_variance}
    return parts["likelihood"] + weight * kl.sum(1), parts


@dataclass(frozen=True, eq=False)
class VarianceGuided(Objective):
    """Trains ``network`` (``networks.Auxiliary``).

    Args:
        player: the optimiser's settings; its network is ``network``.
        weight: lambda, the weight of the KL divergence per nat; with 1/d, the loss is a bound on the likelihood.

    Raises:
        ValueError: the player has another network, or the weight is negative or infinite.
    """

    network: Auxiliary
    player: Player
    weight: float = 1e-3

    product = "auxiliary"

    def __post_init__(self) -> None:
        if self.player.network is not self.network:
            raise ValueError("the player's network is not the objective's network; give both the same one")
        if not 0 <= self.weight < float("inf"):
            raise ValueError(f"weight is {self.weight}; the weight of the KL divergence must be 0 or more")

    @property
    def players(self) -> Mapping[str, Player]:
        return {"auxiliary": self.player}

    def turn(self, step: int) -> str:
        return "auxiliary"

    def pair(self, batch: Batch, *, noise: Noise) -> Pair:
        return Pair(Start(batch.x1, batch.condition), batch.x1, batch.index)

    def loss(self, turn: str, pair: Pair, *, noise: Noise) -> tuple[Tensor, dict[str, float]]:
        eps = noise.normal("z", self.network.latent).to(pair.x1.device)
        loss, parts = losses(self.network, pair.x1, eps, self.weight)
        with torch.no_grad():
            numbers = {
                "likelihood": float(parts["likelihood"].mean()),
                "kl": float(parts["kl"].sum(1).mean()),
                "clamped": self.network.clamped(parts["log_variance"]),
            }
        return loss.mean(), numbers
