"""LeDiFlow: the flow starts from a learned prior, a mean and a standard deviation of each number that a latent z decodes to.

    x0 = mu(z) + scale sigma(z) eps,     z ~ q(z | y) in training, a small latent sampler when sampling

The auxiliary model (mu, sigma, q) and the latent sampler are trained first; the field sees mu and log sigma beside x, and z in
its norms. With scale 0 the start is mu(z) itself: it contains no noise beside z, so the flow returns a conditional mean.

References:
    LeDiFlow: Learned Distribution-guided Flow Matching to Accelerate Image Generation, Zwick et al., 2025, arXiv 2505.20723
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from warmflow.contracts import Source
from warmflow.couplings import Encoded
from warmflow.drafts.learned_prior import FACTS, PARTS, PriorOptions, trained_prior
from warmflow.evaluation.study import Role, Training
from warmflow.methods.base import Method, Start
from warmflow.methods.cold import baselines
from warmflow.methods.flow import Flow, FlowMethod, flow_of
from warmflow.methods.parts import Parts, digest
from warmflow.options import NotNegative, changed, options
from warmflow.sampler import Sampler
from warmflow.schemas import OBJECT, read_as
from warmflow.setup import Setup
from warmflow.sources import LearnedPrior as PriorSource


@options
class LearnedPrior(PriorOptions, FlowMethod):
    """A flow from a learned prior."""

    name: ClassVar[str] = "learned-prior"
    trained: ClassVar[Training] = Training.EQUAL_FLOWS
    scale: NotNegative = 1.0
    """Factor of sigma in the start; 0 starts at the mean."""
    weights: Literal["equal", "variance"] = "equal"
    """Weights of the flow's squared errors: equal, or one over the prior's variance."""

    def fits(self, setup: Setup) -> str:
        if setup.space != "floats":
            return f"a learned prior is of floats, and {setup.name} is of tokens"
        if setup.training.conditional:
            return "a learned prior carries no labels: leave conditional out"
        if setup.inputs is not None:
            return f"a learned prior answers no input, and samples of {setup.name} do"
        return self.why_not(setup)

    @property
    def counted(self) -> tuple[str, ...]:
        return ("prior",)

    @property
    def title(self) -> str:
        return "LeDiFlow" if self.scale else "LeDiFlow from the mean"

    @property
    def label(self) -> str:
        return self.name if self.scale else f"{self.name}-from-mean"

    def companions(self, setup: Setup) -> Sequence[tuple[Method, Role]]:
        return baselines(setup)

    def for_trial(self, setup: Setup) -> Method:
        return changed(self, {"auxiliary_updates": 1, "latent_updates": min(1, self.latent_updates)})

    def _prior(self, parts: Parts) -> PriorSource:
        asked = self.prior_asked()
        place, key = parts.place("parts", "prior", asked), digest(asked)

        def make() -> Source:
            source, seconds = trained_prior(self, parts.setup, place)
            for name, spent in seconds.items():
                parts.note(f"{key} {name}", spent)
            return source

        found = parts.source(key, lambda: parts.kept(place, key, make))
        for name in PARTS:
            parts.uses(name, f"{key} {name}")
        if not isinstance(found, PriorSource):
            raise ValueError(f"{place.folder} holds no learned prior: delete it")
        return replace(found, scale=self.scale)

    def facts(self, parts: Parts) -> Mapping[str, object]:
        self._prior(parts)
        folder = parts.place("parts", "prior", self.prior_asked()).folder
        facts = {} if folder is None else read_as(OBJECT, folder / FACTS)
        return facts

    def flow(self, parts: Parts) -> Flow:
        setup, source = parts.setup, self._prior(parts)
        sees = {"mean": setup.shape, "log_sigma": setup.shape, "z": (source.auxiliary.latent,)}
        weigh_by = "log_sigma" if self.weights == "variance" else None
        return flow_of(setup, parts.seed, source, Encoded(source.auxiliary), setup.train, sees=sees, weigh_by=weigh_by)

    def starts_from(self, setup: Setup, sampler: Sampler) -> Start | None:
        return Start(sampler.source, "the learned prior alone")
