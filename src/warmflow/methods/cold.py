"""Flows from noise: the baselines of every comparison.

    independent    N(0, I) with independent pairs
    minibatch      optimal assignment within each minibatch
    whole-set      optimal assignment over the whole set, with the effort of the candidate's pairing: rounds, block and passes

Their networks do not see the start, and t begins at 0. Flows of tokens start from uniform tokens, or from the mask.

References:
    Flow Matching for Generative Modeling, Lipman et al., 2022, arXiv 2210.02747
    Improving and generalizing flow-based generative models with minibatch optimal transport, Tong et al., 2023, arXiv 2302.00482
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from warmflow.couplings import Independent
from warmflow.evaluation.study import Role
from warmflow.methods.base import Method
from warmflow.methods.flow import Flow, FlowMethod, flow_of
from warmflow.methods.pairing import Pairing, known_pairings, paired, why_not
from warmflow.methods.parts import Parts
from warmflow.options import changed, only, options
from warmflow.setup import Setup
from warmflow.sources import MaskTokens

TITLES = {"independent": "independent pairs", "minibatch": "minibatch pairs", "whole-set": "whole-set pairs"}
NOISE_BILL = "pairing of noise"


@options
class Cold(Pairing, FlowMethod):
    """A flow from noise."""

    name: ClassVar[str] = "cold"
    role: ClassVar[Role] = Role.BASELINE
    pairing: Literal["independent", "minibatch", "whole-set"] = "independent"
    """How noise is paired with data."""
    start: Annotated[Literal["noise", "mask"], only("tokens")] = "noise"
    """Tokens: uniform tokens (noise), or the mask."""

    def fits(self, setup: Setup) -> str:
        if self.start == "mask" and setup.space != "tokens":
            return f"start is 'mask', which is for tokens, and {setup.name} is of floats"
        if self.pairing not in known_pairings(setup) or (self.pairing != "independent" and setup.space == "tokens"):
            return f"cold flows of {setup.name} have independent pairs; pairing is {self.pairing!r}"
        return why_not(self, setup)

    @property
    def title(self) -> str:
        return "cold from a mask" if self.start == "mask" else f"cold with {TITLES[self.pairing]}"

    @property
    def label(self) -> str:
        return "-".join(part for part in ("cold", self.start, self.pairing) if part not in ("noise", "independent"))

    def for_trial(self, setup: Setup) -> Method:
        return changed(self, {"pairing": "independent"}) if self.pairing == "whole-set" else self

    def flow(self, parts: Parts) -> Flow:
        setup = parts.setup
        if self.start == "mask":
            source = MaskTokens(setup.shape, setup.vocabulary)
            return flow_of(setup, parts.seed, source, Independent(), setup.train, masked=True)
        noise = setup.noise()
        coupling, data = paired(parts, "noise", noise, self, NOISE_BILL)
        return flow_of(setup, parts.seed, noise, coupling, data, begin=parts.begin)


def baselines(setup: Setup, pairing: Pairing | None = None) -> list[tuple[Method, Role]]:
    """The cold flows that a candidate is compared with, as its companions: for floats with independent, minibatch and whole-set
    pairs, the last with the effort that the candidate's options ask for (the problem's where they are left open); for tokens from
    uniform tokens and from the mask.
    """
    found = [Cold()]
    if setup.space == "tokens":
        found.append(Cold(start="mask"))
    elif setup.inputs is None:
        effort = pairing or Pairing()
        whole = Cold(pairing="whole-set", rounds=effort.rounds, block=effort.block, passes=effort.passes)
        found += [Cold(pairing="minibatch"), whole]
    return [(cold, Role.BASELINE) for cold in found]
