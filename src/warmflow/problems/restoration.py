"""Samples that answer an input: super-resolution, denoising, and pairs of images of the user's own.

Every sample has an input of its own, so nothing is assigned: pairs keep both distributions as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from warmflow.data import DataSet
from warmflow.data.cifar10 import cifar10
from warmflow.data.idx import fashion
from warmflow.data.image_files import folder
from warmflow.data.images import digits
from warmflow.data.paired import denoising, paired_folders, pairs, read_pairs, super_resolution
from warmflow.options import Count, Positive, Whole, options
from warmflow.problems.base import IMAGES, ImageProblem, Side


@options
class Restoration(ImageProblem):
    """Images from inputs."""

    draft: ClassVar[str] = "regression"
    marks: ClassVar[frozenset[str]] = frozenset()

    def values(self, data: DataSet) -> Mapping[str, object]:
        return {**IMAGES, "pairing": "independent"}


@options
class Degraded(Restoration):
    """Images restored from degraded ones of their own."""

    images: Literal["fashion-mnist", "digits", "cifar10", "folder"] = "fashion-mnist"
    """Which images."""
    most: Whole = 0
    """The largest number of training images of fashion-mnist and cifar10; 0 for all."""
    path: str = ""
    """The folder of images."""
    size: Side = 0
    """Side of the square images of a folder; by default the images' own size, up to 64 pixels."""
    mode: Literal["", "RGB", "L"] = ""
    """Colour (RGB) or grey (L); by default the images' own."""

    def __post_init__(self) -> None:
        if 0 < self.most < 1000:
            raise ValueError(f"most is {self.most}; at least 1000 training images, or 0 for all")
        if self.most and self.images not in ("fashion-mnist", "cifar10"):
            raise ValueError(f"most is {self.most}, which is for fashion-mnist and cifar10: leave it out")
        if self.images == "folder" and not self.path:
            raise ValueError("path is missing; images 'folder' needs the folder of images")
        if self.images != "folder" and self.path:
            raise ValueError(f"path is {self.path!r}, but images is {self.images!r}: set images to 'folder'")

    def sharp(self) -> DataSet:
        """The images before they are degraded."""
        if self.images == "digits":
            return digits(self.data_seed)
        if self.images == "folder":
            return folder(self.path, self.size, mode=self.mode, seed=self.data_seed)
        return (cifar10 if self.images == "cifar10" else fashion)(self.data_seed, most=self.most)


@options
class SuperResolution(Degraded):
    """Images from ones of lower resolution."""

    name: ClassVar[str] = "super-resolution"
    factor: Annotated[Count, Field(ge=2)] = 4
    """Pixels a side that one stands for."""

    def load(self) -> DataSet:
        sharp = self.sharp()
        odd = next((side for side in sharp.shape[1:] if side % self.factor), None)
        if odd is not None:
            raise ValueError(f"factor is {self.factor}; it must divide the side of {odd} pixels")
        return super_resolution(sharp, self.factor)


@options
class Denoising(Degraded):
    """Images from noisy ones."""

    name: ClassVar[str] = "denoising"
    noise: Positive = 0.5
    """Standard deviation of the noise."""

    def load(self) -> DataSet:
        return denoising(self.sharp(), self.noise, self.data_seed)


@options
class ImagePairs(Restoration):
    """Your own pairs: two folders with the same file names, or the arrays of a file."""

    name: ClassVar[str] = "pairs"
    inputs: str = ""
    """The folder of inputs."""
    targets: str = ""
    """The folder of targets, under the same file names."""
    path: str = ""
    """A .npz file with the arrays inputs and targets, in one order."""
    size: Side = 0
    """Side of the square images of folders; by default the images' own size, up to 64 pixels."""
    mode: Literal["", "RGB", "L"] = ""
    """Colour (RGB) or grey (L); by default the images' own."""

    def __post_init__(self) -> None:
        if self.path and (self.inputs or self.targets):
            raise ValueError(f"path is {self.path!r} beside folders: give a file of pairs, or inputs and targets")
        if not self.path and not (self.inputs and self.targets):
            missing = "targets" if self.inputs else "inputs"
            raise ValueError(f"{missing} is missing; pairs needs inputs and targets, or path FILE.npz")

    def load(self) -> DataSet:
        if self.path:
            return pairs(*read_pairs(self.path), name=self.path, seed=self.data_seed)
        return paired_folders(self.inputs, self.targets, self.size, mode=self.mode, seed=self.data_seed)
