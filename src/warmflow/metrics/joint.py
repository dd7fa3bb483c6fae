"""Features of joint rows (input, output), for metrics on pairs or on the outputs alone.

A row is the numbers of an input followed by those of an output. ``Pairs`` uses both halves, scaled to equal weight
(``conditional.joint_features``); ``Outputs``, ``OutputLabels`` and ``OutputCopies`` use the output only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.metrics.conditional import joint_features
from warmflow.metrics.copying import CopyingReference
from warmflow.metrics.resampled import Extractor, features_of
from warmflow.metrics.variation import Labeller


@dataclass(frozen=True)
class Halves:
    """The shapes of input and output in a joint row: the input's numbers, then the output's."""

    input: tuple[int, ...]
    output: tuple[int, ...]

    def joined(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Joint rows (n, d' + d) of inputs (n, *S') and outputs (n, *S)."""
        return torch.cat([inputs.reshape(len(inputs), -1), outputs.reshape(len(outputs), -1).to(inputs.dtype)], 1)

    def divided(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (n, *S') and outputs (n, *S) of joint rows."""
        cut = int(torch.Size(self.input).numel())
        return x[:, :cut].reshape(-1, *self.input), x[:, cut:].reshape(-1, *self.output)


@dataclass(frozen=True)
class Pairs:
    """Features of both halves of joint rows, each divided by its median distance on the training set."""

    halves: Halves
    scales: tuple[float, float]

    def features(self, x: Tensor) -> Tensor:
        return joint_features(*self.halves.divided(x), *self.scales)


@dataclass(frozen=True)
class Outputs:
    """The outputs of joint rows, flattened or through an extractor."""

    halves: Halves
    extractor: Extractor | None = None

    def features(self, x: Tensor) -> Tensor:
        outputs = self.halves.divided(x)[1]
        return outputs.reshape(len(x), -1).double() if self.extractor is None else features_of(self.extractor, outputs)


@dataclass(frozen=True)
class OutputLabels:
    """The classes of the outputs of joint rows."""

    halves: Halves
    labeller: Labeller

    @property
    def classes(self) -> int:
        return self.labeller.classes

    def labels(self, x: Tensor) -> Tensor:
        return self.labeller.labels(self.halves.divided(x)[1])


@dataclass(frozen=True, eq=False)
class OutputCopies:
    """Copying of the outputs of joint rows."""

    halves: Halves
    reference: CopyingReference

    @property
    def quantiles(self) -> tuple[float, ...]:
        return self.reference.quantiles

    def shares(self, x: Tensor) -> Tensor:
        return self.reference.shares(self.halves.divided(x)[1])
