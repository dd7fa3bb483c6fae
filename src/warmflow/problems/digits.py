"""scikit-learn's digits: 1,797 real images of 8 x 8; 997 train, 300 validate, 500 are held out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from warmflow.data import DataSet
from warmflow.data.images import digits
from warmflow.options import options
from warmflow.problems.base import Problem


@options
class Digits(Problem):
    """8 x 8 digits."""

    name: ClassVar[str] = "digits"
    marks: ClassVar[frozenset[str]] = frozenset({"labels"})
    training: ClassVar[Mapping[str, object]] = {"width": 256, "depth": 3}

    def load(self) -> DataSet:
        return digits(self.data_seed)
