"""A draft as a start that the field may see whole: x0 = draft, ``condition["draft"]`` = draft.

On the path of tokens this is safe, unlike on a flow of floats (``Blurred``): what jumps and when is drawn afresh at every
visit, so x_t does not give the datum away. A field that sees the draft can tell what has jumped already where the two
differ.
"""

from __future__ import annotations

from dataclasses import dataclass

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class Shown(Source):
    """The inner source's draft, shown; taken as given where a caller names it."""

    source: Source

    @property
    def takes(self) -> frozenset[str]:  # type: ignore[override]
        return self.source.takes | {"draft"}

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.source.shape

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        given = dict(condition or {})
        if "draft" in given:
            return Start(given["draft"], given)
        inner = self.source.draw(n, given, noise=noise.fold("draft"))
        return Start(inner.x0, {**inner.condition, "draft": inner.x0}, inner.fixed, inner.t, inner.calls)
