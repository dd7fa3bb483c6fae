"""Published sets of images: Fashion-MNIST, CIFAR-10, emoji."""

from __future__ import annotations

from typing import ClassVar

from warmflow.data import DataSet
from warmflow.data.cifar10 import cifar10
from warmflow.data.emoji import emoji
from warmflow.data.idx import fashion
from warmflow.options import Count, Whole, options
from warmflow.problems.base import ImageProblem

LEAST = 1_000


@options
class Large(ImageProblem):
    """A set of which a part may be taken."""

    most: Whole = 0
    """The largest number of training images; 0 for all."""

    def __post_init__(self) -> None:
        if 0 < self.most < LEAST:
            raise ValueError(f"most is {self.most}; at least {LEAST} training images, or 0 for all")


@options
class FashionMNIST(Large):
    """70,000 grey images of 28 x 28."""

    name: ClassVar[str] = "fashion-mnist"

    def load(self) -> DataSet:
        return fashion(self.data_seed, most=self.most)


@options
class CIFAR10(Large):
    """60,000 photographs of 32 x 32 pixels."""

    name: ClassVar[str] = "cifar10"

    def load(self) -> DataSet:
        return cifar10(self.data_seed, most=self.most)


@options
class Emoji(ImageProblem):
    """3,786 pictures, of 64 x 64 where they are not made smaller."""

    name: ClassVar[str] = "emoji"
    size: Count = 32
    """Side of the square images."""

    def load(self) -> DataSet:
        return emoji(self.data_seed, size=self.size)
