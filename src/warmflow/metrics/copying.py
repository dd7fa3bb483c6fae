"""Copying: is a sample closer to one training point than anything new would be?

    r(x) = |x - first| / |x - second|,   first and second the nearest two *distinct* training points         points, images
    r(x) = 1 - share of the k-grams of x that stand in the training text                                      windows of text

A sample that lies anywhere between training points has r near 1; a copy has r = 0 and a blurred copy r < 1/2. The scale
of the data cancels. How small r is for *new real* points depends on the data (in d dimensions r^d is about uniform, so
in the plane a quarter of all real points lie below 1/2): read it only against real points held out of training.

A text is copied letter by letter, from anywhere in the training text. So its r looks for runs of k = min(24, L / 2) tokens,
wherever they start: 0 for a window cut out of the training text, 1 for one that has no such run, 1/2 where every second run
is copied. 24 characters are four or five words of English, which new text rarely has from the old one; where windows are
shorter than that, real windows share their runs too, and r says little. One token changed spoils k runs: copies of
which a twentieth of the tokens was changed have r near 0.7 and pass.

References:
    Extracting training data from diffusion models, Carlini et al., 2023, arXiv 2301.13188 (near-duplicates by a
    distance relative to the other neighbours)
    On memorization in diffusion models, Gu et al., 2023, arXiv 2310.02664 (the ratio of the nearest two)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from warmflow.metrics.distances import flatten, nearest_two
from warmflow.metrics.kgrams import among, gram_hashes, stream_hashes

NEAR = 0.5
RUN = 24


@dataclass(frozen=True)
class Copying:
    """The mean of r and the share of samples with r below 1/2, both pure numbers in [0, 1]."""

    mean: float
    share: float


def distinct(train: Tensor) -> Tensor:
    """The first of each group of equal rows of ``train`` (k, *S), flattened (k', d): a duplicated point must not be
    its own second-nearest."""
    rows = flatten(train)
    first: dict[bytes, int] = {}
    for i, row in enumerate((rows + 0.0).numpy()):  # -0.0 becomes 0.0, so that equal rows have equal bytes
        first.setdefault(row.tobytes(), i)
    return rows if len(first) == len(rows) else rows[torch.tensor(sorted(first.values()))]


def copying_ratio(x: Tensor, train: Tensor) -> Tensor:
    """r (n,) float64 for x (n, *S) against distinct training points (k, *S), k at least 2; 0 for an exact copy."""
    near = nearest_two(flatten(x), flatten(train))
    return torch.where(near[:, 0] == 0, 0.0, near[:, 0] / near[:, 1])


def copying(x: Tensor, train: Tensor) -> Copying:
    """Mean and share below 1/2 of r for samples x (n, *S) against the training set (k, *S)."""
    ratio = copying_ratio(x, distinct(train))
    return Copying(mean=float(ratio.mean()), share=float((ratio < NEAR).double().mean()))


@dataclass(frozen=True, eq=False)
class CopiedRuns:
    """r of windows of text, called with x (n, L): (n,) float64 in [0, 1]. ``hashes`` are the distinct hashes of the training
    text's k-grams, sorted: 8 bytes a token of it. Build with ``of``."""

    hashes: np.ndarray
    k: int

    @staticmethod
    def of(text: Tensor, length: int, k: int | None = None) -> CopiedRuns:
        """For windows of ``length`` tokens and the training text (T,); k defaults to min(24, length / 2)."""
        k = max(1, min(RUN, length // 2)) if k is None else k
        if not 1 <= k <= length:
            raise ValueError(f"k is {k}; in windows of {length} tokens it must lie in 1 .. {length}")
        return CopiedRuns(stream_hashes(text, k), k)

    def __call__(self, x: Tensor) -> Tensor:
        found = among(gram_hashes(x.detach().cpu(), self.k).numpy(), self.hashes)
        return 1 - torch.from_numpy(found).double().mean(1)
