"""Two players against each other: a discriminator tells real from generated, a generator is trained to be taken for real.

    discriminator   min E softplus(-D(x1)) + E softplus(D(G(z))) + gamma/2 E |grad D(x1)|^2
    generator       min E softplus(-D(G(z)))                      (the loss that does not saturate)

D is a logit: at its optimum log p_data(x) / p_G(x), and there the generator's gradient is that of KL(p_G || p_data) - 2 JSD: it
climbs to modes more readily than it covers them all, so that a draft of this kind may lack some.

The penalty on the discriminator's slope at real data makes the game converge near its equilibrium, and it is a function of the
weights and the row alone. Spectral norms, the other remedy, carry power iterations from one forward pass to the next: then
two processes, or a run that is resumed, need more than weights and counters. The penalty needs a second derivative, so it is
taken on a ``share`` of the rows, drawn row by row, and weighted by its inverse: the mean is the same.

References:
    Generative Adversarial Networks, Goodfellow et al., 2014, arXiv 1406.2661, section 3
    Which Training Methods for GANs do actually Converge?, Mescheder, Geiger, Nowozin, 2018, arXiv 1801.04406, equation 9
    Towards Principled Methods for Training Generative Adversarial Networks, Arjovsky, Bottou, 2017, arXiv 1701.04862, Theorem 2.5
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from warmflow.contracts import Batch, Objective, Pair, Player, Source
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class Adversarial(Objective):
    """Trains ``generator(z) -> x`` against ``discriminator(x) -> logit``.

    Args:
        latent: where z is drawn.
        by: the players, {"discriminator": ..., "generator": ...}, each with its network.
        penalty: gamma, what the squared slope of the discriminator at real data costs.
        share: of the rows that the penalty is taken on.
        discriminator_updates: updates of the discriminator to one of the generator; it moves first.
    """

    generator: nn.Module
    discriminator: nn.Module
    latent: Source
    by: Mapping[str, Player]
    penalty: float = 1.0
    share: float = 0.25
    discriminator_updates: int = 1

    product = "generator"

    def __post_init__(self) -> None:
        if not 0 <= self.penalty < float("inf"):
            raise ValueError(f"penalty is {self.penalty}; what the discriminator's slope costs is 0 or more")
        if not 0 < self.share <= 1:
            raise ValueError(f"share is {self.share}; the rows that are penalised are a share in (0, 1]")
        k = self.discriminator_updates
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"discriminator_updates is {k!r}; it is a whole number of at least 1")
        for name, network in (("generator", self.generator), ("discriminator", self.discriminator)):
            if self.by[name].network is not network:
                raise ValueError(f"the player {name!r} holds another network than the objective; give both the same")

    @property
    def players(self) -> Mapping[str, Player]:  # type: ignore[override]
        return self.by

    def turn(self, step: int) -> str:
        k = self.discriminator_updates
        return "generator" if step % (k + 1) == k else "discriminator"

    def pair(self, batch: Batch, *, noise: Noise) -> Pair:
        """Each datum beside a latent of its row: nothing is matched."""
        return Pair(self.latent.draw(len(batch), noise=noise.fold("latent")), batch.x1, batch.index)

    def loss(self, turn: str, pair: Pair, *, noise: Noise) -> tuple[Tensor, dict[str, float]]:
        if turn == "generator":
            fooled = F.softplus(-self.discriminator(self.generator(pair.start.x0))).mean()
            return fooled, {"generator_loss": float(fooled.detach())}
        with torch.no_grad():
            generated = self.generator(pair.start.x0)
        real, fake = self.discriminator(pair.x1), self.discriminator(generated)
        told = (F.softplus(-real) + F.softplus(fake)).mean()
        slope = self.slopes(pair.x1, noise).mean() if self.penalty else torch.zeros(())
        numbers = {
            "real_logit": float(real.detach().mean()),
            "fake_logit": float(fake.detach().mean()),
            "slope": float(slope.detach()),
        }
        return told + self.penalty / 2 * slope, numbers

    def slopes(self, x1: Tensor, noise: Noise) -> Tensor:
        """(B,): the squared length of the discriminator's slope at each row over ``share``, 0 at rows that are not drawn."""
        rows = (noise.uniform("penalised") < self.share).to(x1.device)
        x = x1[rows].detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(self.discriminator(x).sum(), x, create_graph=True)
        squared = slope.flatten(1).square().sum(1) / self.share
        return torch.zeros(len(x1), dtype=squared.dtype, device=x1.device).masked_scatter(rows, squared)
