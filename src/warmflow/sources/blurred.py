"""The default warm start: x0 = draft + sigma eps, with fresh eps at every visit, and the field sees the draft.

Why the noise. If the field sees the draft, or a condition the draft is a function of, then x_t reveals x1 for every
t > t0, and at t0 the best velocity is E[x1 | c] - draft: the flow returns the conditional *mean* at any number of steps.
Noise that the field does not see restores the law: given the draft this is flow matching from N(draft, sigma^2 I).

Why the draft is seen. With assigned pairs the datum is nearly a function of the draft, so paths hardly bend and few
steps do; blind to the draft, the field must guess which of many crossing paths it is on.
"""

from __future__ import annotations

from dataclasses import dataclass

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class Blurred(Source):
    """draft + sigma eps; ``condition["draft"]`` is the draft, taken as given where a caller names it."""

    source: Source
    sigma: float

    def __post_init__(self) -> None:
        if not 0 <= self.sigma < float("inf"):
            raise ValueError(f"sigma is {self.sigma}; the start's own noise has a standard deviation of 0 or more")

    @property
    def takes(self) -> frozenset[str]:  # type: ignore[override]
        return self.source.takes | {"draft"}

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.source.shape

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        given = dict(condition or {})
        calls = None
        if "draft" not in given:
            inner = self.source.draw(n, given, noise=noise.fold("draft"))
            given, calls = {**inner.condition, "draft": inner.x0}, inner.calls
        draft = given["draft"]
        return Start(draft + self.sigma * noise.normal("blur", *self.shape).to(draft.device), given, calls=calls)
