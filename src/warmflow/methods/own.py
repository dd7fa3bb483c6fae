"""The user's own cold model or sampler as a baseline: it is not trained, and no other cold flow is added to the comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch

from warmflow.contracts import Field, Samples, Solver, Start, State
from warmflow.evaluation.study import Role
from warmflow.fields import WrappedField
from warmflow.methods.base import Method, Networks, Stage
from warmflow.methods.parts import Parts
from warmflow.noise import Noise
from warmflow.options import options
from warmflow.sampler import Sampler
from warmflow.setup import Setup
from warmflow.solvers import Euler
from warmflow.solvers.runge_kutta import begin
from warmflow.sources import StandardNormal
from warmflow.user_code import naming

STEPS, TRIED = 20, 2
"""Steps of the sampler; samples and steps of the trial before anything is trained."""


@dataclass(frozen=True)
class _Theirs:
    """Stands in a sampler for the user's own, ``generator(n, steps=, seed=)``, which is the field's network: the first step calls
    it for whole samples, and the others keep these. It counts the calls that its ``Samples`` state, or else one for each step.
    It has what a sampler asks of a ``Solver`` and is none: it solves no other field."""

    title: ClassVar[str] = ""
    jumps: ClassVar[bool] = False
    spacing: ClassVar[float] = 1.0
    order: ClassVar[int] = 0  # not known
    calls_per_step: ClassVar[int] = 1
    calls_last_step: ClassVar[int] = 1

    def begin(self, start: Start, t: torch.Tensor, *, noise: Noise) -> State:
        return begin(start, t, noise=noise)

    def step(self, field: Field, state: State, s: torch.Tensor, *, noise: Noise) -> State:
        if bool((state.t > 0).all()):
            return replace(state, t=s)
        n, steps = len(state.x), round(1 / float(s[0]))  # equal steps from t = 0
        seed = int(noise.key[0]) % 2**31
        with naming(f"your cold sampler fails when it is called as generator({n}, steps={steps}, seed={seed})"):
            found: object = cast(WrappedField, field).network(n, steps=steps, seed=seed)
        calls, drawn = torch.full_like(state.calls, steps), found
        if isinstance(found, Samples):
            calls, drawn = found.calls.to(calls), found.x
        x = torch.as_tensor(drawn).detach()
        if x.shape != state.x.shape:
            raise ValueError(
                f"your cold sampler returned samples of shape {tuple(x.shape)}, expected {tuple(state.x.shape)}: it is called "
                f"as generator({n}, steps={steps}, seed={seed})"
            )
        return replace(state, x=x.to(state.x), t=s, calls=calls)


@options
class OwnModel(Method):
    """Your own trained cold model, as ``warmflow.wrap`` returns it, or your own sampler of it."""

    name: ClassVar[str] = "own-model"
    role: ClassVar[Role] = Role.BASELINE
    trains: ClassVar[bool] = False
    field: object = None
    """The wrapped model."""
    generator: object = None
    """In place of ``field``, a sampler generator(n, steps=, seed=) that returns n samples, whose calls are its steps."""

    def __post_init__(self) -> None:
        if self.generator is not None and (self.field is not None or not callable(self.generator)):
            both = "given beside field" if self.field is not None else f"a {type(self.generator).__name__}"
            raise ValueError(
                f"generator is {both}; give one of the two: field=wrap(model), or a function (n, steps=, seed=)"
            )
        if self.generator is None and not isinstance(self.field, WrappedField):
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
        shape, kind = (TRIED, *setup.shape), "model" if self.generator is None else "sampler"
        try:
            with naming(f"your cold {kind} fails on noise of shape {shape}"):
                x = self._sampler(setup)(TRIED, steps=TRIED).x
        except ValueError as error:
            return str(error)
        finite = bool(torch.isfinite(x).all())
        return "" if finite else f"your cold {kind} gives NaN or infinite values of shape {shape}: check its weights"

    @property
    def title(self) -> str:
        return "your cold model"

    @property
    def label(self) -> str:
        return "cold"

    def asked(self) -> dict[str, object]:
        return {"class": type(self).__name__}

    def solvers(self) -> Sequence[Solver] | None:
        return None if self.generator is None else (cast(Solver, _Theirs()),)

    def stages(self, parts: Parts) -> Sequence[Stage]:
        return ()

    def sampler(self, parts: Parts, networks: Networks) -> Sampler:
        return self._sampler(parts.setup)

    def _sampler(self, setup: Setup) -> Sampler:
        noise = StandardNormal(setup.shape)
        if self.generator is None:
            return Sampler(noise, cast(WrappedField, self.field), Euler(), STEPS, setup.hooks)
        theirs = WrappedField(cast(Callable[..., object], self.generator), "x1")
        return Sampler(noise, theirs, cast(Solver, _Theirs()), STEPS, setup.hooks)
