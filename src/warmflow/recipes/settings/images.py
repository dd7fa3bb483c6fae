"""Settings of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from warmflow.recipes.settings.floats import Classes
from warmflow.recipes.settings.options import option

NETWORKS = ("unet", "dit", "mlp")
PRESETS = ("tiny", "small", "base")


@dataclass(frozen=True)
class Images(Classes):
    """Images, with a small U-Net where nothing else is asked."""

    network: str = option("unet", "the kind of network", NETWORKS)
    preset: str = option("tiny", "its size: on (3, 32, 32) a U-Net has 0.15, 3.2 or 20 million parameters", PRESETS)
    width: int = option(0, "width of the network (of a U-Net at full size); 0 for the preset's")
    depth: int = option(0, "blocks of the network (of a U-Net at each size); 0 for the preset's")
    channels_last: bool = option(False, "lay a U-Net's weights and images out by pixels", runtime=True)
    rounds: int = option(1, "fresh drafts paired with every datum")
    block: int = option(512, "rows assigned at once")
    passes: int = option(5, "how often the pairs of an assignment are assigned anew in blocks of near ones")
    components: int = option(30, "components of a mixture draft")

    or_zero: ClassVar[tuple[str, ...]] = ("width", "depth")

    def check(self) -> None:
        Classes.check(self)
        if self.network != "mlp" and self.width % 4:
            kind = "U-Net" if self.network == "unet" else "DiT"
            raise ValueError(f"--width is {self.width}; a {kind} takes a multiple of 4")
        if self.channels_last and self.network != "unet":
            raise ValueError(f"--channels-last is for U-Nets, and --network is {self.network!r}: leave it out")


@dataclass(frozen=True)
class Fashion(Images):
    """Fashion-MNIST: 70,000 real images of 28 x 28."""

    most: int = option(0, "the largest number of training images; 0 for all")

    def check(self) -> None:
        Images.check(self)
        if self.most < 0 or 0 < self.most < 1000:
            raise ValueError(f"--most is {self.most}; at least 1000 training images, or 0 for all")


@dataclass(frozen=True)
class Cifar10(Fashion):
    """CIFAR-10: 60,000 real photographs of 32 x 32."""


@dataclass(frozen=True)
class Emoji(Images):
    """Emoji: 3,786 pictures, of 64 x 64 where they are not made smaller."""

    size: int = option(32, "side of the square images")


@dataclass(frozen=True)
class OwnImages(Images):
    """The user's own images, of any number."""

    rounds: int = option(0, "fresh drafts paired with every datum; 0: as many as make 50,000 pairs, 1 to 8")

    or_zero: ClassVar[tuple[str, ...]] = ("width", "depth", "rounds")


@dataclass(frozen=True)
class Folder(OwnImages):
    """A folder of images, resized and centre-cropped; its subfolders are classes."""

    path: str = option("", "the folder of images")
    size: int = option(16, "side of the square images")
    mode: str = option("RGB", "colour (RGB) or grey (L)", ("RGB", "L"))

    def check(self) -> None:
        OwnImages.check(self)
        if not self.path:
            raise ValueError("--path is missing; images.folder needs the folder of images")
        if self.size < 4:
            raise ValueError(f"--size is {self.size}; images have a side of at least 4")
