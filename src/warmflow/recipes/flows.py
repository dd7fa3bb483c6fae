"""Flows of floats: points and images.

    cold             N(0, I), independent pairs
    cold_assigned    N(0, I), minibatch assignment
    cold_whole       N(0, I), assignment over the whole set, made offline with the effort of the warm flow's pairing: the same
                     block, passes and rounds
    warm             the draft with noise of its own; the field sees the draft
    noise            the warm recipe (sigma, seen, t0, pairing) with N(0, I) as its draft

Cold flows are blind and begin at t = 0. "noise" is the control of the start effect: what it gains over the cold flows is the
pairing's doing, and only what the warm flow gains over it is the draft's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from warmflow.contracts import Batch, Coupling, Data, Player, Solver, Source
from warmflow.couplings import Assignment, Given, Independent, NearestDatum, NearestDraft
from warmflow.fields import NetworkField, WrappedField
from warmflow.objectives import FlowMatching
from warmflow.paths import LinearPath
from warmflow.recipes.labels import DROP, conditional, guided, number, told, within
from warmflow.recipes.plan import Arm, Flow, Plan
from warmflow.recipes.settings import TRAINED_DRAFTS, of_floats
from warmflow.sampler import Sampler
from warmflow.solvers import AdamsBashforth, Euler, MultistepX1
from warmflow.sources import Blurred, StandardNormal

COUPLINGS: dict[str, Coupling] = {
    "assignment": Assignment(),
    "minibatch-assignment": Assignment(),
    "nearest-datum": NearestDatum(),
    "nearest-draft": NearestDraft(),
    "independent": Independent(),
}
EULER_STEPS = (1, 2, 4, 8, 20, 50)
HEUN_STEPS = (2, 3, 5, 8, 10, 16)  # 2 n - 1 calls: 3, 5, 9, 15, 19, 31
ADAMS_STEPS = (2, 4, 8, 15, 20, 30)
SOLVERS: dict[str, Solver] = {"euler": Euler(), "adams-bashforth": AdamsBashforth(), "multistep-x1": MultistepX1()}


@dataclass(frozen=True)
class FloatFlow(Flow):
    """The flows above, on the linear path."""

    arms = ("cold", "cold_assigned", "cold_whole", "warm", "noise")
    offline = ("assignment", "nearest-datum", "nearest-draft")

    def warm_source(self, plan: Plan, draft: Source) -> Source:
        """The draft with noise of its own, unless sigma is 0 and the field is blind to it."""
        s = of_floats(plan.settings)
        return Blurred(draft, s.sigma) if s.seen or s.sigma else draft

    def coupling(self, plan: Plan, pairing: str) -> Coupling:
        capacity = of_floats(plan.settings).capacity
        if pairing == "nearest-datum" and capacity:
            return NearestDatum(capacity)
        return within(COUPLINGS[pairing]) if conditional(plan.settings) else COUPLINGS[pairing]

    def stand_in(self, plan: Plan) -> Source | None:
        if plan.settings.draft not in TRAINED_DRAFTS:
            return None
        return self.noise(plan)

    def noise(self, plan: Plan) -> Source:
        noise = StandardNormal(plan.data.shape)
        return told(noise, plan.data) if conditional(plan.settings) else noise

    def arm(
        self, plan: Plan, name: str, seed: int, draft: Source | None, paired: Batch | None, begin: Any = None
    ) -> Arm:
        s, shape = of_floats(plan.settings), plan.data.shape
        source: Source
        coupling: Coupling
        sees: tuple[str, ...]
        labelled = conditional(s)
        made = (*self.offline, "given")
        # pairs made offline are of the rows in memory: then every flow is trained on these
        data: Data = plan.data.train if s.pairing in made or plan.data.whole is None else plan.data.whole
        pairing = (self.paired(plan, name) or ("", "independent" if name == "cold" else "minibatch-assignment"))[1]
        if pairing in made:
            assert paired is not None
            data, coupling = paired, Given()
        else:
            coupling = self.coupling(plan, pairing)
        if name in ("warm", "noise"):
            assert draft is not None
            source = self.warm_source(plan, draft)
            sees, path = (("draft",) if s.seen else ()), LinearPath(s.t0)
        elif name in self.arms:
            source, sees, path = self.noise(plan), (), LinearPath(0.0)
        else:
            raise ValueError(f"arm {name!r} is unknown; known: {', '.join(self.arms)}")
        field: NetworkField | WrappedField
        if isinstance(begin, WrappedField):
            if not isinstance(begin.network, nn.Module):
                raise ValueError(
                    "the wrapped model is not a torch module, so it cannot be trained; it can be compared with"
                )
            field = replace(begin, path=path)
        else:
            shapes = dict.fromkeys(sees, shape) | ({"label": (number(plan.data),)} if labelled else {})
            sees, net = tuple(shapes), plan.network(shape, shapes, seed)
            if begin is not None:
                take_over(net, begin)
            field = NetworkField(net, path, s.predicts, sees, s.autocast)
        player = Player(field.network, s.learning_rate, ema=s.ema)  # type: ignore[arg-type]
        objective = FlowMatching(field, source, coupling, player, drop=DROP if labelled else 0.0)
        return Arm(name, objective, data, Sampler(source, guided(field, s), SOLVERS[s.solver], 4, plan.hooks))


def take_over(network: nn.Module, trained: nn.Module) -> None:
    """Copies a cold network's weights; a first layer that also sees a draft keeps zeros there, so that the warm flow
    begins as the cold one.

    Raises:
        ValueError: the networks differ in more than what they see.
    """
    ours, theirs = network.state_dict(), trained.state_dict()
    for name, value in ours.items():
        old = theirs.get(name)
        if old is not None and old.shape == value.shape:
            value.copy_(old)
        elif old is None and name.startswith("seen."):
            value.zero_()  # an embedding of what the cold network did not see
        elif old is not None and name == "into.weight" and old.shape[0] == value.shape[0]:
            if old.shape[1] > value.shape[1]:
                raise ValueError("the run to start from sees more than this one: start from a cold run")
            value.zero_()
            value[:, : old.shape[1]] = old
        else:
            had = "nothing" if old is None else str(tuple(old.shape))
            raise ValueError(
                f"cannot start from that run: its network has {had} at {name}, this one {tuple(value.shape)}; "
                "use the same width and depth"
            )
