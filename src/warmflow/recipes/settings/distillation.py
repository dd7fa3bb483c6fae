"""Settings of Flow Generator Matching."""

from __future__ import annotations

import math
from dataclasses import dataclass

from warmflow.recipes.settings.options import flag, option, suggest, whole_numbers


@dataclass(frozen=True)
class Distillation:
    """Settings of Flow Generator Matching."""

    alpha: float = option(1.0, "0.5 is exact, 1 the practice on images")
    online_updates: int = option(1, "updates of the online flow to one of the student")
    updates: int = option(2000, "updates of the student")
    batch: int = option(256, "rows in one update")
    learning_rate: float = option(1e-3, "AdamW's peak rate of both, for networks of this size; large ones take 3e-5")
    beta: float = option(0.0, "decay of AdamW's first moment")
    ema: float = option(0.999, "decay of the student's averaged weights")
    times: str = option("uniform", "how times are drawn", ("uniform", "logit_normal"))
    real: float = option(0.0, "share of real data in the online flow's turn")
    seed: int = option(0, "seed of the distillation")

    def check(self) -> None:
        """Raises ValueError, naming the setting, its value and the remedy."""
        whole_numbers(self, ("online_updates", "updates", "batch"))
        if not 0 <= self.alpha < math.inf:
            raise ValueError(f"--alpha is {self.alpha}; 0.5 is exact, 1 is the practice on images")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"--learning-rate is {self.learning_rate}; it must be positive")
        for name in ("beta", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{flag(name)} is {getattr(self, name)}; it must lie in [0, 1)")
        if not 0 <= self.real <= 1:
            raise ValueError(f"--real is {self.real}; a share of the rows lies in 0 .. 1")
        if self.times not in ("uniform", "logit_normal"):
            raise ValueError(f"--times is {self.times!r}; {suggest(self.times, ('uniform', 'logit_normal'))}")
