"""A Gaussian mixture or a single Gaussian, fitted to the training data in seconds."""

from __future__ import annotations

from typing import ClassVar

from warmflow.contracts import Source
from warmflow.drafts.base import Draft, Place
from warmflow.options import Count, changed, options
from warmflow.setup import Setup
from warmflow.sources import Gaussian as GaussianSource
from warmflow.sources import GaussianMixture


def only_floats(draft: Draft, setup: Setup) -> str:
    """``Draft.fits`` for drafts that support floats only."""
    return "" if setup.space == "floats" else f"the draft {draft.name!r} is for floats, and {setup.name} is of tokens"


@options
class Mixture(Draft):
    """A Gaussian mixture fitted to principal components of the data."""

    name: ClassVar[str] = "mixture"
    components: Count | None = None
    """Number of components; by default that of the problem (10, or 30 for larger images)."""

    def fits(self, setup: Setup) -> str:
        n = len(setup.data.train)
        if n < 2 * self._components(setup):
            return f"components is {self._components(setup)}; a mixture of {n} training samples takes at most {n // 2}"
        return only_floats(self, setup)

    def _components(self, setup: Setup) -> int:
        return self.components or setup.components

    def of_class(self, classes: int, rows: int) -> Mixture:
        """Divides the number of components by the number of classes."""
        return changed(self, {"components": min(-(-(self.components or 10) // classes), rows // 2)})

    def fit(self, setup: Setup, place: Place) -> Source:
        return GaussianMixture.fit(setup.data.train.x1, components=self._components(setup), seed=place.seed)


@options
class Gaussian(Draft):
    """One Gaussian with the data's mean and covariance."""

    name: ClassVar[str] = "gaussian"

    def fits(self, setup: Setup) -> str:
        return only_floats(self, setup)

    def fit(self, setup: Setup, place: Place) -> Source:
        return GaussianSource.fit(setup.data.train.x1)
