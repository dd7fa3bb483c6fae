"""A draft of known quality: a fresh data point plus N(0, s^2 I). Only for problems that can draw fresh data."""

from __future__ import annotations

from typing import ClassVar

from warmflow.contracts import Source
from warmflow.data.grid import Gridded
from warmflow.drafts.base import Draft, Place
from warmflow.options import Positive, options
from warmflow.setup import Setup
from warmflow.sources.jittered import Jittered as JitteredSource


@options
class Jittered(Draft):
    """A fresh data point plus noise; on data of unit variance 0.15 is good, 0.35 fair, 0.7 poor."""

    name: ClassVar[str] = "jittered"
    spread: Positive = 0.35
    """Standard deviation of the noise."""

    def fits(self, setup: Setup) -> str:
        return (
            "" if setup.fresh is not None else f"the draft 'jittered' needs fresh data, which {setup.name} cannot draw"
        )

    def fit(self, setup: Setup, place: Place) -> Source:
        if setup.fresh is None:
            raise ValueError(self.fits(setup))
        source = JitteredSource(setup.fresh, self.spread)
        grid = setup.data.grid
        return source if grid is None else Gridded(source, grid.levels)
