"""Data sets whose distribution can be drawn from without end, one a kind of data, with ways to spoil samples of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from warmflow.data import DataSet, part
from warmflow.data.grid import Grid
from warmflow.data.paired import INPUT
from warmflow.data.text import Alphabet
from warmflow.noise import Noise
from warmflow.sources import NGram

TRAIN, VALIDATION, TEST = 900, 400, 700
LENGTH = 32
LETTERS = Alphabet((" ", *"abcdefghijklmnopqrstuvwxyz"))

Draw = Callable[[int, int], tuple[Tensor, Tensor]]
"""(n, seed) -> samples (n, *S) with the class of each."""


@dataclass(frozen=True, eq=False)
class Planted:
    """Draws from the truth, a data set of it, a way to spoil samples and a way to blur copies (None: copies are exact)."""

    draw: Draw
    data: DataSet
    spoil: Callable[[Tensor], Tensor]
    blur: float | None = None

    def samples(self, n: int, seed: int) -> Tensor:
        return self.draw(n, 1_000 + seed)[0]

    def without(self, lost: tuple[int, ...], n: int, seed: int) -> Tensor:
        """Samples of the truth that are of none of these classes."""
        x, label = self.draw(3 * n, 1_000 + seed)
        return x[~torch.isin(label, torch.tensor(lost))][:n]

    def copying(self, n: int, seed: int, share: float = 0.2) -> Tensor:
        """Samples of the truth, of which a share are rows of the training set, barely blurred."""
        x, rng, k = self.samples(n, seed), np.random.default_rng(seed), int(share * n)
        chosen = self.data.train.x1[torch.from_numpy(rng.integers(len(self.data.train), size=k))]
        if self.blur is not None:
            chosen = chosen + self.blur * torch.from_numpy(rng.standard_normal(chosen.shape)).float()
        bounds = self.data.bounds
        x = torch.cat([chosen, x[k:]])[torch.from_numpy(rng.permutation(n))]
        return x if bounds is None else x.clamp(*bounds)


def _data(draw: Draw, kind: str, labels: bool, **more: object) -> DataSet:
    parts = [draw(n, seed) for seed, n in enumerate((TRAIN, VALIDATION, TEST))]
    train, validation, heldout = (part(x, y if labels else None) for x, y in parts)
    classes = tuple(f"class {c}" for c in range(8)) if labels else ()
    return DataSet(f"planted {kind}", kind, train, validation, heldout, classes, **more)  # type: ignore[arg-type]


def ring(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Eight Gaussians of standard deviation 0.2 on a circle of radius 2, the last twice as probable as the first."""
    rng = np.random.default_rng(seed)
    angle, p = np.arange(8) * np.pi / 4, np.linspace(1, 2, 8)
    mode = rng.choice(8, size=n, p=p / p.sum())
    centre = 2 * np.stack([np.cos(angle), np.sin(angle)], 1)[mode]
    return torch.from_numpy(centre + 0.2 * rng.standard_normal((n, 2))).float(), torch.from_numpy(mode)


@cache
def _prototypes() -> tuple[Tensor, Tensor]:
    """A smooth image of each of eight classes, and twelve smooth images that they vary by."""
    rng = np.random.default_rng(5)
    raw = torch.from_numpy(rng.standard_normal((20, 1, 10, 10))).float()
    smooth = torch.nn.functional.avg_pool2d(raw, 3, stride=1)
    return smooth[:8], smooth[8:]


def pictures(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images (n, 1, 8, 8): the class's own plus a random combination of twelve, and fine noise of 0.05."""
    rng = np.random.default_rng(seed)
    own, basis = _prototypes()
    label = torch.from_numpy(rng.integers(8, size=n))
    z = torch.from_numpy(rng.standard_normal((n, 12))).float()
    x = 1.2 * own[label] + 0.3 * torch.einsum("nk,kcij->ncij", z, basis)
    x = x + 0.05 * torch.from_numpy(rng.standard_normal(x.shape)).float()
    return x.clamp(-1, 1), label


def smoothed(x: Tensor) -> Tensor:
    """A third of each pixel replaced by the mean of its neighbourhood, as too few steps of a flow do."""
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1), mode="replicate")
    return (2 * x + torch.nn.functional.avg_pool2d(padded, 3, stride=1)) / 3


@cache
def points() -> Planted:
    return Planted(ring, _data(ring, "points", False), lambda x: 0.85 * x, 0.002)


@cache
def labelled() -> Planted:
    return Planted(pictures, _data(pictures, "images", True), smoothed, 0.002)


@cache
def unlabelled() -> Planted:
    return Planted(pictures, _data(pictures, "images", False), smoothed, 0.002)


@cache
def gridded() -> Planted:
    codec = Grid(64)

    def draw(n: int, seed: int) -> tuple[Tensor, Tensor]:
        x, mode = ring(n, seed)
        return codec.encode(x), mode

    return Planted(draw, _data(draw, "tokens", False, codec=codec), lambda x: (0.85 * (x - 32.0) + 32).round().long())


@cache
def truth_of_text() -> NGram:
    import re
    from pydoc_data.topics import topics

    prose = re.sub("[^a-z]+", " ", " ".join(str(topics[name]) for name in sorted(topics)).lower())
    return NGram.fit(LETTERS.encode(prose), vocabulary=27, order=5, length=LENGTH)


def letters(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Windows of a 5-gram model of the prose that Python brings with it; one class."""
    return truth_of_text().draw(n, noise=Noise.of(seed, n)).x0, torch.zeros(n, dtype=torch.int64)


@cache
def texts() -> Planted:
    data = _data(letters, "tokens", False, codec=LETTERS)
    streams = {"train": data.train.x1.reshape(-1), "judge": letters(900, 99)[0].reshape(-1)}

    def spoil(x: Tensor) -> Tensor:
        """A tenth of the letters drawn anew, all alike."""
        rng = np.random.default_rng(len(x))
        other = torch.from_numpy(rng.integers(27, size=x.shape))
        return torch.where(torch.from_numpy(rng.random(x.shape)) < 0.1, other, x)

    return Planted(letters, replace(data, streams=streams), spoil)


KINDS: dict[str, Callable[[], Planted]] = {
    "points": points, "labelled": labelled, "unlabelled": unlabelled, "gridded": gridded, "texts": texts
}  # fmt: skip


def restorations() -> DataSet:
    """Images of the planted kind as answers to themselves with noise of standard deviation 0.5."""
    data = labelled().data

    def asked(p, seed):  # type: ignore[no-untyped-def]
        noise = torch.from_numpy(np.random.default_rng(seed).standard_normal(p.x1.shape)).float()
        return replace(p, condition={**p.condition, INPUT: p.x1 + 0.5 * noise})

    assert data.validation is not None
    return replace(
        data, train=asked(data.train, 11), validation=asked(data.validation, 12), heldout=asked(data.heldout, 13)
    )
