"""Warm-start flow matching: the flow starts from a draft and refines it.

    x0 = draft + sigma eps,     eps ~ N(0, I),     the field sees the draft,     trained on [t0, 1]

t0 only sets the range of times that the network sees, not the number of calls. Drafts are paired with data by assignment over the
whole set, each sample with many fresh drafts. For tokens x0 is the draft itself, which the field sees.

The control is the same recipe with noise in place of the draft. What the warm flow gains over the control is due to the draft;
what the control gains over cold flows is due to the pairing.

References:
    Warm-Start Flow Matching for Guaranteed Fast Text/Image Generation, Kim, 2026, arXiv 2603.19360
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from warmflow.contracts import Batch, Coupling, Data, Source
from warmflow.contracts import Start as StartOfFlow
from warmflow.drafts import Draft, NoDraft, Place, draft_of, fitted
from warmflow.evaluation.study import Role
from warmflow.methods.base import Drafted, Method, Start
from warmflow.methods.cold import NOISE_BILL, baselines
from warmflow.methods.flow import Flow, FlowMethod, flow_of
from warmflow.methods.pairing import OFFLINE, WHILE_TRAINING, Pairing, paired, why_not
from warmflow.methods.parts import Parts, digest
from warmflow.options import NotNegative, changed, only, options
from warmflow.sampler import Sampler
from warmflow.setup import Setup
from warmflow.sources import Blurred, Shown


@options
class _StandIn(Draft):
    """A draft that needs no training and no pairing, in the place of one that does: values change no cost."""

    name: ClassVar[str] = "stand-in"
    answers: ClassVar[bool] = True
    draft: Draft

    def fits(self, setup: Setup) -> str:
        return self.draft.fits(setup)

    @property
    def is_input(self) -> bool:
        return self.draft.is_input

    def fit(self, setup: Setup, place: Place) -> Source:
        found = self.draft.stand_in(setup)
        return fitted(self.draft, setup, place) if found is None else found

    def given_pairs(self, setup: Setup) -> Batch | None:
        train = setup.data.train
        return Batch(train.x1, train.condition, train.index, StartOfFlow(train.x1, train.condition))


def _draft_given(given: object) -> object:
    """A user's array or function as a ``Draft``; names stay names."""
    return given if given is None or isinstance(given, str) else draft_of(given)


@options
class WarmStart(Pairing, FlowMethod):
    """A flow from a draft."""

    name: ClassVar[str] = "warm-start"
    fine_tunes: ClassVar[bool] = True
    has_draft: ClassVar[bool] = True
    draft: Annotated[str | Draft | None, BeforeValidator(_draft_given)] = None
    """The draft model: mixture, gaussian, vae, gan, diffusers:PATH, a file or folder of drafts; by default the problem's."""
    t0: Annotated[float, Field(ge=0, lt=1)] = 0.8
    """Where the path starts; a label of time that changes no number of calls."""
    sigma: Annotated[NotNegative | None, only("floats")] = None
    """Standard deviation of the noise added to the draft (floats); by default 0.3, of toys 0.1."""
    seen: bool = True
    """Whether the field sees the draft."""

    @property
    def _control(self) -> bool:
        return self.draft == NoDraft()

    def _draft(self, setup: Setup) -> Draft:
        found = draft_of(setup.defaults.get("draft", "mixture") if self.draft is None else self.draft)
        return found.aligned_with_data() if self.pairing == "given" else found

    def fits(self, setup: Setup) -> str:
        answers = setup.inputs is not None
        if answers and not self.sigma and self.sigma is not None:
            return "sigma is 0: a field that sees its draft then returns the conditional mean; give some noise"
        if answers and not self._draft(setup).answers:
            return f"samples of {setup.name} answer an input: take the draft 'regression' or 'input'"
        return self._draft(setup).fits(setup) or why_not(self, setup)

    @property
    def counted(self) -> tuple[str, ...]:
        return ("draft",) if self.pairing in (*WHILE_TRAINING, "given") else ("draft", "pairing")

    @property
    def title(self) -> str:
        return "warm from noise" if self._control else "warm"

    @property
    def label(self) -> str:
        return f"{self.name}-from-noise" if self._control else self.name

    def for_trial(self, setup: Setup) -> Method:
        if self.pairing == "given":
            return self
        draft = self._draft(setup)
        offline = {} if self.pairing in WHILE_TRAINING else {"pairing": "given"}
        return self if draft.noise and not offline else changed(self, {"draft": _StandIn(draft=draft), **offline})

    def companions(self, setup: Setup) -> Sequence[tuple[Method, Role]]:
        control = changed(self, {"draft": NoDraft(), **({"pairing": "whole-set"} if self.pairing == "given" else {})})
        if setup.data.alphabet is not None:
            return baselines(setup, self)  # most pairings of texts rewrite the draft: noise leaves nothing to rewrite
        return [*baselines(setup, self), (control, Role.CONTROL)]

    def _source(self, parts: Parts) -> tuple[Source, Source]:
        """The draft, and the start of the flow."""
        setup = parts.setup
        options = self._draft(setup)
        draft = setup.noise() if options.noise else parts.draft(options)
        if setup.space == "tokens":
            return draft, Shown(draft) if self.seen else draft
        sigma = 0.3 if self.sigma is None else self.sigma
        return draft, Blurred(draft, sigma) if self.seen or sigma else draft

    def _pairs(self, parts: Parts, draft: Source) -> tuple[Coupling, Data]:
        """The coupling and the data that the flow is trained with."""
        options = self._draft(parts.setup)
        name = options.name if options.noise else f"{options.name}-{digest(options.asked())[:6]}"
        # cold flows may have the same pairs of noise, under this name
        return paired(
            parts, name, draft, self, NOISE_BILL if options.noise else "pairing", options.given_pairs(parts.setup)
        )

    def flow(self, parts: Parts) -> Flow:
        setup = parts.setup
        draft, source = self._source(parts)
        coupling, data = self._pairs(parts, draft)
        sees = {"draft": setup.shape} if self.seen or setup.inputs is not None else {}
        if self._draft(setup).is_input:
            setup = setup.without_inputs()  # the draft is the input, which the field sees once
        return flow_of(setup, parts.seed, source, coupling, data, t0=self.t0, sees=sees, begin=parts.begin)

    def drafted(self, parts: Parts) -> Drafted | None:
        if parts.setup.inputs is not None:
            return None
        draft = self._source(parts)[0]
        return Drafted(draft, self, self._pairs(parts, draft)[1])

    def facts(self, parts: Parts) -> Mapping[str, object]:
        setup = parts.setup
        warnings = [self._draft(setup).warning(setup)]
        if setup.data.whole is not None and self.pairing in OFFLINE:
            warnings.append(
                f"all flows are trained on the {len(setup.data.train)} samples that fit into memory, of {len(setup.data.whole)}, "
                f"because the pairing {self.pairing} pairs rows in memory; minibatch and independent take all"
            )
        said = "; ".join(w for w in warnings if w)
        return {"warning": said} if said else {}

    def starts_from(self, setup: Setup, sampler: Sampler) -> Start | None:
        draft = sampler.source.draft_source or sampler.source
        return None if self._draft(setup).noise else Start(draft, "the draft alone", draft=True)

    def brings(self, setup: Setup) -> tuple[str, ...]:
        return ("draft",) if self._draft(setup).given else ()

    def files(self, setup: Setup) -> Mapping[str, str]:
        digest = self._draft(setup).digest()
        return {"draft": digest} if digest else {}
