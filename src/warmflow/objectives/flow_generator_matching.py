"""Flow Generator Matching: distils a frozen flow into a one-call generator, without data.

There are three fields on one path: the *teacher* u is frozen; the *student* defines the generator by one step, x1 = student(x0,
t0); the *online* flow v tracks the velocity of the student's own samples. Training alternates, with K updates of the online
flow per update of the student. Both see x_t = path(x0', x1), with x1 from the student and x0' drawn anew *given the same
condition*:

    online     min E |v(x_t) - u(x_t | x0', x1)|^2                              x1 detached
    student    min E [ -2 alpha |d|^2 + 2 <d, u(x_t) - u(x_t | x0', x1)> ],     d = u(x_t) - v(x_t)

where v's weights are fixed and gradients pass through x_t and x1. With alpha = 1/2 the gradient is that of E |u - v*|^2, v* the
true velocity of the student's samples (if v = v*). With alpha = 1 the part |d|^2 is dropped, as is usual for images.

Using the generator's own start for the path is a known error, because x_t then reveals x1. If starts and data are paired, a new
start under another condition is also an error: a student of a warm flow must see x0' around the *same* draft. If the teacher
was paired differently (noise assigned to data), its coupling pairs the new starts with x1.

References:
    Flow Generator Matching, Huang et al., 2024, arXiv 2410.19310, Theorem 1 (with time reversed)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import Batch, Coupling, Estimate, Field, Objective, Pair, Player, Point, Source, Start
from warmflow.fields import NetworkField, WrappedField, module_of
from warmflow.noise import Noise
from warmflow.number_checks import is_whole

TIMES = ("uniform", "logit_normal")


def matching_terms(teacher: Tensor, online: Tensor, target: Tensor, alpha: float) -> Tensor:
    """The student's loss (B,) per sample: the mean over entries of -2 alpha d^2 + 2 d (u - u(.|x0, x1)), d = u - v. ``teacher``
    is u, ``online`` v, ``target`` u(.|x0, x1), each (B, *S).
    """
    d = teacher - online
    return (-2 * alpha * d.square() + 2 * d * (teacher - target)).flatten(1).mean(1)


@dataclass(frozen=True, eq=False)
class FlowGeneratorMatching(Objective):
    """Distils ``teacher`` into ``student``.

    Args:
        teacher: any field on a flow path; its network is frozen here.
        online, student: network fields on the same path, which see and predict the same as the teacher.
        source: the teacher's source. The conditions that it takes (a draft, z, a label) are kept when x0' is drawn.
        coupling: pairs new starts with the student's samples, given the condition, in the same way as the teacher's pairs.
        by: the players {"online": ..., "student": ...}, each with its field's network.
        alpha: 1/2 is exact; 1 is usual for images.
        online_updates: K, updates of the online flow per update of the student.
        times: distribution of t: "uniform" on [t0, 1], "logit_normal" on the same interval, or a fixed fraction of it (for
            study).
        errors: the quantity compared, "velocity" or "x1". "x1" weights squared velocity errors by (1 - t)^2. None: what the
            student predicts.
        real: share of rows in the online flow's updates that are data, paired as in the batch.

    Raises:
        ValueError: invalid settings, or networks or paths that do not fit each other.
    """

    teacher: Field
    online: NetworkField | WrappedField
    student: NetworkField | WrappedField
    source: Source
    coupling: Coupling
    by: Mapping[str, Player]
    alpha: float = 1.0
    online_updates: int = 1
    times: str | float = "uniform"
    errors: str | None = None
    real: float = 0.0

    product = "student"

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < float("inf"):
            raise ValueError(f"alpha is {self.alpha}; it must be 0 or more: 0.5 is exact, 1 is usual for images")
        if not is_whole(self.online_updates):
            raise ValueError(f"online_updates is {self.online_updates!r}; it must be a whole number of at least 1")
        if not 0 <= self.real <= 1:
            raise ValueError(f"real is {self.real}; the share of data in the online loss must lie in 0 .. 1")
        if isinstance(self.times, str) and self.times not in TIMES:
            raise ValueError(f"times is {self.times!r}; known: {', '.join(TIMES)}, or a number")
        if self.errors not in (None, "velocity", "x1"):
            raise ValueError(f"errors is {self.errors!r}; it must be 'velocity' or 'x1'")
        for name, field in (("online", self.online), ("student", self.student)):
            if self.by[name].network is not field.network:
                raise ValueError(f"the player {name!r} holds another network than its field; give both the same one")
            _check_fits(name, field, self.teacher)
        frozen = module_of(self.teacher)
        if frozen is not None:
            if any(frozen is f.network for f in (self.online, self.student)):
                raise ValueError("the teacher's network is trained too; give the online flow and the student copies")
            frozen.eval().requires_grad_(False)

    @property
    def players(self) -> Mapping[str, Player]:
        return self.by

    def turn(self, step: int) -> str:
        return "student" if step % (self.online_updates + 1) == self.online_updates else "online"

    def pair(self, batch: Batch, *, noise: Noise) -> Pair:
        """Draws a start for every row, given the conditions of the batch (with its draft if the batch is paired)."""
        given = dict(batch.condition) if batch.start is None else {**batch.condition, **batch.start.condition}
        if batch.start is not None and "draft" in self.source.takes:
            given.setdefault("draft", batch.start.x0)
        known = {k: v for k, v in given.items() if k in self.source.takes}
        start = self.source.draw(len(batch), known, noise=noise.fold("student"))
        return Pair(Start(start.x0, {**given, **start.condition}), batch.x1, batch.index)

    def generated(self, start: Start) -> Tensor:
        """The student's sample (B, *S), by one call at the start's own time."""
        x1 = self.student(start.x0, self.student.path.begin(start), start).x1
        assert x1 is not None
        return x1

    def loss(self, turn: str, pair: Pair, *, noise: Noise) -> tuple[Tensor, dict[str, float]]:
        if turn == "online":
            return self._online(pair, noise), {}
        terms = self.terms(pair, noise=noise)
        return terms.mean(), {"student_loss": float(terms.detach().mean())}

    def terms(self, pair: Pair, *, noise: Noise) -> Tensor:
        """The student's loss (B,) for each row."""
        point = self._point(self.generated(pair.start), pair.start, noise)
        u, v = (f(point.x_t, point.t, point.pair.start) for f in (self.teacher, self.online))
        return matching_terms(self._read(u), self._read(v), self._target(point), self.alpha)

    def _online(self, pair: Pair, noise: Noise) -> Tensor:
        with torch.no_grad():
            x1 = self.generated(pair.start)
        if self.real:
            rows = (noise.uniform("real") < self.real).to(x1.device)
            x1 = torch.where(rows.reshape(-1, *[1] * (x1.ndim - 1)), pair.x1, x1)
        point = self._point(x1, pair.start, noise)
        v = self.online(point.x_t, point.t, point.pair.start)
        return torch.nn.functional.mse_loss(self._read(v), self._target(point))

    def _point(self, x1: Tensor, start: Start, noise: Noise) -> Point:
        """The path's point at a random time, between x1 and a new start under the same condition."""
        known = Batch(x1.detach(), dict(start.condition))
        fresh = self.coupling.pair(known, self.source, noise=noise.fold("interpolant")).start.to(x1.device)
        path = self.student.path
        begin = path.begin(fresh)
        t = begin + (1 - begin) * self._share(noise).to(begin.device)
        return path.sample(Pair(fresh, x1), t, noise=noise.fold("path"))

    def _share(self, noise: Noise) -> Tensor:
        """The position (B,) in (0, 1) of t between t0 and 1."""
        if self.times == "uniform":
            return noise.uniform("t").double()
        if self.times == "logit_normal":
            return noise.normal("t").double().sigmoid()
        return torch.full((len(noise.key),), float(self.times), dtype=torch.float64)

    def _read(self, estimate: Estimate) -> Tensor:
        found = estimate.x1 if (self.errors or self.student.predicts) == "x1" else estimate.velocity
        assert found is not None
        return found

    def _target(self, point: Point) -> Tensor:
        found = point.pair.x1 if (self.errors or self.student.predicts) == "x1" else point.velocity
        assert found is not None
        return found


def _check_fits(name: str, field: NetworkField | WrappedField, teacher: Field) -> None:
    """Raises ValueError if a trained field uses another path than the teacher, or sees or predicts something else."""
    ours, theirs = ((type(f.path).__name__, f.path.t0) for f in (field, teacher))
    if ours != theirs:
        raise ValueError(
            f"the {name}'s path is {ours[0]} from t0 = {ours[1]}, the teacher's is {theirs[0]} from t0 = {theirs[1]}: "
            "distil along one path"
        )
    for what in ("predicts", "sees"):
        mine, its = getattr(field, what), getattr(teacher, what, None)
        if its is not None and mine != its:
            raise ValueError(f"the {name} {what} {mine!r}, the teacher {its!r}: build it as the teacher is")
