"""Points in the plane: moons, eight Gaussians, a checkerboard; and the same on a grid of tokens.

The default draft is of known quality: a *fresh* data point plus noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from warmflow.contracts import Source
from warmflow.data import DataSet
from warmflow.data.fresh import FreshToy
from warmflow.data.grid import grid as read_grid
from warmflow.data.toy import toy
from warmflow.options import Count, options
from warmflow.problems.base import SMALL, Problem
from warmflow.setup import Build, Training, token_network

PLANE: Mapping[str, object] = {**SMALL, "rounds": 8, "block": 1000, "sigma": 0.1}


@options
class Toy(Problem):
    """Fresh points of a distribution in the plane."""

    toy: ClassVar[str]
    marks: ClassVar[frozenset[str]] = frozenset({"labels"})
    draft: ClassVar[str] = "jittered"
    training: ClassVar[Mapping[str, object]] = {"width": 128, "depth": 3, "batch": 256}
    samples: ClassVar[int] = 4_000
    train: Annotated[Count, Field(ge=200)] = 10_000
    """Training points."""
    heldout: Annotated[Count, Field(ge=200)] = 4_000
    """Held-out points."""

    def load(self) -> DataSet:
        return toy(self.toy, train=self.train, heldout=self.heldout, seed=self.data_seed)

    def values(self, data: DataSet) -> Mapping[str, object]:
        return PLANE

    def fresh(self) -> Source | None:
        return FreshToy(self.toy)


@options
class Moons(Toy):
    """Two half circles."""

    name: ClassVar[str] = "moons"
    toy: ClassVar[str] = "moons"


@options
class EightGaussians(Toy):
    """Eight Gaussians on a circle."""

    name: ClassVar[str] = "eight-gaussians"
    toy: ClassVar[str] = "eight_gaussians"


@options
class Checkerboard(Toy):
    """Squares of a checkerboard."""

    name: ClassVar[str] = "checkerboard"
    toy: ClassVar[str] = "checkerboard"


@options
class GridOfTokens(Problem):
    """A toy on a grid: a point is two tokens, its column and its row."""

    name: ClassVar[str] = "grid"
    network: ClassVar[str] = "transformer"
    draft: ClassVar[str] = "jittered"
    training: ClassVar[Mapping[str, object]] = {"width": 96, "depth": 2, "batch": 256, "learning_rate": 1e-3}
    samples: ClassVar[int] = 4_000
    space: ClassVar[Literal["floats", "tokens"]] = "tokens"
    toy: Literal["moons", "eight_gaussians", "checkerboard"] = "moons"
    """Which toy."""
    levels: Annotated[Count, Field(ge=8)] = 128
    """Cells of each axis."""
    train: Annotated[Count, Field(ge=200)] = 10_000
    """Training points."""
    heldout: Annotated[Count, Field(ge=200)] = 4_000
    """Held-out points."""

    def load(self) -> DataSet:
        return read_grid(self.toy, levels=self.levels, train=self.train, heldout=self.heldout, seed=self.data_seed)

    def values(self, data: DataSet) -> Mapping[str, object]:
        return PLANE

    def fresh(self) -> Source | None:
        return FreshToy(self.toy)

    def build(self, training: Training, data: DataSet) -> Build:
        return token_network(training, self.levels, 2)
