"""The default warm start: x0 = draft + sigma eps, with new eps on each visit; the field sees the draft.

Why noise is added. If the field sees the draft, or a condition that determines the draft, then without noise x_t reveals x1 for
every t > t0, and at t0 the optimal velocity is E[x1 | c] - draft: the flow returns the conditional *mean* at any number of
steps. Noise that the field does not see makes the flow sample the conditional distribution again: given the draft, this is flow
matching from N(draft, sigma^2 I).

Why the field sees the draft. When pairs come from an assignment, the data point is nearly a function of the draft, so paths are
nearly straight and few steps are enough. A field that does not see the draft must guess which of many crossing paths it is on.
"""

from __future__ import annotations

from dataclasses import dataclass

from warmflow.contracts import Condition, Source, Start, Wrapper
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class Blurred(Wrapper):
    """x0 = draft + sigma eps.

    ``condition["draft"]`` holds the draft. A draft in the given condition is used as it is; otherwise one is drawn from
    ``source``.

    Args:
        sigma: standard deviation of the noise, in units of the data; 0 or more.
    """

    source: Source
    sigma: float

    def __post_init__(self) -> None:
        if not 0 <= self.sigma < float("inf"):
            raise ValueError(f"sigma is {self.sigma}; the standard deviation of the start's noise must be 0 or more")

    @property
    def draft_source(self) -> Source:
        return self.source

    @property
    def takes(self) -> frozenset[str]:
        return self.source.takes | {"draft"}

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        given = dict(condition or {})
        calls = None
        if "draft" not in given:
            inner = self.source.draw(n, given, noise=noise.fold("draft"))
            given, calls = {**inner.condition, "draft": inner.x0}, inner.calls
        draft = given["draft"]
        return Start(draft + self.sigma * noise.normal("blur", *self.shape).to(draft.device), given, calls=calls)
