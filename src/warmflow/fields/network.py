"""A network as a field. The network is called as ``network(x_t, t, **conditions)`` with the raw t, (B,), in x_t's dtype.

A network that predicts the end point x1 gives the velocity (x1 - x_t) / (1 - t); one that predicts the velocity u gives the end
point x_t + (1 - t) u. The path implements both conversions. Autocast applies to the network only: states and times stay in
float32 (in bfloat16, a hundred Euler steps of velocity 1 end at 1.05).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from warmflow.contracts import Condition, Estimate, Field, FlowPath, Start
from warmflow.devices import like
from warmflow.user_code import module_in

F = TypeVar("F", bound=Field)


def seen(start: Start, sees: tuple[str, ...]) -> dict[str, Tensor]:
    """The conditions of the start named in ``sees``. Raises ValueError if one is missing."""
    missing = [name for name in sees if name not in start.condition]
    if missing:
        has = sorted(start.condition) or "nothing"
        raise ValueError(f"the field sees {missing[0]!r}, but the start has {has}: use the source it was trained with")
    return {name: start.condition[name] for name in sees}


def precision(x: Tensor, autocast: str | None) -> contextlib.AbstractContextManager[object]:
    """The context in which a network is evaluated: autocast to the named dtype, or no autocast."""
    return torch.autocast(x.device.type, dtype=getattr(torch, autocast)) if autocast else contextlib.nullcontext()


def module_of(field: Field) -> nn.Module | None:
    """The torch module of a field; None for a closed form, or a function of the user's own."""
    return module_in(getattr(field, "network", None))


def network_of(field: Field) -> nn.Module:
    """The torch module of a field.

    Raises:
        ValueError: a field without one: a closed form, or a function of the user's own.
    """
    network = module_of(field)
    if network is None:
        raise ValueError(f"a {type(field).__name__} has no weights")
    return network


def with_network(field: F, network: nn.Module) -> F:
    """The field with another network."""
    return replace(field, network=network)  # type: ignore[type-var]


@dataclass(frozen=True, eq=False)
class NetworkField(Field):
    """``network(x_t, t, **{name: condition})``, interpreted as a velocity or as an end point.

    Args:
        predicts: "velocity" or "x1".
        sees: names of the start's conditions given to the network ("draft", "label"); it never sees the start's noise.
        autocast: None, "bfloat16" or "float16": the dtype of the network's own arithmetic.

    Raises:
        ValueError: an unknown prediction, or a start without one of the conditions.
    """

    network: nn.Module
    path: FlowPath
    predicts: str = "velocity"
    sees: tuple[str, ...] = ()
    autocast: str | None = None

    def __post_init__(self) -> None:
        if self.predicts not in ("velocity", "x1"):
            raise ValueError(f"predicts is {self.predicts!r}; a network field predicts 'velocity' or 'x1'")

    def __call__(self, x_t: Tensor, t: Tensor, start: Start, *, at: Tensor | None = None) -> Estimate:
        condition: Condition = seen(start, self.sees)
        with precision(x_t, self.autocast):
            out = self.network(x_t, like(t, x_t), **condition)
        out = out.to(x_t.dtype)
        calls = torch.ones(len(x_t), dtype=torch.int64, device=x_t.device)
        if self.predicts == "x1":
            velocity = self.path.velocity(out, x_t, t, start)
            return Estimate(calls, x1=out, velocity=velocity)
        return Estimate(calls, x1=self.path.x1(out, x_t, t, start), velocity=out)
