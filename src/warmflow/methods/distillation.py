"""Flow Generator Matching: another method's flow distilled into a generator of one call.

The student and the online flow start from the teacher's weights. No data are used unless ``real`` mixes some into the online
flow's updates. ``why_not_distilled`` says which flows can be teachers.

References:
    Flow Generator Matching, Huang et al., 2024, arXiv 2410.19310
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, TypeVar, cast

import torch
from pydantic import Field
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from warmflow.contracts import Batch, Data, Objective, Player, Solver, Source
from warmflow.couplings import Assignment, Encoded, Independent
from warmflow.data.paired import INPUT
from warmflow.evaluation.study import Role, Training
from warmflow.fields import NetworkField, WrappedField, as_guided, network_of, with_network
from warmflow.methods.base import Method, Networks, Stage, filled
from warmflow.methods.cold import Cold, baselines
from warmflow.methods.pairing import Pairing, paired
from warmflow.methods.parts import Parts
from warmflow.networks import Network, seeded
from warmflow.noise import Noise
from warmflow.objectives import FlowGeneratorMatching
from warmflow.options import Count, NotNegative, OptionError, Positive, Share, options
from warmflow.paths import LinearPath
from warmflow.sampler import Sampler
from warmflow.setup import Setup
from warmflow.solvers import Euler
from warmflow.sources import Blurred, Conditioned, Labelled, LearnedPrior

BLANK_ROWS = 4096
ONE = (1,)
DIVERSITY = 0.9
"""Share of the teacher's variance below which a student is warned of."""
TEACHER_STEPS = 32
Distilled = NetworkField | WrappedField
"""The fields that can be distilled."""
D = TypeVar("D", bound=NetworkField | WrappedField)


@options
class Distillation(Method):
    """A student of one call, distilled from another method's flow."""

    name: ClassVar[str] = "distillation"
    trained: ClassVar[Training] = Training.DISTILLED
    teacher: Method = Field(default_factory=lambda: Cold(pairing="minibatch"))
    """The method whose flow is distilled."""
    alpha: NotNegative = 1.0
    """0.5 is exact, 1 the practice on images."""
    online_updates: Count = 1
    """Updates of the online flow for each one of the student."""
    updates: Count = 2000
    """Updates of the student."""
    batch: Count | None = None
    """Rows in one update; by default 256, or the teacher's own for a teacher with minibatch or whole-set pairs."""
    learning_rate: Positive = 1e-3
    """AdamW's peak learning rate of the student and the online flow; for large networks 3e-5."""
    beta: Share = 0.0
    """Decay of AdamW's first moment."""
    ema: Share = 0.999
    """Decay of the student's averaged weights."""
    times: Literal["uniform", "logit_normal"] = "uniform"
    """How times are drawn."""
    real: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of real data in the online flow's updates."""

    def fits(self, setup: Setup) -> str:
        if setup.space != "floats":
            return f"distillation is of flows of floats, and {setup.name} is of tokens"
        return self.teacher.fits(setup)

    @property
    def counted(self) -> tuple[str, ...]:
        return ("teacher",)

    @property
    def title(self) -> str:
        return f"the student of {self.teacher.title}"

    @property
    def label(self) -> str:
        return f"distilled-{self.teacher.label}"

    def needs(self) -> Method | None:
        return self.teacher

    def companions(self, setup: Setup) -> Sequence[tuple[Method, Role]]:
        return baselines(setup)

    def solvers(self) -> Sequence[Solver] | None:
        return (Euler(),)

    def grid(self) -> Sequence[int] | None:
        return ONE

    def check(self, sampler: Sampler, setup: Setup) -> None:
        """Raises a ValueError if this teacher cannot be distilled with these options."""
        teacher_field(sampler)
        assigned = self._assigned(sampler)
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        if assigned and processes > 1:
            raise ValueError(
                f"the teacher's pairs were assigned over whole batches: distil it on one process, not {processes}"
            )
        self._batch(assigned, setup)
        if self.real and not from_noise(sampler.source) and self._pairing(setup).pairing == "minibatch":
            raise OptionError("Distillation", "real", f"is {self.real}, but the teacher was paired batch by batch, so that no "
                              "sample has a draft of its own: leave it out")  # fmt: skip

    def _assigned(self, sampler: Sampler) -> bool:
        """Whether fresh starts are assigned to the student's samples, as the teacher's starts were assigned to data."""
        own = self.teacher.own_pairing
        assigned = own is not None and own.pairing in ("minibatch", "whole-set")
        return assigned and from_noise(sampler.source)

    def _batch(self, assigned: bool, setup: Setup) -> int:
        if assigned:
            theirs = min(setup.training.batch, len(setup.data.train))
            if self.batch not in (None, theirs):
                raise OptionError("Distillation", "batch", f"is {self.batch}, but the teacher's pairs were assigned over "
                                  f"{theirs} rows: set it to {theirs}, or leave it out")  # fmt: skip
            return theirs
        return self.batch or 256

    def _pairing(self, setup: Setup) -> Pairing:
        """The teacher's pairing, with the problem's values."""
        return filled(self.teacher, setup).own_pairing or Pairing(pairing="independent")

    def stages(self, parts: Parts) -> Sequence[Stage]:
        sampler = parts.trained(self.teacher)
        self.check(sampler, parts.setup)
        assigned = self._assigned(sampler)

        def make(_: Networks) -> tuple[Objective, Data]:
            field = teacher_field(sampler)
            if not self.teacher.trains:  # the user's own model, which is frozen here but stays as it is elsewhere
                field = with_network(field, copy.deepcopy(network_of(field)))
            online, student = copied(field), copied(field)
            by = {
                name: Player(network_of(one), self.learning_rate, (self.beta, 0.999), ema=self.ema)
                for name, one in (("online", online), ("student", student))
            }
            guided = as_guided(sampler.field)  # its guidance is distilled too
            teacher = replace(guided, field=field) if guided is sampler.field else field
            within = "label" if "label" in sampler.source.takes else None
            objective = FlowGeneratorMatching(
                teacher, online, student, sampler.source, Assignment(within) if assigned else Independent(), by, self.alpha,
                self.online_updates, self.times, real=self.real,
            )  # fmt: skip
            return objective, self.data(parts, sampler)

        turns = self.online_updates + 1
        return [Stage("student", make, self.updates * turns, self._batch(assigned, parts.setup),
                      min(200, self.updates // 10 + 1) * turns, 100 * turns, keep_last=True)]  # fmt: skip

    def data(self, parts: Parts, sampler: Sampler) -> Data:
        """The data of the online flow's updates, paired as the teacher's were; blank rows where ``real`` is 0, with the
        training inputs where samples answer one. Labels are drawn by the source."""
        setup, source = parts.setup, sampler.source
        inputs = setup.data.train.condition.get(INPUT)
        if not self.real and inputs is not None:
            return Batch(torch.zeros(len(inputs), *setup.shape), {INPUT: inputs})
        if not self.real:
            return Batch(torch.zeros(BLANK_ROWS, *setup.shape))
        if isinstance(source, LearnedPrior):  # the field sees a sample beside the latent that it is encoded to
            y = setup.data.train
            z = Encoded(source.auxiliary).encoded(y.x1, noise=Noise.of(parts.seed, len(y)).fold("real"))
            return replace(y, condition={**y.condition, "z": z})
        if source.draft_source is None or setup.inputs is not None:  # the draft of an input is made from it
            return setup.data.train
        pairing, billed = self._pairing(setup), dict(parts.used)
        drafted = filled(self.teacher, setup).drafted(parts) if pairing.pairing == "given" else None
        found = paired(parts, "draft", source.draft_source, pairing)[1] if drafted is None else drafted.pairs
        parts.used.clear()
        parts.used.update(billed)  # the teacher's own cost counts its pairs already
        return found

    def sampler(self, parts: Parts, networks: Networks) -> Sampler:
        sampler = parts.trained(self.teacher)
        field = with_network(teacher_field(sampler), networks["student"])
        return replace(sampler, field=field, solver=Euler(), steps=1, device="cpu")

    def checked(self, parts: Parts, sampler: Sampler) -> Mapping[str, object]:
        return diversity(sampler, parts.trained(self.teacher))


def why_not_distilled(sampler: Sampler) -> str:
    """An empty string if a flow can be distilled, else a sentence that says why not. The online flow draws fresh starts, so the
    field must see the draft (or latent) that a sample and its starts have in common."""
    field, source = as_guided(sampler.field).field, sampler.source
    if not isinstance(field, Distilled) or not isinstance(field.network, nn.Module):
        return f"it has a {type(field).__name__}; Flow Generator Matching distils flows of floats whose network is a torch module"
    if field.predicts not in ("velocity", "x1"):
        return f"it predicts {field.predicts!r}; the online flow is trained on 'velocity' or 'x1'"
    if not isinstance(field.path, LinearPath):
        return f"it has a {type(field.path).__name__}; only the linear path can be distilled"
    if not from_noise(source) and not {"draft", "z"} & set(field.sees or ()):
        return (
            f"it starts from a {type(source).__name__} that its field does not see, so that fresh starts cannot be paired "
            "with samples: distil a flow that sees its draft (seen)"
        )
    own = {Blurred: "sigma", LearnedPrior: "scale"}.get(type(source))
    if own is not None and getattr(source, own) == 0:
        return (
            f"it starts without noise of its own ({own} 0): one draft has one sample; distil a run whose start has some"
        )
    return ""


def teacher_field(sampler: Sampler) -> Distilled:
    """The field that is distilled, without its guidance.

    Raises:
        ValueError: a flow that cannot be distilled.
    """
    why = why_not_distilled(sampler)
    if why:
        raise ValueError(f"this flow cannot be distilled: {why}")
    return cast(Distilled, as_guided(sampler.field).field)


def from_noise(source: Source) -> bool:
    """Whether starts are noise, perhaps with a label or an input."""
    return (source.source if isinstance(source, Labelled | Conditioned) else source).is_noise


def copied(field: D) -> D:
    """The field with a network of its own: the same weights, trainable, without dropout. Works for any module."""
    network = network_of(field)
    if isinstance(network, Network):
        arguments, kind = {**network.arguments, "dropout": 0.0}, type(network)
        made: nn.Module = seeded(0, lambda: kind(**arguments))
        made.load_state_dict(network.state_dict())
        return with_network(field, made)
    made = copy.deepcopy(network).requires_grad_(True)
    for module in made.modules():
        if isinstance(module, _DropoutNd):
            module.p = 0.0
    return with_network(field, made)


def diversity(student: Sampler, teacher: Sampler, n: int = 2000) -> dict[str, object]:
    """The student's total variance as a share of the teacher's, from the same starts; with a warning where it is too low."""
    spread = [
        float(flow(n, seed=0, steps=steps, batch=256).x.cpu().double().flatten(1).var(0).sum())
        for flow, steps in ((student, 1), (teacher, TEACHER_STEPS))
    ]
    share = spread[0] / max(spread[1], 1e-12)
    if share >= DIVERSITY:
        return {"diversity": share}
    return {
        "diversity": share,
        "warning": f"the student's samples vary {share:.2f} times as much as the teacher's: it is losing diversity",
    }
