"""Settings of images that are restored from their inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from warmflow.recipes.settings.drafts import RESTORED
from warmflow.recipes.settings.images import Images
from warmflow.recipes.settings.options import alone, divides, option, whole_numbers

SIDES = {"fashion": 28, "digits": 8, "cifar10": 32, "folder": 0}
"""Images that can be degraded, and their sides; of a folder it is asked."""


@dataclass(frozen=True)
class Restoration(Images):
    """Images from their inputs, warm from a regression beside the conditional cold flow."""

    draft: str = option("regression", "the draft: a regression on the input, or the input itself", RESTORED)
    draft_updates: int = option(1000, "updates of the regression")
    pairing: str = option("independent", "every image has its own input", ("independent",))

    def check(self) -> None:
        Images.check(self)
        alone(self, "these are given an input")
        whole_numbers(self, ("draft_updates",))
        if self.sigma == 0:
            raise ValueError(
                "--sigma is 0: a field that sees its draft then returns the conditional mean; give some noise"
            )


@dataclass(frozen=True)
class Degraded(Restoration):
    """Images restored from degraded ones of their own."""

    images: str = option("fashion", "which images", tuple(SIDES))
    most: int = option(0, "the largest number of training images; 0 for all")
    path: str = option("", "the folder of images")
    size: int = option(32, "side of the square images of a folder")
    mode: str = option("RGB", "colour (RGB) or grey (L)", ("RGB", "L"))

    @property
    def side(self) -> int:
        """Pixels a side."""
        return SIDES[self.images] or self.size

    def check(self) -> None:
        Restoration.check(self)
        if self.most < 0 or 0 < self.most < 1000:
            raise ValueError(f"--most is {self.most}; at least 1000 training images, or 0 for all")
        if self.most and self.images not in ("fashion", "cifar10"):
            raise ValueError(f"--most is {self.most}, which is for fashion and cifar10: leave it out")
        if (self.images == "folder") != bool(self.path):
            raise ValueError(
                "--path is missing; --images folder needs the folder of images"
                if self.images == "folder"
                else f"--path is {self.path!r}, but --images is {self.images!r}: say --images folder"
            )
        if self.size < 4:
            raise ValueError(f"--size is {self.size}; images have a side of at least 4")


@dataclass(frozen=True)
class SuperResolution(Degraded):
    """Images from ones of lower resolution."""

    factor: int = option(4, "pixels a side that one stands for")

    def check(self) -> None:
        Degraded.check(self)
        divides(self.factor, self.side)


@dataclass(frozen=True)
class Denoising(Degraded):
    """Images from noisy ones."""

    noise: float = option(0.5, "the noise's standard deviation")

    def check(self) -> None:
        Degraded.check(self)
        if not 0 < self.noise < math.inf:
            raise ValueError(f"--noise is {self.noise}; denoising needs a positive standard deviation")


@dataclass(frozen=True)
class Pairs(Restoration):
    """The user's own pairs: two folders with the same file names, or the arrays of a file."""

    inputs: str = option("", "the folder of inputs")
    targets: str = option("", "the folder of targets, under the same file names")
    path: str = option("", "a .npz file with the arrays inputs and targets, in one order")
    size: int = option(32, "side of the square images of folders")
    mode: str = option("RGB", "colour (RGB) or grey (L)", ("RGB", "L"))

    def check(self) -> None:
        Restoration.check(self)
        folders = (bool(self.inputs), bool(self.targets))
        if self.path and any(folders):
            raise ValueError(f"--path is {self.path!r} beside folders: give a file of pairs, or --inputs and --targets")
        if not self.path and not all(folders):
            missing = "--targets" if self.inputs else "--inputs"
            raise ValueError(f"{missing} is missing; images.pairs needs --inputs and --targets, or --path FILE.npz")
        if self.size < 4:
            raise ValueError(f"--size is {self.size}; images have a side of at least 4")
