"""Short time series of known distribution: sums of sine waves with random frequencies and phases, plus noise.

    x_j = sqrt(2 (1 - s^2) / K) sum_k sin(2 pi (f_k j / L + p_k)) + s e_j        j = 0 .. L - 1

f_k is uniform on the whole numbers 1 .. F, p_k uniform on [0, 1), e_j standard normal, all independent. Every value has mean 0
and variance 1, and the series is stationary:

    E x_i x_j = (1 - s^2) / F  sum_{f=1}^F cos(2 pi f (i - j) / L)  +  s^2 [i = j]

A Gaussian draft can have these moments exactly. What it misses is that only K frequencies are in a series. The excess kurtosis
of each value is -3/2 (1 - s^2)^2 / K, which tends to that of a Gaussian for many waves: K sets how far the data are from their
Gaussian, at the same covariance. Without noise, series lie on a surface of K phases for each choice of frequencies.

References:
    Real-valued (Medical) Time Series Generation with Recurrent Conditional GANs, Esteban, Hyland, Raetsch, 2017, arXiv 1706.02633
        (single sine waves as a first test of a generator of series)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from warmflow.data import DataSet, part
from warmflow.noise import Noise
from warmflow.options import Count, Share, options
from warmflow.problems.base import SMALL, Problem


@options
class Waves(Problem):
    """Time series: sums of sine waves."""

    name: ClassVar[str] = "waves"
    training: ClassVar[Mapping[str, Any]] = {"width": 256, "depth": 3, "batch": 256}
    length: Annotated[Count, Field(ge=4)] = 32
    """Values of a series."""
    sines: Count = 2
    """Sine waves in a series; the more, the nearer to a Gaussian."""
    fastest: Count = 5
    """Highest frequency, in periods of a series."""
    spread: Share = 0.1
    """Standard deviation of the noise; a series has variance 1 in all."""
    train: Annotated[Count, Field(ge=200)] = 10_000
    """Training series."""
    heldout: Annotated[Count, Field(ge=200)] = 4_000
    """Held-out series."""

    def __post_init__(self) -> None:
        if 2 * self.fastest >= self.length:
            raise ValueError(
                f"fastest is {self.fastest}; a series of {self.length} values has frequencies below {self.length / 2:g}: "
                "lower fastest, or increase length"
            )

    def series(self, n: int, noise: Noise) -> Tensor:
        """n independent series (n, length) float32; each row depends on its own stream of ``noise`` only."""
        frequency = 1 + noise.integers("frequency", self.sines, high=self.fastest)
        phase = noise.uniform("phase", self.sines)
        at = torch.arange(self.length, dtype=torch.float64) / self.length
        waves = torch.sin(2 * math.pi * (frequency[..., None] * at + phase[..., None])).sum(1)
        rest = noise.normal("rest", self.length, dtype=torch.float64)
        x = math.sqrt(2 * (1 - self.spread**2) / self.sines) * waves + self.spread * rest
        return x.reshape(n, self.length).float()

    def load(self) -> DataSet:
        """The series of two independent streams; there is no validation part, because fresh series can be drawn."""
        sizes = {"train": self.train, "heldout": self.heldout}
        parts = {
            key: part(self.series(n, Noise.of(self.data_seed, n).fold("waves").fold(key))) for key, n in sizes.items()
        }
        return DataSet(self.name, "points", parts["train"], None, parts["heldout"])

    def values(self, data: DataSet) -> Mapping[str, Any]:
        return {**SMALL, "rounds": 8, "block": 1000}
