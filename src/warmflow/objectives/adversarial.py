"""Adversarial training: a discriminator learns to distinguish real from generated samples, a generator learns to be classified
as real.

    discriminator   min E softplus(-D(x1)) + E softplus(D(G(z))) + gamma/2 E |grad D(x1)|^2
    generator       min E softplus(-D(G(z)))                      (the non-saturating loss)

D is a logit. At its optimum it is log p_data(x) / p_G(x), and the generator's gradient is then that of KL(p_G || p_data) - 2
JSD. This favours samples near modes over covering all modes, so drafts of this kind may miss some modes.

The gradient penalty at real data makes training converge near the equilibrium, and it is a function of the weights and the row
alone. The alternative, spectral normalisation, carries power iterations from one forward pass to the next; then two processes,
or a resumed run, would need more than weights and counters. The penalty needs a second derivative, so it is computed on a
``share`` of the rows, drawn row by row, and divided by the share, which leaves its mean unchanged.

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
from warmflow.number_checks import is_whole


@dataclass(frozen=True, eq=False)
class Adversarial(Objective):
    """Trains ``generator(z) -> x`` against ``discriminator(x) -> logit``.

    Args:
        latent: source of z.
        by: the players {"discriminator": ..., "generator": ...}, each with its network.
        penalty: gamma, the weight of the squared gradient norm of the discriminator at real data; 0 or more.
        share: share of the rows on which the penalty is computed, in (0, 1].
        discriminator_updates: updates of the discriminator per update of the generator; the discriminator is updated first.

    Raises:
        ValueError: invalid settings, or a player with another network than the objective's.
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
            raise ValueError(f"penalty is {self.penalty}; the weight of the gradient penalty must be 0 or more")
        if not 0 < self.share <= 1:
            raise ValueError(f"share is {self.share}; the share of penalised rows must lie in (0, 1]")
        k = self.discriminator_updates
        if not is_whole(k):
            raise ValueError(f"discriminator_updates is {k!r}; it must be a whole number of at least 1")
        for name, network in (("generator", self.generator), ("discriminator", self.discriminator)):
            if self.by[name].network is not network:
                raise ValueError(f"the player {name!r} holds another network than the objective; give both the same")

    @property
    def players(self) -> Mapping[str, Player]:
        return self.by

    def turn(self, step: int) -> str:
        k = self.discriminator_updates
        return "generator" if step % (k + 1) == k else "discriminator"

    def pair(self, batch: Batch, *, noise: Noise) -> Pair:
        """Pairs each data point with a latent drawn for its row; nothing is matched."""
        return Pair(self.latent.draw(len(batch), noise=noise.fold("latent")), batch.x1, batch.index)

    def loss(self, turn: str, pair: Pair, *, noise: Noise) -> tuple[Tensor, dict[str, float]]:
        if turn == "generator":
            fooled = F.softplus(-self.discriminator(self.generator(pair.start.x0))).mean()
            return fooled, {"generator_loss": float(fooled.detach())}
        with torch.no_grad():
            generated = self.generator(pair.start.x0)
        real, fake = self.discriminator(pair.x1), self.discriminator(generated)
        loss = (F.softplus(-real) + F.softplus(fake)).mean()
        slope = self.slopes(pair.x1, noise).mean() if self.penalty else torch.zeros(())
        numbers = {
            "real_logit": float(real.detach().mean()),
            "fake_logit": float(fake.detach().mean()),
            "slope": float(slope.detach()),
        }
        return loss + self.penalty / 2 * slope, numbers

    def slopes(self, x1: Tensor, noise: Noise) -> Tensor:
        """The squared gradient norm (B,) of the discriminator at each row, divided by ``share``; 0 at rows not drawn."""
        rows = (noise.uniform("penalised") < self.share).to(x1.device)
        x = x1[rows].detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(self.discriminator(x).sum(), x, create_graph=True)
        squared = slope.flatten(1).square().sum(1) / self.share
        return torch.zeros(len(x1), dtype=squared.dtype, device=x1.device).masked_scatter(rows, squared)
