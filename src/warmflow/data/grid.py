"""Toy data as tokens: a point of the plane becomes two tokens, its column and its row on a grid.

    token = floor((x - low) / (high - low) * levels), clamped to 0 .. levels - 1

The grid covers [-3, 3] of the standardised toys: 128 levels are steps of 0.047, below the noise of 0.11 of the moons. A token
is decoded to the middle of its cell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from warmflow.contracts import Condition, Source, Start, Wrapper
from warmflow.data import Codec, DataSet
from warmflow.data.toy import toy
from warmflow.noise import Noise
from warmflow.number_checks import is_whole, numbers_checked


@dataclass(frozen=True)
class Grid(Codec):
    """A grid of ``levels`` cells per axis on [low, high]."""

    levels: int = 128
    low: float = -3.0
    high: float = 3.0

    @property
    def classes(self) -> int:
        """Number of coarse cells, 4 per axis."""
        return 16

    @property
    def grid(self) -> Grid:
        return self

    def __len__(self) -> int:
        return self.levels

    def described(self) -> dict[str, object]:
        return {"shown": "points"}

    def encode(self, x: Tensor) -> Tensor:
        """Tokens (n, d) int64 of points (n, d); points outside the grid are moved to its edge."""
        cell = ((x.double() - self.low) / (self.high - self.low) * self.levels).floor().long()
        return cell.clamp(0, self.levels - 1)

    def decode(self, tokens: Tensor) -> Tensor:
        """Points (n, d) float32 in the middle of their cells; a mask token (``levels``) is decoded outside the grid."""
        return (self.low + (tokens.double() + 0.5) * (self.high - self.low) / self.levels).float()

    def features(self, tokens: Tensor) -> Tensor:
        """The decoded points (n, d), as features for metrics."""
        return self.decode(tokens)

    def labels(self, tokens: Tensor) -> Tensor:
        """The coarse cell (of 4 x 4) of each point: (n,) int64."""
        coarse = (tokens * 4 // self.levels).clamp(max=3)
        return coarse[:, 0] * 4 + coarse[:, 1]


@dataclass(frozen=True, eq=False)
class Gridded(Wrapper):
    """Another source's points as tokens."""

    source: Source
    levels: int = 128

    @property
    def takes(self) -> frozenset[str]:
        return self.source.takes

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        start = self.source.draw(n, condition, noise=noise.fold("gridded"))
        return replace(start, x0=Grid(self.levels).encode(start.x0))


@numbers_checked
def grid(name: str, *, levels: int = 128, train: int = 10_000, heldout: int = 5_000, seed: int = 0) -> DataSet:
    """A toy data set (:func:`warmflow.data.toy.toy`) as tokens (N, 2) below ``levels``.

    Raises:
        ValueError: an unknown toy, a part without rows, fewer than 8 levels.
    """
    if not is_whole(levels, 8):
        raise ValueError(f"levels is {levels!r}; a grid has a whole number of at least 8")
    points, codec = toy(name, train=train, heldout=heldout, seed=seed), Grid(levels)
    parts = {k: replace(getattr(points, k), x1=codec.encode(getattr(points, k).x1)) for k in ("train", "heldout")}
    return replace(points, name=f"grid.{name}", kind="tokens", codec=codec, **parts)
