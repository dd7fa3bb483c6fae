"""Classifier-free guidance: u + scale (c - u), with c seen and u blind to the named conditions. Two calls.

The scale follows diffusers: 1 is off, 0 is unconditional. A dropped label is -1, a dropped tensor is 0, here as in
training.

References:
    Classifier-Free Diffusion Guidance, Ho and Salimans, 2022, arXiv 2207.12598, eq. 6 (there w = scale - 1)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from warmflow.contracts import Estimate, Field, Start


def dropped(condition: Mapping[str, Tensor], names: Iterable[str], rows: Tensor | None = None) -> dict[str, Tensor]:
    """The conditions with these names dropped, on all rows or where ``rows`` (B,) is true.

    Raises:
        ValueError: a name that is not among the conditions.
    """
    out = dict(condition)
    for name in names:
        if name not in out:
            has = ", ".join(sorted(out)) or "nothing"
            raise ValueError(f"cannot drop {name!r}: the start carries {has}; give the condition, or drop another")
        value = out[name]
        blank = torch.full_like(value, -1) if name == "label" else torch.zeros_like(value)
        if rows is None:
            out[name] = blank
        else:
            out[name] = torch.where(rows.reshape(-1, *[1] * (value.ndim - 1)), blank, value)
    return out


@dataclass(frozen=True, eq=False)
class Guided(Field):
    """u + scale (c - u) of a field trained with dropped conditions; ``drops`` names what u does not see."""

    field: Field
    scale: float
    drops: tuple[str, ...] = ("label",)

    @property
    def path(self):  # type: ignore[no-untyped-def, override]
        return self.field.path

    def __call__(self, x_t: Tensor, t: Tensor, start: Start, *, at: Tensor | None = None) -> Estimate:
        blind = replace(start, condition=dropped(start.condition, self.drops))
        c, u = self.field(x_t, t, start, at=at), self.field(x_t, t, blind, at=at)

        def guide(a: Tensor | None, b: Tensor | None) -> Tensor | None:
            return None if a is None or b is None else b + self.scale * (a - b)

        return Estimate(c.calls + u.calls, guide(c.x1, u.x1), guide(c.velocity, u.velocity), guide(c.logits, u.logits))
