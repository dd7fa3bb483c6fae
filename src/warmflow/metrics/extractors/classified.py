"""A small classifier trained on the data itself, as a named extractor for data unlike photographs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from warmflow.metrics.extractors.base import NamedExtractor, weights_digest
from warmflow.metrics.features import Classifier


@dataclass(frozen=True, eq=False)
class Classified(NamedExtractor):
    """The last hidden layer of a ``classifier`` trained on the data set named ``data``; samples must have its shape."""

    classifier: Classifier
    data: str

    def __post_init__(self) -> None:
        if not self.data.strip():
            raise ValueError("data is empty; give the name of the data set that the classifier was trained on")

    @property
    def name(self) -> str:
        return f"small classifier of {self.data} on {self.classifier.sizes[0]} numbers"

    @cached_property
    def digest(self) -> str:
        return weights_digest(self.classifier.state()[1])

    def features(self, x: Tensor) -> Tensor:
        return self.classifier.features(x)
