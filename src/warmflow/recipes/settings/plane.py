"""Settings of toys in the plane, as points or on a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

from warmflow.recipes.settings.drafts import DRAFTS
from warmflow.recipes.settings.options import option


@dataclass(frozen=True)
class Plane:
    """Fresh points of a toy, and drafts of a grade."""

    draft: str = option("jittered", "the draft model", DRAFTS)
    spread: float = option(0.35, "standard deviation of a jittered draft's noise, on data of unit variance")
    width: int = option(128, "width of the network")
    rounds: int = option(8, "fresh drafts paired with every datum")
    block: int = option(1000, "rows assigned at once")
    batch: int = option(256, "rows in one update")
    train: int = option(10_000, "training points")
    samples: int = option(4_000, "samples of each flow and training seed; a quarter of them is kept for choices")

    def check_plane(self) -> None:
        """Raises ValueError, naming the setting, its value and the remedy."""
        if not 0 < self.spread < math.inf:
            raise ValueError(f"--spread is {self.spread}; a jittered draft needs a positive standard deviation")
        if self.train < 200:
            raise ValueError(f"--train is {self.train}: too few to tell; give at least 200 points")
