"""Another source's draw plus N(0, std^2 I), once: a draft of known quality.

Unlike ``Blurred`` this noise belongs to the draft itself: it is drawn when the draft is, and not again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class Jittered(Source):
    """source + std eps."""

    source: Source
    std: float

    @property
    def takes(self) -> frozenset[str]:  # type: ignore[override]
        return self.source.takes

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.source.shape

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        start = self.source.draw(n, condition, noise=noise.fold("jittered"))
        return replace(start, x0=start.x0 + self.std * noise.normal("jitter", *self.shape))
