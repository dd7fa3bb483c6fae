"""A user's own trained cold model as a field, for comparisons or as a base model.

With a Gaussian source the straight path is x_t = (1 - t) eps + t x1, and any one of (velocity, x1, epsilon) determines the
others:

    x1 = x_t + (1 - t) u,        eps = x_t - t u,        so        u = (x1 - x_t) / (1 - t) = (x_t - eps) / t.

The last form is 0 / 0 at t = 0, where x_t = eps. A model that predicts epsilon is therefore evaluated at t = 0.001
(``EARLIEST``) or later; at earlier t the velocity at 0.001 is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from warmflow.contracts import Estimate, Field, FlowPath, Start
from warmflow.fields.network import seen
from warmflow.number_checks import numbers_checked
from warmflow.paths import LinearPath
from warmflow.paths.linear import spread
from warmflow.user_code import all_as_weights, as_weights, weights_of

EARLIEST = 1e-3
PREDICTIONS = ("velocity", "x1", "epsilon")


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

    def __call__(self, x_t: Tensor, t: Tensor, start: Start, *, at: Tensor | None = None) -> Estimate:
        asked = t.clamp(min=EARLIEST) if self.predicts == "epsilon" else t
        theirs = (1 - asked if self.time == "descending" else asked) * self.scale
        weights, condition = weights_of(self.network), seen(start, self.sees)
        time = as_weights(theirs.to(x_t.dtype), weights)
        given: object = self.network(as_weights(x_t, weights), time, **all_as_weights(condition, weights))
        made = getattr(given, "sample", given)  # diffusers wraps its tensors
        got = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
        if got != tuple(x_t.shape):
            raise ValueError(f"the wrapped model returned {got}, expected a tensor of shape {tuple(x_t.shape)}")
        out = cast(Tensor, made).to(x_t)
        if self.predicts == "epsilon":
            velocity = (x_t - out) / spread(asked.double(), x_t)
        elif self.predicts == "x1":
            velocity = self.path.velocity(out, x_t, t, start)
        else:
            velocity = -out if self.time == "descending" else out
        calls = torch.ones(len(x_t), dtype=torch.int64, device=x_t.device)
        x1 = out if self.predicts == "x1" else self.path.x1(velocity, x_t, t, start)
        return Estimate(calls, x1=x1, velocity=velocity)


@numbers_checked
def wrap(
    model: Callable[..., object], predicts: str = "velocity", time: str = "ascending", *, scale: float = 1.0
) -> WrappedField:
    """Turns a model trained elsewhere into a cold field (Gaussian start, t0 = 0).

    A module is sampled in evaluation mode, whatever mode it is in, and called with inputs of its weights' dtype and device.

    Args:
        model: called as ``model(x, time)``; returns a tensor of x's shape, or an object with that tensor as ``.sample``.
        predicts: "velocity" (the derivative with respect to the model's time, before scaling), "x1" (the clean data point) or
            "epsilon" (the noise).
        time: "ascending" if the model's time is 0 at noise and 1 at data, "descending" if it is the other way round.
        scale: factor on the model's time (1000 for models that count to 1000).

    Raises:
        ValueError: an unknown prediction or direction of time, or a model that is not callable.
    """
    if predicts not in PREDICTIONS:
        raise ValueError(f"predicts is {predicts!r}; known: {', '.join(map(repr, PREDICTIONS))}")
    if time not in ("ascending", "descending"):
        raise ValueError(f"time is {time!r}; say 'ascending' (1 is data) or 'descending' (1 is noise)")
    if not callable(model):
        raise ValueError(f"the model is a {type(model).__name__}; wrap needs a callable model(x, time)")
    return WrappedField(model, predicts, time, scale)
