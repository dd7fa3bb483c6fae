"""A user's own trained cold model as a field, for comparisons or as a base model.

With a Gaussian source the straight path is x_t = (1 - t) eps + t x1, and any one of (velocity, x1, epsilon) determines the
others:

    x1 = x_t + (1 - t) u,        eps = x_t - t u,        so        u = (x1 - x_t) / (1 - t) = (x_t - eps) / t.

The last form is 0 / 0 at t = 0, where x_t = eps. A model that predicts epsilon is therefore evaluated at t = 0.001
(``EARLIEST``) or later; at earlier t the velocity at 0.001 is used.

Models with other noise schedules, as of diffusion, are converted by ``fields.schedules``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from warmflow.contracts import Estimate, Field, FlowPath, Start
from warmflow.devices import doubled, like
from warmflow.fields.network import seen
from warmflow.fields.schedules import EARLIEST, Schedule, schedule_of
from warmflow.number_checks import is_number, numbers_checked
from warmflow.paths import LinearPath
from warmflow.paths.linear import spread
from warmflow.user_code import all_as_weights, as_weights, weights_of

PREDICTIONS = ("velocity", "x1", "epsilon")
"""What a model without a schedule may predict, the default first."""
OTHER_NAMES = {"eps": "epsilon", "noise": "epsilon", "x0": "x1", "sample": "x1", "v_prediction": "v"}
"""Names of predictions elsewhere, where the data point is x0 and the noise x1 or eps."""


@dataclass(frozen=True, eq=False)
class WrappedField(Field):
    """See ``wrap``. ``network`` is the user's model, called as ``network(x, time)`` plus the conditions in ``sees``, on the
    device and in the floating dtype of its weights; what it returns is converted back."""

    network: Callable[..., object]
    predicts: str
    time: str = "ascending"
    scale: float = 1.0
    sees: tuple[str, ...] = ()
    path: FlowPath = field(default_factory=LinearPath)
    schedule: Schedule | None = None
    clip_x0: float | None = None

    def __call__(self, x_t: Tensor, t: Tensor, start: Start, *, at: Tensor | None = None) -> Estimate:
        calls = torch.ones(len(x_t), dtype=torch.int64, device=x_t.device)
        if self.schedule is not None:
            level = self.schedule.at(t)
            z = level.noisy(x_t, t)
            x1 = self._clipped(level.x1(self.predicts, z, self._called(z, level.time, start)))
            return Estimate(calls, x1=x1, velocity=self.path.velocity(x1, x_t, t, start))
        asked = t.clamp(min=EARLIEST) if self.predicts == "epsilon" else t
        out = self._called(x_t, (1 - asked if self.time == "descending" else asked) * self.scale, start)
        if self.predicts == "epsilon":
            velocity = (x_t - out) / spread(doubled(asked), x_t)
        elif self.predicts == "x1":
            velocity = self.path.velocity(out, x_t, t, start)
        else:
            velocity = -out if self.time == "descending" else out
        x1 = out if self.predicts == "x1" else self.path.x1(velocity, x_t, t, start)
        if self.clip_x0 is not None:
            x1 = self._clipped(x1)
            velocity = self.path.velocity(x1, x_t, t, start)
        return Estimate(calls, x1=x1, velocity=velocity)

    def _called(self, x: Tensor, time: Tensor, start: Start) -> Tensor:
        """What the user's model returns, (B, *S) in x's dtype."""
        weights, condition = weights_of(self.network), seen(start, self.sees)
        time = as_weights(like(time, x) if time.is_floating_point() else time.to(x.device), weights)
        given: object = self.network(as_weights(x, weights), time, **all_as_weights(condition, weights))
        made = getattr(given, "sample", given)  # diffusers wraps its tensors
        got = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
        if got != tuple(x.shape):
            raise ValueError(f"the wrapped model returned {got}, expected a tensor of shape {tuple(x.shape)}")
        return cast(Tensor, made).to(x)

    def _clipped(self, x1: Tensor) -> Tensor:
        return x1 if self.clip_x0 is None else x1.clamp(-self.clip_x0, self.clip_x0)


@numbers_checked
def wrap(
    model: Callable[..., object],
    predicts: str = "",
    time: str = "ascending",
    *,
    scale: float = 1.0,
    schedule: object = None,
    integer_times: bool | None = None,
    training_steps: int | None = None,
    clip_x0: bool | float = False,
) -> WrappedField:
    """Turns a model trained elsewhere into a cold field (Gaussian start, t0 = 0).

    A module is sampled in evaluation mode, whatever mode it is in, and called with inputs of its weights' dtype and device.
    Without ``schedule`` the model is a flow on the straight path. A diffusion model needs its schedule: without it, its inputs
    have the wrong size and its time runs the wrong way, and its samples are noise.

    Args:
        model: called as ``model(x, time)``; returns a tensor of x's shape, or an object with that tensor as ``.sample``.
        predicts: "velocity" (the derivative with respect to the model's time, before scaling), "x1" (the clean data point, which
            diffusion papers call x0), "epsilon" (the noise), or, with betas, "v" (a epsilon - b x1). By default "velocity",
            "epsilon" with betas, and "x1" with "edm".
        time: "ascending" if the model's time is 0 at noise and 1 at data, "descending" if it is the other way round; a schedule
            has its own.
        scale: factor on the model's time (1000 for models that count to 1000).
        schedule: "vp" (DDPM), "edm" (the model is the denoiser D(x, sigma)), "rectified" (time is 1 at noise, as in Stable
            Diffusion 3), an array of betas (T,), or a scheduler of diffusers that has betas; ``fields.schedules`` has the
            formulas.
        integer_times: whether the model is called with whole times, int64: 0 .. T - 1 for betas, the default there; 0 ..
            ``training_steps`` for "rectified". With False, "vp" is the continuous equation, with times in [0, 1] times ``scale``,
            and betas have fractions of levels.
        training_steps: the number of training times of "vp" (betas from 0.0001 to 0.02) and "rectified", 1000 by default.
        clip_x0: clips each predicted data point to [-1, 1], or to [-c, c] for a number c. Models of images that were sampled
            with clipping need it.

    Raises:
        ValueError: an unknown prediction, direction of time or schedule, options that do not fit each other, or a model that is
            not callable.
    """
    found = None if schedule is None else schedule_of(schedule, integer_times, training_steps, scale)
    known = PREDICTIONS if found is None else found.predictions
    predicts = OTHER_NAMES.get(predicts, predicts) or known[0]
    if predicts not in known:
        needs = "; 'v' needs a schedule" if predicts == "v" and found is None else ""
        said = f"schedule {schedule!r}" if hasattr(schedule, "lower") else "these betas"
        given = "" if found is None else f" with {said}"
        raise ValueError(f"predicts is {predicts!r}{given}; known: {', '.join(map(repr, known))}{needs}")
    if time not in ("ascending", "descending"):
        raise ValueError(f"time is {time!r}; say 'ascending' (1 is data) or 'descending' (1 is noise)")
    if found is None and (integer_times or training_steps is not None):
        raise ValueError("integer_times and training_steps belong to a schedule; give one, like schedule='vp'")
    if found is not None and time != "ascending":
        raise ValueError("time is 'descending', but the schedule says how the model's time runs: leave time out")
    if clip_x0 is not True and clip_x0 is not False and not is_number(clip_x0):
        raise ValueError(f"clip_x0 is {clip_x0!r}; give True for [-1, 1], or the largest absolute value of your data")
    if not callable(model):
        raise ValueError(f"the model is a {type(model).__name__}; wrap needs a callable model(x, time)")
    return WrappedField(
        model, predicts, time, scale, schedule=found, clip_x0=float(clip_x0) if clip_x0 is not False else None
    )
