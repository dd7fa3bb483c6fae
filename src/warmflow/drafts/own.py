"""User-provided drafts: a callable ``draft(n, seed)``, an array, or a file or folder of ready drafts."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from warmflow.contracts import Batch, Source, Start
from warmflow.data import DataSet
from warmflow.data.arrays import read_arrays
from warmflow.data.forms import path_in
from warmflow.data.image_files import names_of, read_folder
from warmflow.data.images import from_uint8, to_images
from warmflow.data.text import Alphabet, drafts_of
from warmflow.drafts.base import Draft, Place
from warmflow.files import fingerprint
from warmflow.noise import Noise, permutation
from warmflow.options import changed, options
from warmflow.setup import Setup
from warmflow.sources import External
from warmflow.sources.external import called

LEAST_PAIRS = 200


@options
class Own(Draft):
    """Ready drafts, or your own draft model."""

    name: ClassVar[str] = "own"
    given: ClassVar[bool] = True
    samples: object
    """A callable draft(n, seed) -> tensor, an array (N, *shape), or the path of a file or folder of drafts."""
    aligned: bool = False
    """Whether there is one draft for each sample of the data, in the same order (for texts: each with its refined text)."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Own) or (callable(self.samples) and self.samples is not other.samples):
            return False
        return self.asked() == other.asked()

    @property
    def _named(self) -> str | None:
        """The path as the user gave it; None for drafts in memory."""
        return str(self.samples) if isinstance(self.samples, str | Path) else None

    @property
    def _path(self) -> Path | None:
        """The file or folder of drafts; None for drafts in memory."""
        return None if self._named is None else path_of(path_in(self._named))

    def asked(self) -> dict[str, object]:
        if self._named is not None:
            told = self._named
        elif callable(self.samples):
            told = self._callable
        else:
            told = f"array {fingerprint(torch.as_tensor(self.samples))}"
        return {"class": "Own", "samples": told, "aligned": self.aligned}

    @cached_property
    def _callable(self) -> str:
        """The name of a callable with a fingerprint of its first drafts, because two functions may have the same name. The
        fingerprint is left out if the drafts differ under one seed, or if the call fails (``fit`` then says why).
        """
        assert callable(self.samples)
        name = f"callable {getattr(self.samples, '__qualname__', type(self.samples).__name__)}"
        try:
            once, again = (fingerprint(torch.as_tensor(called(self.samples, 2, 0)).double()) for _ in range(2))
        except Exception:  # whatever a user's function raises
            return name
        return f"{name} {once}" if once == again else name

    def digest(self) -> str:
        path, found = self._path, hashlib.sha256()
        if path is None:
            return ""
        for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
            found.update(os.fsencode(file.relative_to(path)))
            found.update(file.read_bytes())
        return found.hexdigest()[:16]

    def aligned_with_data(self) -> Draft:
        return changed(self, {"aligned": True})

    def fits(self, setup: Setup) -> str:
        try:
            self.fit(setup, Place())
        except ValueError as error:
            return str(error)
        return ""

    def fit(self, setup: Setup, place: Place) -> Source:
        if self.aligned:
            return self._given(setup)[1]
        return External.of(self.read(setup), setup.shape, setup.data.bounds, setup.vocabulary or None)

    def given_pairs(self, setup: Setup) -> Batch | None:
        return self._given(setup)[0] if self.aligned else None

    def warning(self, setup: Setup) -> str:
        """A warning if the drafts seem to be images in [0, 1]."""
        if setup.data.bounds is None or float(setup.data.train.x1.min()) > -0.5:
            return ""
        few = self.fit(setup, Place()).draw(16, noise=Noise.of(0, 16)).x0
        if float(few.min()) < 0:
            return ""
        return (
            "the drafts have no values below 0, but the data are in [-1, 1]: if the drafts are in [0, 1], give 2 x - 1"
        )

    def _given(self, setup: Setup) -> tuple[Batch, Source]:
        """The given pairs, and a source of the drafts that are in no pair, which is used for sampling."""
        if setup.data.alphabet is not None:
            return self._given_texts(setup, setup.data.alphabet)
        data, path = setup.data, self._path
        if path is not None and path.is_dir() and setup.asked.get("name") == "folder":
            _named_alike(Path(str(setup.asked["path"])), path, data)
        drafts, n = self.read(setup), data.numbered or data.total
        array = External.of(drafts, setup.shape, data.bounds, setup.vocabulary or None).array
        if array is None or len(array) != n or not data.rows:
            count = "a callable" if array is None else f"{len(array)} drafts"
            raise ValueError(
                f"pairing is 'given', which needs one draft for each of the {n} samples of an array or folder, in the same "
                f"order; got {count}"
            )
        others = torch.cat([data.rows[k] for k in ("validation", "heldout") if k in data.rows])
        fresh = External(array[others], setup.shape)
        return replace(data.train, start=Start(array[data.rows["train"]], {})), fresh

    def _given_texts(self, setup: Setup, codec: Alphabet) -> tuple[Batch, Source]:
        """Pairs of drafts and refined texts for training, and a source of the drafts of a random fifth held out."""
        path = path_of(path_in(str(self.samples)))
        drafts, refined = drafts_of(path, codec, setup.shape[0])
        if refined is None:
            raise ValueError(
                f'pairing is \'given\', but {path} holds drafts only: give lines {{"draft": ..., "refined": ...}}'
            )
        if len(drafts) < LEAST_PAIRS:
            raise ValueError(f"{path} holds {len(drafts)} pairs, which are too few: give at least {LEAST_PAIRS}")
        order = permutation(setup.data_seed, len(drafts), "given")
        rows, rest = order[: len(order) * 4 // 5], order[len(order) * 4 // 5 :]
        fresh = External.of(drafts[rest], setup.shape, None, len(codec))
        return Batch(refined[rows], {}, rows, Start(drafts[rows])), fresh

    def read(self, setup: Setup) -> object:
        """The drafts in a form that ``External`` accepts.

        Raises:
            ValueError: a file that is missing or of another kind.
        """
        given, alphabet = self.samples, setup.data.alphabet
        if type(given).__module__.split(".")[0] == "diffusers":
            raise ValueError(f"the draft is the pipeline {type(given).__name__}; save it with save_pretrained(PATH), "
                             "give 'diffusers:PATH'")  # fmt: skip
        path = self._path
        if path is None:
            return given
        if path.suffix.lower() in (".txt", ".jsonl"):
            if alphabet is None:
                raise ValueError(
                    f"the draft '{path}' is a file of texts, but the data are not texts; give .npy, .npz, or images"
                )
            return drafts_of(path, alphabet, setup.shape[0])[0]
        return read_drafts(path, setup.shape)


def path_of(draft: str) -> Path:
    """The file or folder of drafts; ValueError if there is none, or if it is of an unsupported kind."""
    path = Path(draft).expanduser()
    if path.is_dir() or (path.is_file() and path.suffix.lower() in (".npy", ".npz", ".safetensors", ".txt", ".jsonl")):
        return path
    if path.is_file():
        raise ValueError(
            f"the draft {draft!r} is of an unsupported kind; give drafts as .npy or .npz, a folder of images, or texts (.txt)"
        )
    raise ValueError(
        f"the draft {draft!r} does not exist; give the path of a .npy or .npz file of drafts, or of a folder"
    )


def read_drafts(path: Path, shape: tuple[int, ...]) -> Tensor:
    """Drafts (N, *shape) from a file, or from a folder of images, sorted by name and converted to the size and mode of the data.
    The last ones stay in memory, because every method and training seed asks for them.

    Raises:
        ValueError: unreadable images, a folder without images, or an array that is not numeric.
    """
    stats = [file.stat() for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return _read_drafts(path, shape, tuple((s.st_size, s.st_mtime_ns) for s in stats))


@lru_cache(maxsize=1)
def _read_drafts(path: Path, shape: tuple[int, ...], stamps: tuple[tuple[int, int], ...]) -> Tensor:
    """The drafts of a path whose files have these sizes and times of change."""
    if path.is_dir():
        if len(shape) != 3:
            raise ValueError(
                f"the draft {str(path)!r} is a folder of images, but the data have shape {shape}: give a .npy file"
            )
        images, _, failed = read_folder(path, (shape[1], shape[2]), "L" if shape[0] == 1 else "RGB")
        if failed:
            name, reason = failed[0]
            raise ValueError(f"the draft {str(path / name)!r} cannot be read ({reason}): repair it or leave it out")
        if not len(images):
            raise ValueError(f"the draft {str(path)!r} is a folder without images: give a folder of png or jpg files")
        return from_uint8(images)
    x = read_arrays(path)
    if x.dtype == np.uint8 and len(shape) == 3:
        return to_images(x, str(path))
    if x.dtype.kind not in "fiub":
        raise ValueError(f"the draft {str(path)!r} is of {x.dtype}; save an array of numbers, (N, *shape)")
    if len(shape) == 1 and x.dtype.kind in "iu":
        return torch.as_tensor(x.astype(np.int64))  # tokens; for points the check of the drafts' dtype raises an error
    return torch.as_tensor(x.astype(np.float32))


def _named_alike(images: Path, drafts: Path, data: DataSet) -> None:
    """Raises ValueError unless the files of drafts have the same names as the images of the data, without suffixes."""
    unread = [one["file"] for one in data.unreadable]
    theirs, ours = (
        [str(Path(name).with_suffix("")) for name in names]
        for names in (names_of(images.expanduser(), unread), names_of(drafts))
    )
    if theirs != ours:
        odd = next((name for name in sorted(set(theirs) ^ set(ours))), "the same name twice")
        raise ValueError(
            f"pairing is 'given', but the files of {drafts} are not named like the images of {images} (first: {odd}): give "
            "one draft with the same name and subfolder for every readable image"
        )
