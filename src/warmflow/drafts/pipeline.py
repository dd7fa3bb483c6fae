"""An unconditional image pipeline of the diffusers library as a draft model."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

from warmflow.contracts import Source
from warmflow.drafts.base import Draft, Place
from warmflow.options import Count, options
from warmflow.setup import Setup
from warmflow.sources import DiffusersPipeline


@options
class Pipeline(Draft):
    """Samples of a diffusers pipeline."""

    name: ClassVar[str] = "diffusers"
    given: ClassVar[bool] = True
    path: str = ""
    """The pipeline's folder, or its name on the Hugging Face hub."""
    steps: Count = 50
    """Number of denoising steps."""

    def fits(self, setup: Setup) -> str:
        if not self.path:
            return "path is missing; the draft 'diffusers' needs a pipeline's folder: diffusers:PATH"
        if setup.data.kind != "images":
            return f"the draft 'diffusers' draws images, and {setup.name} has none"
        try:
            self.fit(setup, Place())
        except ValueError as error:
            return str(error)
        return ""

    def fit(self, setup: Setup, place: Place) -> Source:
        return _tried(self.path, setup.shape, self.steps)


@lru_cache(maxsize=4)
def _tried(path: str, shape: tuple[int, ...], steps: int) -> DiffusersPipeline:
    """The source, whose trial is not repeated for each method and training seed."""
    return DiffusersPipeline.of(path, shape, steps)
