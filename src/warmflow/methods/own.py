"""The user's own cold model as a baseline: it is not trained, and no other cold flow is added to the comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import torch

from warmflow.evaluation.study import Role
from warmflow.fields import WrappedField
from warmflow.methods.base import Method, Networks, Stage
from warmflow.methods.parts import Parts
from warmflow.options import options
from warmflow.sampler import Sampler
from warmflow.setup import Setup
from warmflow.solvers import Euler
from warmflow.sources import StandardNormal
from warmflow.user_code import naming

STEPS, TRIED = 20, 2
"""Steps of the sampler; samples and steps of the trial before anything is trained."""


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
        if setup.inputs is not None:
            return f"samples of {setup.name} answer an input, which a wrapped model does not take"
        return self._tried(setup)

    def _tried(self, setup: Setup) -> str:
        """Why the model cannot be sampled, found out by two samples in two steps; empty if it can."""
        shape = (TRIED, *setup.shape)
        try:
            with naming(f"your cold model fails on noise of shape {shape}"):
                x = self._sampler(setup)(TRIED, steps=TRIED).x
        except ValueError as error:
            return str(error)
        finite = bool(torch.isfinite(x).all())
        return (
            ""
            if finite
            else f"your cold model gives NaN or infinite values for noise of shape {shape}: check its weights"
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
        return self._sampler(parts.setup)

    def _sampler(self, setup: Setup) -> Sampler:
        return Sampler(StandardNormal(setup.shape), cast(WrappedField, self.field), Euler(), STEPS, setup.hooks)
