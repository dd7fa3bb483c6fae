"""Conditional flow matching, for any flow path and any coupling.

    L = E |u_theta(x_t, t, c) - u(x_t | x0, x1)|^2,     t uniform on [t0, 1]

The minimiser is the marginal velocity E[u | x_t, c]: the regression target is noisy, its conditional mean is the field. A field
that predicts the end point x1 is trained on |x1_theta - x1|^2, which is the same loss weighted by (1 - t)^2.

If starts are N(mu, sigma^2) with its own sigma at every pixel (``LearnedPrior``), the squared error may be weighted by 1 /
sigma^2. This equals the unweighted loss on the whitened residual: (x_t - mu) / sigma = (1 - t) eps + t (x1 - mu) / sigma.

References:
    Flow Matching for Generative Modeling, Lipman et al., 2022, arXiv 2210.02747, eq. 9
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from warmflow.contracts import Batch, Coupling, Objective, Pair, Player, Source, Start
from warmflow.fields import NetworkField, WrappedField
from warmflow.fields.guided import dropped
from warmflow.fields.network import seen
from warmflow.noise import Noise


def matching_loss(
    field: NetworkField | WrappedField, pair: Pair, *, noise: Noise, seen_of: Start | None = None, weigh_by: str | None = None
) -> Tensor:  # fmt: skip
    """The loss of these pairs, at a time drawn for each.

    Args:
        seen_of: the starts whose conditions the field sees, where some are dropped; by default those of the pairs.
        weigh_by: as of ``FlowMatching``.
    """
    begin = field.path.begin(pair.start)
    t = begin + (1 - begin) * noise.uniform("t").to(begin.device)
    point = field.path.sample(pair, t, noise=noise.fold("path"))
    estimate = field(point.x_t, t, pair.start if seen_of is None else seen_of)
    assert estimate.velocity is not None and estimate.x1 is not None and point.velocity is not None
    if field.predicts == "x1":
        ours, target = estimate.x1, pair.x1
    else:
        ours, target = estimate.velocity, point.velocity
    if weigh_by is None:
        return torch.nn.functional.mse_loss(ours, target)
    (log_sigma,) = seen(pair.start, (weigh_by,)).values()
    return ((ours - target).square() * (-2 * log_sigma).exp()).mean()


@dataclass(frozen=True, eq=False)
class FlowMatching(Objective):
    """Trains ``field`` on the pairs that ``coupling`` makes of the data and samples of ``source``.

    Args:
        player: the optimiser's settings; its network is the field's.
        weigh_by: the condition that holds log sigma (B, *S); squared errors are divided by sigma^2. None for equal weights.
        drop: share of rows whose conditions named in ``drops`` are dropped, for classifier-free guidance.
    """

    field: NetworkField | WrappedField
    source: Source
    coupling: Coupling
    player: Player
    drop: float = 0.0
    drops: tuple[str, ...] = ("label",)
    weigh_by: str | None = None

    product = "flow"

    @property
    def players(self) -> Mapping[str, Player]:
        return {"flow": self.player}

    def turn(self, step: int) -> str:
        return "flow"

    def pair(self, batch: Batch, *, noise: Noise) -> Pair:
        return self.coupling.pair(batch, self.source, noise=noise.fold("pair"))

    def loss(self, turn: str, pair: Pair, *, noise: Noise) -> tuple[Tensor, dict[str, float]]:
        seen_of = pair.start
        if self.drop:
            rows = (noise.uniform("drop") < self.drop).to(pair.x1.device)
            seen_of = replace(seen_of, condition=dropped(seen_of.condition, self.drops, rows))
        return matching_loss(self.field, pair, noise=noise, seen_of=seen_of, weigh_by=self.weigh_by), {}
