"""Discrete flow matching: the posterior p(x1^i | x_t) at every position, for any coupling.

    cross entropy     E mean_i -log p(x1^i | x_t)
    generalised KL    E k'/(1-k) mean_i [ 1{x_t^i = x1^i} - p(x_t^i | x_t) - (1 - 1{x_t^i = x1^i}) log p(x1^i | x_t) ]

with t uniform on [t0, 1]. Both are minimised by the posterior. The second weights the first by the jump rate and skips
positions that are already correct; if starts are independent of the data, it bounds -log p(x1). Positions that cannot change
(fixed, or visibly jumped) do not enter the loss.

References:
    Discrete Flow Matching, Gat et al., 2024, arXiv 2407.15595 (cross entropy)
    Flow Matching with General Discrete Paths, Shaul et al., 2024, arXiv 2412.03487 (the bound for mixture paths)
    Warm-Start Flow Matching for Guaranteed Fast Text/Image Generation, Minyoung Kim, 2026, arXiv 2603.19360
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from warmflow.contracts import Batch, Coupling, JumpPath, Objective, Pair, Player, Source
from warmflow.devices import like
from warmflow.fields import TokenField
from warmflow.fields.guided import dropped
from warmflow.noise import Noise

LOSSES = ("cross_entropy", "generalised_kl")


@dataclass(frozen=True, eq=False)
class DiscreteFlowMatching(Objective):
    """Trains ``field`` on the pairs that ``coupling`` makes of the data and samples of ``source``.

    Args:
        player: the optimiser's settings; its network is the field's.
        weighting: "cross_entropy" or "generalised_kl".
        drop: share of rows whose conditions named in ``drops`` are dropped, for classifier-free guidance.

    Raises:
        ValueError: an unknown weighting.
    """

    field: TokenField
    source: Source
    coupling: Coupling
    player: Player
    weighting: str = "cross_entropy"
    drop: float = 0.0
    drops: tuple[str, ...] = ("label",)

    product = "flow"

    def __post_init__(self) -> None:
        if self.weighting not in LOSSES:
            raise ValueError(f"weighting is {self.weighting!r}; known: {', '.join(LOSSES)}")

    @property
    def players(self) -> Mapping[str, Player]:
        return {"flow": self.player}

    def turn(self, step: int) -> str:
        return "flow"

    def pair(self, batch: Batch, *, noise: Noise) -> Pair:
        return self.coupling.pair(batch, self.source, noise=noise.fold("pair"))

    def loss(self, turn: str, pair: Pair, *, noise: Noise) -> tuple[Tensor, dict[str, float]]:
        path: JumpPath = self.field.path
        begin = path.begin(pair.start)
        t = begin + (1 - begin) * noise.uniform("t").to(begin.device)
        x_t, x1, start = path.sample(pair, t, noise=noise.fold("path")).x_t, pair.x1, pair.start
        if self.drop:
            rows = (noise.uniform("drop") < self.drop).to(x1.device)
            start = replace(start, condition=dropped(start.condition, self.drops, rows))
        open_ = ~path.settled(x_t, start)
        length, rows = x1.shape[1], torch.nonzero(open_)[:, 0]
        logits = self.field(x_t, t, start, at=open_).logits
        assert logits is not None
        target, here = x1[open_], x_t[open_]
        if self.weighting == "cross_entropy":
            each = torch.nn.functional.cross_entropy(logits, target, reduction="none")
        else:
            chance = torch.log_softmax(logits, 1)
            known = here < chance.shape[1]  # a mask has no probability
            stay = torch.where(known, chance.gather(1, here.clamp(max=chance.shape[1] - 1)[:, None])[:, 0].exp(), 0.0)
            right = (here == target).to(chance.dtype)
            each = right - stay - (1 - right) * chance.gather(1, target[:, None])[:, 0]
            each = each * like(path.rate(t), chance)[rows]
        return each.sum() / (len(x1) * length), {}
