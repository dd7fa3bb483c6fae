"""A source per label: each class has its own draft model.

label ~ shares, if none is given;        x0 | label = k  ~  source k
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise
from warmflow.sources.labelled import labels_by, shares_of


@dataclass(frozen=True, eq=False)
class ByLabel(Source):
    """Draws starts of label k from ``sources[k]``; ``condition["label"]`` is (n,) int64.

    Args:
        sources: one source for each label 0 .. K - 1; none of them may take labels.
        shares: (K,) probabilities from which labels are drawn when none are given.

    Raises:
        ValueError: the numbers of sources and shares differ, the sources have different shapes, or a given label is outside
            0 .. K - 1.
    """

    sources: tuple[Source, ...]
    shares: Tensor

    def __post_init__(self) -> None:
        shapes = sorted({tuple(source.shape) for source in self.sources})
        if len(shapes) != 1 or len(self.sources) != len(self.shares):
            raise ValueError(
                f"{len(self.sources)} sources of the shapes {shapes} for {len(self.shares)} shares; give one source per label, "
                "all of the same shape"
            )

    @staticmethod
    def of(sources: Sequence[Source], labels: Tensor) -> ByLabel:
        """A source whose shares are the class frequencies of labels (n,)."""
        return ByLabel(tuple(sources), shares_of(labels))

    @property
    def label_shares(self) -> Tensor:
        return self.shares

    @property
    def takes(self) -> frozenset[str]:
        return frozenset({"label"})

    @property
    def shape(self) -> tuple[int, ...]:
        return self.sources[0].shape

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        given = dict(condition or {})
        if "label" not in given:
            given["label"] = labels_by(self.shares, noise)
        label, known = given["label"], len(self.sources)
        if n and not 0 <= int(label.min()) <= int(label.max()) < known:
            raise ValueError(f"labels are {int(label.min())} .. {int(label.max())}; this source knows 0 .. {known - 1}")
        x0 = torch.empty(n, *self.shape, device=label.device)
        for value in label.unique().tolist():
            rows = (label == value).nonzero()[:, 0]
            start = self.sources[value].draw(len(rows), noise=noise[rows.to(noise.key.device)])
            x0[rows] = start.x0.to(label.device)
        return Start(x0, given)
