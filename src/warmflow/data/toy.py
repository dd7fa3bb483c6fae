"""Toy distributions in the plane: two moons, eight Gaussians, a checkerboard, sampled exactly and standardised.

The moments of each distribution are known in closed form, so every sample is standardised by the same constants (the mean of a
finite sample would make its rows dependent). With U uniform and e ~ N(0, I):

moons            upper (cos a, sin a), lower (1 - cos a, 1/2 - sin a), a ~ U[0, pi], each half the time, plus 0.1 e.
                 E cos a = 0, E sin a = 2/pi, E cos^2 a = E sin^2 a = 1/2. So
                     mean  x: (0 + 1)/2 = 1/2                     y: (2/pi + 1/2 - 2/pi)/2 = 1/4
                     E x^2 = (1/2 + 1 + 1/2)/2 = 1                E y^2 = (1/2 + 1/4 - 2/pi + 1/2)/2 = 5/8 - 1/pi
                     var   x: 1 - 1/4 + 0.01 = 0.76               y: 5/8 - 1/pi - 1/16 + 0.01 = 9/16 - 1/pi + 0.01
eight Gaussians  4 (cos(k pi/4), sin(k pi/4)) + 0.5 e, k = 0 .. 7: mean 0, variance 4^2/2 + 0.5^2 = 8.25 an axis.
checkerboard     uniform on the 8 unit cells of [-2, 2]^2 whose column and row have even sum. Either axis alone is
                 uniform on [-2, 2]: mean 0, variance 4^2/12 = 4/3.

References:
    make_moons of scikit-learn (the moons' centres, with a continuous angle here)
    FFJORD: Free-form Continuous Dynamics for Scalable Reversible Generative Models, Grathwohl, Chen, Bettencourt,
        Sutskever, Duvenaud, 2018, arXiv 1810.01367 (the eight Gaussians and the checkerboard of its toy data)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.data import DataSet, part, suggest
from warmflow.noise import Noise
from warmflow.number_checks import is_whole, numbers_checked


def _moons(noise: Noise) -> tuple[Tensor, Tensor]:
    label = noise.integers("label", high=2)
    angle = math.pi * noise.uniform("angle")
    upper = torch.stack([angle.cos(), angle.sin()], 1)
    lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], 1)
    x = torch.where(label[:, None] == 0, upper, lower)
    return x + 0.1 * noise.normal("jitter", 2, dtype=torch.float64), label


def _eight_gaussians(noise: Noise) -> tuple[Tensor, Tensor]:
    label = noise.integers("label", high=8)
    angle = label.double() * (math.pi / 4)
    centre = 4 * torch.stack([angle.cos(), angle.sin()], 1)
    return centre + 0.5 * noise.normal("jitter", 2, dtype=torch.float64), label


def _checkerboard(noise: Noise) -> tuple[Tensor, Tensor]:
    label = noise.integers("label", high=8)
    column = label // 2
    row = 2 * (label % 2) + column % 2
    corner = torch.stack([column, row], 1).double() - 2
    return corner + noise.uniform("place", 2), label


@dataclass(frozen=True)
class Toy:
    """A toy distribution: its sampler, mean and variance per axis before standardisation, and the names of its labels."""

    sample: Callable[[Noise], tuple[Tensor, Tensor]]
    mean: tuple[float, float]
    variance: tuple[float, float]
    classes: tuple[str, ...]


TOYS = {
    "moons": Toy(_moons, (0.5, 0.25), (0.76, 9 / 16 - 1 / math.pi + 0.01), ("upper", "lower")),
    "eight_gaussians": Toy(_eight_gaussians, (0.0, 0.0), (8.25, 8.25), tuple(f"gaussian {k}" for k in range(8))),
    "checkerboard": Toy(_checkerboard, (0.0, 0.0), (4 / 3, 4 / 3), tuple(f"cell {k}" for k in range(8))),
}


def _toy(name: str) -> Toy:
    if name not in TOYS:
        raise ValueError(f'toy "{name}" is unknown; {suggest(name, tuple(TOYS))}')
    return TOYS[name]


def draw_labelled(name: str, n: int, noise: Noise) -> tuple[Tensor, Tensor]:
    """n exact, independent samples x (n, 2) float32 with labels (n,) int64.

    Args:
        name: "moons", "eight_gaussians" or "checkerboard".
        noise: n streams; each row depends on its own stream only.

    Raises:
        ValueError: an unknown name, or another number of streams than n.
    """
    found = _toy(name)
    if n != len(noise):
        raise ValueError(f"toy: n is {n} but noise has {len(noise)} streams; give Noise.of(seed, n)")
    x, label = found.sample(noise.fold("toy").fold(name))
    mean, variance = x.new_tensor(found.mean), x.new_tensor(found.variance)
    return ((x - mean) / variance.sqrt()).float(), label


def draw(name: str, n: int, noise: Noise) -> Tensor:
    """n exact, independent samples (n, 2) float32 of zero mean and unit variance per axis; see :func:`draw_labelled`."""
    return draw_labelled(name, n, noise)[0]


@numbers_checked
def toy(name: str, *, train: int = 10_000, heldout: int = 5_000, seed: int = 0) -> DataSet:
    """A toy data set, labelled by moon, Gaussian or cell. It has no validation part, because fresh samples can be drawn.

    The two parts use independent random streams of ``seed``: a larger part begins with the rows of a smaller one, and the
    size of one part does not change the other.

    Raises:
        ValueError: an unknown name, or a part without rows.
    """
    found = _toy(name)
    parts = {}
    for key, n in (("train", train), ("heldout", heldout)):
        if not is_whole(n):
            raise ValueError(f"toy: {key} is {n!r}; give a whole number of at least 1")
        x1, label = draw_labelled(name, n, Noise.of(seed, n).fold(key))
        parts[key] = part(x1, label)
    return DataSet(f"toy.{name}", "points", parts["train"], None, parts["heldout"], found.classes)
