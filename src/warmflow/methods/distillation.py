"""Flow Generator Matching: another method's flow distilled into a generator of one call.

The student starts from the teacher's weights, and so does the online flow. Nothing is read from the data unless a share of it is
asked into the online flow's turn. What a teacher must be is said in ``why_not_distilled``.

References:
    Flow Generator Matching, Huang et al., 2024, arXiv 2410.19310
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from warmflow.contracts import Batch, Coupling, Data, Objective, Player, Solver
from warmflow.couplings import Assignment, Encoded, Independent
from warmflow.evaluation.study import Training
from warmflow.fields import Guided, NetworkField
from warmflow.methods.base import Method, Networks, Stage
from warmflow.methods.cold import Cold
from warmflow.methods.parts import Parts
from warmflow.networks import Network, seeded
from warmflow.noise import Noise
from warmflow.objectives import FlowGeneratorMatching
from warmflow.options import Count, NotNegative, Positive, Share, options
from warmflow.paths import LinearPath
from warmflow.sampler import Sampler
from warmflow.setup import Setup
from warmflow.solvers import Euler
from warmflow.sources import Blurred, LearnedPrior, StandardNormal

BLANK_ROWS = 4096
ONE = (1,)


@options
class Distillation(Method):
    """A student of one call, distilled from another method's flow."""

    name: ClassVar[str] = "distillation"
    trained: ClassVar[Training] = Training.DISTILLED
    counted: ClassVar[tuple[str, ...]] = ("teacher",)
    teacher: Method = Field(default_factory=lambda: Cold(pairing="minibatch"))
    """The method whose flow is distilled."""
    alpha: NotNegative = 1.0
    """0.5 is exact, 1 the practice on images."""
    online_updates: Count = 1
    """Updates of the online flow for each one of the student."""
    updates: Count = 2000
    """Updates of the student."""
    batch: Count | None = None
    """Rows in one update; by default 256, of a teacher with minibatch pairs its own."""
    learning_rate: Positive = 1e-3
    """AdamW's peak learning rate of both; for large networks 3e-5."""
    beta: Share = 0.0
    """Decay of AdamW's first moment."""
    ema: Share = 0.999
    """Decay of the student's averaged weights."""
    times: Literal["uniform", "logit_normal"] = "uniform"
    """How times are drawn."""
    real: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of real data in the online flow's turn."""

    def fits(self, setup: Setup) -> str:
        if setup.space != "floats":
            return f"distillation is of flows of floats, and {setup.name} is of tokens"
        if setup.training.conditional:
            return "distilling carries no labels: leave conditional out"
        return self.teacher.fits(setup)

    @property
    def title(self) -> str:
        return f"the student of {self.teacher.title}"

    @property
    def label(self) -> str:
        return f"distilled-{self.teacher.label}"

    def needs(self) -> Method | None:
        return self.teacher

    def solvers(self) -> Sequence[Solver] | None:
        return (Euler(),)

    def grid(self) -> Sequence[int] | None:
        return ONE

    def _batch(self, coupling: Coupling, setup: Setup) -> int:
        if isinstance(coupling, Assignment):
            theirs = min(setup.training.batch, len(setup.data.train))
            if self.batch not in (None, theirs):
                raise ValueError(
                    f"batch is {self.batch}; the teacher's pairs were assigned over {theirs} rows: leave it out"
                )
            return theirs
        return self.batch or 256

    def stages(self, parts: Parts) -> Sequence[Stage]:
        sampler = parts.trained(self.teacher)
        coupling = Assignment() if getattr(self.teacher, "pairing", "") in ("minibatch", "whole-set") and isinstance(
            sampler.source, StandardNormal) else Independent()  # fmt: skip

        def make(_: Networks) -> tuple[Objective, Data]:
            field = teacher_field(sampler)
            online, student = copied(field), copied(field)
            by = {
                name: Player(one.network, self.learning_rate, (self.beta, 0.999), ema=self.ema)  # type: ignore[arg-type]
                for name, one in (("online", online), ("student", student))
            }
            objective = FlowGeneratorMatching(
                field, online, student, sampler.source, coupling, by, self.alpha, self.online_updates, self.times,
                real=self.real,
            )  # fmt: skip
            return objective, self._data(parts, sampler)

        turns = self.online_updates + 1
        return [Stage("student", make, self.updates * turns, self._batch(coupling, parts.setup),
                      min(200, self.updates // 10 + 1) * turns, 100 * turns)]  # fmt: skip

    def _data(self, parts: Parts, sampler: Sampler) -> Data:
        """What the online flow may see of the data: blank rows unless a share was asked for."""
        setup, source = parts.setup, sampler.source
        if not self.real:
            return Batch(torch.zeros(BLANK_ROWS, *setup.shape))
        if isinstance(source, LearnedPrior):  # a real sample stands beside the latent that it is encoded to
            y = setup.data.train
            z = Encoded(source.auxiliary).encoded(y.x1, noise=Noise.of(parts.seed, len(y)).fold("real"))
            return replace(y, condition={**y.condition, "z": z})
        if isinstance(source, Blurred):
            raise ValueError("real is for teachers from noise or a learned prior: no sample has a draft of its own")
        return setup.data.train

    def sampler(self, parts: Parts, networks: Networks) -> Sampler:
        sampler = parts.trained(self.teacher)
        return replace(
            sampler, field=replace(teacher_field(sampler), network=networks["student"]), solver=Euler(), steps=1
        )


def why_not_distilled(sampler: Sampler) -> str:
    """Empty where a flow can be distilled, else a sentence: the online flow draws fresh starts, and must know which of them a
    sample is paired with."""
    field, source = sampler.field, sampler.source
    if isinstance(field, Guided) or "label" in getattr(field, "sees", ()):
        return "it is given labels, which distilling does not carry"
    if not isinstance(field, NetworkField) or not isinstance(field.network, Network):
        return (
            f"it has a {type(field).__name__}; Flow Generator Matching distils flows of floats with a network of ours"
        )
    if not isinstance(field.path, LinearPath):
        return f"it has a {type(field.path).__name__}; only the linear path can be distilled"
    if not isinstance(source, StandardNormal) and not {"draft", "z"} & set(field.sees):
        return f"it starts from a {type(source).__name__} that its field does not see, so that fresh starts cannot be paired"
    own = {Blurred: "sigma", LearnedPrior: "scale"}.get(type(source))
    if own is not None and getattr(source, own) == 0:
        return f"it starts without noise of its own ({own} 0): one draft has one sample"
    return ""


def teacher_field(sampler: Sampler) -> NetworkField:
    """The field that is distilled.

    Raises:
        ValueError: a flow that cannot be distilled.
    """
    why = why_not_distilled(sampler)
    if why:
        raise ValueError(f"this flow cannot be distilled: {why}")
    field = sampler.field
    assert isinstance(field, NetworkField)
    return field


def copied(field: NetworkField) -> NetworkField:
    """The field with a network of its own, the same weights, no dropout."""
    network = field.network
    assert isinstance(network, Network)
    arguments, kind = {**network.arguments, "dropout": 0.0}, type(network)
    made: nn.Module = seeded(0, lambda: kind(**arguments))
    made.load_state_dict(network.state_dict())
    return replace(field, network=made)
