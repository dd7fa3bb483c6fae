"""Reflow: a flow trained again on the pairs (start, its own sample from that start), which straightens its paths.

References:
    Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified Flow, Liu et al., 2022, arXiv 2209.03003
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import Field

from warmflow.contracts import Batch, Data, Objective, Player
from warmflow.couplings import Given, Walked
from warmflow.evaluation.study import Role, Training
from warmflow.fields import network_of, with_network
from warmflow.methods.base import Method, Networks, Stage
from warmflow.methods.cold import Cold, baselines
from warmflow.methods.distillation import copied, teacher_field
from warmflow.methods.parts import Parts
from warmflow.objectives import FlowMatching
from warmflow.options import Count, Positive, changed, options
from warmflow.sampler import Sampler
from warmflow.setup import Setup
from warmflow.sources import StandardNormal

FEW_PAIRS = 256
"""Pairs that a trial makes."""


@options
class Reflow(Method):
    """A flow trained on its teacher's own pairs of start and sample."""

    name: ClassVar[str] = "reflow"
    trained: ClassVar[Training] = Training.DISTILLED
    teacher: Method = Field(default_factory=Cold)
    """The method whose flow is straightened."""
    steps: Count = 32
    """Steps of the teacher from each start."""
    rows: Count = 20_000
    """Pairs that are made."""
    updates: Count | None = None
    """Updates; by default as many as the teacher has."""
    batch: Count | None = None
    """Rows in one update; by default as many as the teacher's."""
    learning_rate: Positive = 1e-3
    """AdamW's peak learning rate."""

    def fits(self, setup: Setup) -> str:
        if setup.space != "floats":
            return f"reflow is of flows of floats, and {setup.name} is of tokens"
        if setup.inputs is not None:
            return f"reflow answers no input, and samples of {setup.name} do"
        return self.teacher.fits(setup)

    @property
    def counted(self) -> tuple[str, ...]:
        return ("teacher", "pairing")

    @property
    def title(self) -> str:
        return f"the reflow of {self.teacher.title}"

    @property
    def label(self) -> str:
        return f"reflow-{self.teacher.label}"

    def needs(self) -> Method | None:
        return self.teacher

    def for_trial(self, setup: Setup) -> Method:
        return changed(self, {"rows": min(self.rows, FEW_PAIRS)})

    def companions(self, setup: Setup) -> Sequence[tuple[Method, Role]]:
        return baselines(setup)

    def stages(self, parts: Parts) -> Sequence[Stage]:
        sampler = parts.trained(self.teacher)

        def make(_: Networks) -> tuple[Objective, Data]:
            field, t = copied(teacher_field(sampler)), parts.setup.training
            blank = Batch(torch.zeros(self.rows, *parts.setup.shape))
            walked = Walked(sampler, self.steps)
            pairs = parts.pairs_of(f"reflow-{self.teacher.label}-{self.steps}", walked, blank, sampler.source)
            # a source that takes no draft: the pairs keep the starts they had
            untouched = StandardNormal(parts.setup.shape)
            return FlowMatching(
                field, untouched, Given(), Player(network_of(field), self.learning_rate, ema=t.ema)
            ), pairs

        return [Stage("flow", make, self.updates, self.batch)]

    def sampler(self, parts: Parts, networks: Networks) -> Sampler:
        sampler = parts.trained(self.teacher)
        return replace(sampler, field=with_network(teacher_field(sampler), networks["flow"]), device="cpu")
