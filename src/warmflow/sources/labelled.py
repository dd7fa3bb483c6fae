"""Adds labels to a source whose distribution, or whose field, depends on them; labels are drawn when none are given."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import Condition, Source, Start, Wrapper
from warmflow.noise import Noise


def shares_of(labels: Tensor) -> Tensor:
    """The class frequencies (K,) float64 of labels (n,) in 0 .. K - 1."""
    counts = torch.bincount(labels.cpu()).double()
    return counts / counts.sum()


def labels_by(shares: Tensor, noise: Noise) -> Tensor:
    """Labels (n,) int64 drawn with probabilities ``shares`` (K,), each from the noise stream of its own sample."""
    places = torch.bucketize(noise.uniform("label").double(), shares.cumsum(0), right=True)
    return places.clamp(max=len(shares) - 1)


@dataclass(frozen=True, eq=False)
class Labelled(Wrapper):
    """The inner source's starts with ``condition["label"]`` (n,) int64: given, or drawn with probabilities ``shares`` (K,).

    Raises:
        ValueError: a given label outside 0 .. K - 1.
    """

    source: Source
    shares: Tensor

    @staticmethod
    def of(source: Source, labels: Tensor) -> Labelled:
        """A source whose shares are the class frequencies of labels (n,)."""
        return Labelled(source, shares_of(labels))

    @property
    def label_shares(self) -> Tensor:
        return self.shares

    @property
    def takes(self) -> frozenset[str]:
        return self.source.takes | {"label"}

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        given = dict(condition or {})
        if "label" not in given:
            given["label"] = labels_by(self.shares, noise)
        label = given["label"]
        if len(label) and not 0 <= int(label.min()) <= int(label.max()) < len(self.shares):
            bad = int(label.min()) if int(label.min()) < 0 else int(label.max())
            raise ValueError(f"label is {bad}; the labels here are 0 .. {len(self.shares) - 1}")
        inner = {k: v for k, v in given.items() if k != "label" or "label" in self.source.takes}
        start = self.source.draw(n, inner, noise=noise)
        return Start(start.x0, {**given, **start.condition}, start.fixed, start.t, start.calls)
