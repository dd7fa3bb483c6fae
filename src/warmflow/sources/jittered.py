"""Another source's draft plus N(0, std^2 I): a draft of known quality.

Unlike in ``Blurred``, the noise belongs to the draft itself: it is drawn once, together with the draft.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from warmflow.contracts import Condition, Source, Start, Wrapper
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class Jittered(Wrapper):
    """x0 = source + std eps, eps ~ N(0, I)."""

    source: Source
    std: float

    @property
    def takes(self) -> frozenset[str]:
        return self.source.takes

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        start = self.source.draw(n, condition, noise=noise.fold("jittered"))
        return replace(start, x0=start.x0 + self.std * noise.normal("jitter", *self.shape))
