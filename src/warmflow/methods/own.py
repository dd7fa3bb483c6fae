"""The user's own cold model as a baseline: it is not trained, and no other cold flow is added to the comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

from warmflow.evaluation.study import Role
from warmflow.fields import WrappedField
from warmflow.methods.base import Method, Networks, Stage
from warmflow.methods.parts import Parts
from warmflow.options import options
from warmflow.sampler import Sampler
from warmflow.setup import Setup
from warmflow.solvers import Euler
from warmflow.sources import StandardNormal

STEPS = 20


@options
class OwnModel(Method):
    """Your own trained cold model, as ``warmflow.wrap`` returns it."""

    name: ClassVar[str] = "own-model"
    role: ClassVar[Role] = Role.BASELINE
    trains: ClassVar[bool] = False
    field: object = None
    """The wrapped model."""

    def __post_init__(self) -> None:
        if not isinstance(self.field, WrappedField):
            kind = type(self.field).__name__
            raise ValueError(f"field is a {kind}; wrap your model first: warmflow.wrap(model, predicts=...)")

    def fits(self, setup: Setup) -> str:
        if setup.space != "floats":
            return f"a wrapped model is of floats, and {setup.name} is of tokens"
        if setup.training.conditional:
            return "conditional gives every flow the label, which a wrapped model does not take: leave it out"
        return (
            ""
            if setup.inputs is None
            else f"samples of {setup.name} answer an input, which a wrapped model does not take"
        )

    @property
    def title(self) -> str:
        return "your cold model"

    @property
    def label(self) -> str:
        return "cold"

    def asked(self) -> dict[str, object]:
        return {"class": type(self).__name__}

    def stages(self, parts: Parts) -> Sequence[Stage]:
        return ()

    def sampler(self, parts: Parts, networks: Networks) -> Sampler:
        return Sampler(
            StandardNormal(parts.setup.shape), cast(WrappedField, self.field), Euler(), STEPS, parts.setup.hooks
        )
