"""Flows from a learned prior, beside cold flows and the warm one from a draft.

    lediflow         starts at mu(z) + sigma(z) eps; sees z (in its norms), mu and log sigma (beside x)
    lediflow_mean    starts at mu(z) itself: z then tells all there is to tell, so that it returns a conditional mean

References:
    LeDiFlow: Learned Distribution-guided Flow Matching to Accelerate Image Generation, Zwick et al., 2025, arXiv 2505.20723
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from warmflow.contracts import Batch, Coupling, Player, Source
from warmflow.couplings import Encoded
from warmflow.evaluation.study import Training
from warmflow.fields import NetworkField
from warmflow.objectives import FlowMatching
from warmflow.paths import LinearPath
from warmflow.recipes.flows import SOLVERS, FloatFlow
from warmflow.recipes.plan import Arm, Flow, Plan
from warmflow.recipes.settings import Floats, Prior
from warmflow.sampler import Sampler
from warmflow.sources import LearnedPrior

FLOATS = FloatFlow()
SEES = ("mean", "log_sigma", "z")


@dataclass(frozen=True)
class LeDiFlowFlow(Flow):
    """The arms of ``FloatFlow`` and the two above; the candidates are "lediflow" and "warm"."""

    arms = (*FLOATS.arms, "lediflow", "lediflow_mean")
    offline = FLOATS.offline
    of_prior = ("lediflow", "lediflow_mean")
    candidates = ("lediflow", "warm")
    titles = MappingProxyType({"lediflow": "LeDiFlow", "lediflow_mean": "LeDiFlow from the mean"})
    training = Training.EQUAL_FLOWS

    def warm_source(self, plan: Plan, draft: Source) -> Source:
        return FLOATS.warm_source(plan, draft)

    def coupling(self, plan: Plan, pairing: str) -> Coupling:
        return FLOATS.coupling(plan, pairing)

    def stand_in(self, plan: Plan) -> Source | None:
        return FLOATS.stand_in(plan)

    def noise(self, plan: Plan) -> Source:
        return FLOATS.noise(plan)

    def arm(
        self, plan: Plan, name: str, seed: int, draft: Source | None, paired: Batch | None, begin: Any = None
    ) -> Arm:
        if name not in self.of_prior:
            return FLOATS.arm(plan, name, seed, draft, paired, begin)
        s = plan.settings
        assert isinstance(s, Floats) and isinstance(s, Prior) and isinstance(draft, LearnedPrior)
        if begin is not None:
            raise ValueError(f"the arm {name!r} is trained from the beginning: leave --from out")
        source = draft if name == "lediflow" else replace(draft, scale=0.0)
        sees = {"mean": plan.data.shape, "log_sigma": plan.data.shape, "z": (draft.auxiliary.latent,)}
        net = plan.network(plan.data.shape, sees, seed)
        field = NetworkField(net, LinearPath(0.0), s.predicts, SEES, s.autocast)
        weigh_by = "log_sigma" if s.weights == "variance" else None
        player = Player(net, s.learning_rate, ema=s.ema)
        objective = FlowMatching(field, source, Encoded(source.auxiliary), player, weigh_by=weigh_by)
        return Arm(name, objective, plan.data.train, Sampler(source, field, SOLVERS[s.solver], 4, plan.hooks))
