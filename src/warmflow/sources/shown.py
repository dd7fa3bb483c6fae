"""A draft that is both the start and a condition of the field: x0 = draft, ``condition["draft"]`` = draft.

This is safe for token paths, in contrast to continuous flows (see ``Blurred``): which positions jump, and when, is drawn anew on
each visit, so x_t does not reveal the data point. A field that sees the draft knows which positions have jumped wherever x_t
differs from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from warmflow.contracts import Condition, Source, Start, Wrapper
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class Shown(Wrapper):
    """The inner source's draft, which the field sees; a draft in the given condition is used as it is."""

    source: Source

    @property
    def draft_source(self) -> Source:
        return self.source

    @property
    def takes(self) -> frozenset[str]:
        return self.source.takes | {"draft"}

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        given = dict(condition or {})
        if "draft" in given:
            return Start(given["draft"], given)
        inner = self.source.draw(n, given, noise=noise.fold("draft"))
        return Start(inner.x0, {**inner.condition, "draft": inner.x0}, inner.fixed, inner.t, inner.calls)
