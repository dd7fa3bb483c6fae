"""Drafts that the user brings: a callable ``draft(n, seed)``, an array, a file or a folder of ready drafts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from warmflow.contracts import Source
from warmflow.couplings.prepare import digest
from warmflow.data.arrays import read_arrays
from warmflow.data.images import from_uint8, read_folder, to_images
from warmflow.data.text import Alphabet, drafts_of
from warmflow.drafts.base import Draft, Place
from warmflow.options import options
from warmflow.setup import Setup
from warmflow.sources import External


@options
class Own(Draft):
    """Ready drafts, or your own draft model."""

    name: ClassVar[str] = "own"
    given: ClassVar[bool] = True
    samples: Any
    """A callable draft(n, seed) -> tensor, an array (N, *shape), or the path of a file or folder of drafts."""

    def asked(self) -> dict[str, Any]:
        """Its path, a digest of an array, or the name of a callable, whose samples no run folder can hold."""
        given = self.samples
        if isinstance(given, str | Path):
            return {"class": type(self).__name__, "samples": str(given)}
        if callable(given):
            return {"class": type(self).__name__, "given": getattr(given, "__qualname__", type(given).__qualname__)}
        return {"class": type(self).__name__, "given": digest(torch.as_tensor(given))}

    def fits(self, setup: Setup) -> str:
        return ""

    def fit(self, setup: Setup, place: Place) -> Source:
        return External.of(self.read(setup), setup.shape, setup.data.bounds, setup.vocabulary or None)

    def read(self, setup: Setup) -> Callable[[int, int], Any] | Tensor:
        """The drafts as ``External`` takes them.

        Raises:
            ValueError: a file that is missing or of another kind.
        """
        given, codec = self.samples, setup.data.codec
        if type(given).__module__.split(".")[0] == "diffusers":
            raise ValueError(f"the draft is the pipeline {type(given).__name__}; keep it with save_pretrained(PATH), "
                             "give 'diffusers:PATH'")  # fmt: skip
        if not isinstance(given, str | Path):
            return given  # type: ignore[no-any-return]
        path = path_of(str(given))
        if path.suffix.lower() in (".txt", ".jsonl"):
            if not isinstance(codec, Alphabet):
                raise ValueError(
                    f"the draft '{path}' is a file of texts, but the data are none; give .npy, .npz, or images"
                )
            return drafts_of(path, codec, setup.shape[0])[0]
        return read_drafts(path, setup.shape)


def path_of(draft: str) -> Path:
    """The file or folder of drafts; ValueError where there is none of this name."""
    path = Path(draft).expanduser()
    if path.is_dir() or (path.is_file() and path.suffix.lower() in (".npy", ".npz", ".txt", ".jsonl")):
        return path
    if path.is_file():
        raise ValueError(
            f"the draft {draft!r} is a file of another kind; give drafts as .npy or .npz, a folder of images, or texts (.txt)"
        )
    raise ValueError(
        f"the draft {draft!r} does not exist; give the path of a .npy or .npz file of drafts, or of a folder"
    )


def read_drafts(path: Path, shape: tuple[int, ...]) -> Tensor:
    """Ready drafts (N, *shape) of a file, or of a folder of images, by name, read at the data's own size and colours."""
    if path.is_dir():
        if len(shape) != 3:
            raise ValueError(
                f"the draft {str(path)!r} is a folder of images, but the data have shape {shape}: give a .npy file"
            )
        images, _, failed = read_folder(path, shape[1], "L" if shape[0] == 1 else "RGB")
        if failed:
            name, reason = failed[0]
            raise ValueError(f"the draft {str(path / name)!r} cannot be read ({reason}): mend or remove it")
        if not len(images):
            raise ValueError(f"the draft {str(path)!r} is a folder without images: give a folder of png or jpg files")
        return from_uint8(images)
    x, _ = read_arrays(path)
    if x.dtype == np.uint8 and len(shape) == 3:
        return to_images(x, str(path))
    if x.dtype.kind not in "fiub":
        raise ValueError(f"the draft {str(path)!r} is of {x.dtype}; save an array of numbers, (N, *shape)")
    if len(shape) == 1 and x.dtype.kind in "iu":
        return torch.as_tensor(x.astype(np.int64))  # tokens; on points the check of the drafts' type says so
    return torch.as_tensor(x.astype(np.float32))
