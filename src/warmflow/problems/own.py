"""The user's own data: a folder of images, arrays of points or images, a data set of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from warmflow.data import DataSet, load, named
from warmflow.data.image_files import folder
from warmflow.options import options, plain
from warmflow.problems.base import LEAST_SIDE, SMALL, ImageProblem, Problem, Side, own_values
from warmflow.setup import Build, Training, float_network


@options
class Folder(ImageProblem):
    """A folder of images; its subfolders are classes, or splits (train/, val/, test/)."""

    name: ClassVar[str] = "folder"
    path: str = ""
    """The folder of images."""
    size: Side = 0
    """Side of the square images; by default the images' own size, up to 64 pixels."""
    mode: Literal["", "RGB", "L"] = ""
    """Colour (RGB) or grey (L); by default the images' own."""

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("path is missing; folder needs the folder of images: folder:PATH")

    def load(self) -> DataSet:
        return folder(self.path, self.size, mode=self.mode, seed=self.data_seed)

    def values(self, data: DataSet) -> Mapping[str, object]:
        return own_values(data)

    @property
    def described(self) -> str:
        return f"folder:{self.path}"


@options
class Arrays(Problem):
    """Your own arrays of points (N, d) or images (N, C, H, W), a file of them, a data set of the hub (hf:NAME), or a DataSet."""

    name: ClassVar[str] = "arrays"
    marks: ClassVar[frozenset[str]] = frozenset({"labels", "unet"})  # points or images
    data: object = None
    """A tensor or array, the path of a .npy or .npz file, hf:NAME, or a DataSet."""

    def load(self) -> DataSet:
        return load(self.data)

    def asked(self) -> dict[str, object]:
        kept, data = {k: v for k, v in plain(self).items() if k != "data"}, named(self.data)
        return {"name": self.name, **kept, **({} if data is None else {"data": data})}

    @property
    def described(self) -> str:
        return named(self.data) or self.name

    def values(self, data: DataSet) -> Mapping[str, object]:
        return own_values(data) if _pictures(data) else SMALL

    def build(self, training: Training, data: DataSet) -> Build:
        return float_network(training, data.shape, "unet" if _pictures(data) else "mlp")


def _pictures(data: DataSet) -> bool:
    """Whether these are images that are large enough for a U-Net."""
    return data.kind == "images" and min(data.shape[1:]) >= LEAST_SIDE
