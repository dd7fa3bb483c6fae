"""Noise instead of a draft, for controls of warm starts."""

from __future__ import annotations

from typing import ClassVar

from warmflow.contracts import Source
from warmflow.drafts.base import Draft, Place
from warmflow.options import options
from warmflow.setup import Setup


@options
class NoDraft(Draft):
    """Noise: N(0, I) for floats, uniform tokens for text."""

    name: ClassVar[str] = "noise"
    answers: ClassVar[bool] = True
    noise: ClassVar[bool] = True

    def fits(self, setup: Setup) -> str:
        return ""

    def fit(self, setup: Setup, place: Place) -> Source:
        return setup.noise()
