"""IDX files, the format of the MNIST family, and Fashion-MNIST from local files or the Hugging Face hub.

An IDX file is a header of big-endian numbers (two zero bytes, a type, the number of axes, the length of each axis), followed by
the array. Gzipped files are supported.

Fashion-MNIST is searched for in this order: ``$WARMFLOW_DATA/images/fashion-mnist``, ``../shared/data/images/fashion-mnist``,
the folder of Debian's package ``dataset-fashion-mnist``, and the Hugging Face hub (with the package ``datasets``).

References:
    Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms, Xiao, Rasul, Vollgraf, 2017,
    arXiv 1708.07747
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from warmflow.data import DataSet, roots
from warmflow.data.images import official
from warmflow.files import EXPANDED_BYTES, read_bytes
from warmflow.number_checks import numbers_checked

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
HUB = "zalando-datasets/fashion_mnist"
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
UNSIGNED_BYTES = 8


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The uint8 array of an IDX file, plain or gzipped.

    Raises:
        ValueError: no such file, not an IDX file, another type than bytes, or a length that differs from the header's.
    """
    path = Path(path)
    try:
        raw = read_bytes(path, EXPANDED_BYTES)
        if raw[:2] == b"\x1f\x8b":
            with gzip.open(path) as file:
                raw = file.read(EXPANDED_BYTES + 1)
            if len(raw) > EXPANDED_BYTES:
                raise ValueError(f"{path} takes more than {EXPANDED_BYTES} bytes in memory: fetch it again")
    except FileNotFoundError:
        raise ValueError(f"{path} is not there") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read ({error}): fetch it again") from None
    if len(raw) < 4 or raw[:2] != b"\x00\x00" or raw[3] == 0:
        raise ValueError(
            f"{path} is not an IDX file: it does not begin with two zero bytes, a type and a number of axes"
        )
    kind, axes = raw[2], raw[3]
    if kind != UNSIGNED_BYTES:
        raise ValueError(f"{path} holds IDX type {kind}; only unsigned bytes (8) are read")
    if len(raw) < 4 + 4 * axes:
        raise ValueError(f"{path} ends within its header: fetch it again")
    shape = struct.unpack(f">{axes}I", raw[4 : 4 + 4 * axes])
    body = raw[4 + 4 * axes :]
    if len(body) != math.prod(shape):
        raise ValueError(f"{path} holds {len(body)} bytes, its header says {shape}: fetch it again")
    return np.frombuffer(body, np.uint8).reshape(shape)


def fashion_folder() -> Path | None:
    """The first known folder that contains Fashion-MNIST's files; None if there is none."""
    places = [root / "images" / "fashion-mnist" for root in roots()] + [DEBIAN]
    return next((p for p in places if _named(p, FILES["train"][0]) is not None), None)


def _named(folder: Path, name: str) -> Path | None:
    return next((folder / f for f in (f"{name}.gz", name) if (folder / f).is_file()), None)


@numbers_checked
def fashion(seed: int = 0, *, most: int = 0, folder: str | os.PathLike[str] | None = None) -> DataSet:
    """Fashion-MNIST: 70,000 images of clothes, (1, 28, 28) in [-1, 1], ten classes.

    55,000 images are for training, the last 5,000 of the official training part for validation, and the official 10,000 test
    images are held out (in a fixed random order, so that the first n are a random sample).

    Args:
        most: the largest number of training images, 0 for all; selected by ``seed``.
        folder: the folder of the four IDX files; None to search the places above.

    Raises:
        ValueError: the files are missing or damaged.
    """
    where = Path(folder) if folder is not None else fashion_folder()
    parts = {k: _part(where, k) for k in FILES} if where is not None else _from_hub()
    train, test = ((x[:, None], label) for x, label in (parts["train"], parts["test"]))
    notes = {"folder": str(where) if where is not None else HUB}
    return official(
        "fashion-mnist", train, test, word="fashion", classes=CLASSES, seed=seed, most=most, notes=notes
    )  # fmt: skip


def _part(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    found = []
    for name in FILES[part]:
        path = _named(folder, name)
        if path is None:
            raise ValueError(f"{folder} has no {name}(.gz): it needs all four IDX files of Fashion-MNIST")
        found.append(torch.from_numpy(read_idx(path).copy()))
    x, label = found
    if x.ndim != 3 or label.ndim != 1 or len(x) != len(label) or len(x) < 6000:
        raise ValueError(f"{folder} holds {tuple(x.shape)} images and {tuple(label.shape)} labels: not Fashion-MNIST")
    return x, label


def _from_hub() -> dict[str, tuple[Tensor, Tensor]]:
    try:
        from datasets import load_dataset  # an optional dependency; the only place that needs the internet
    except ImportError:
        raise ValueError(
            "Fashion-MNIST was not found: set WARMFLOW_DATA to a folder with images/fashion-mnist/*.gz, install "
            f"Debian's dataset-fashion-mnist, or pip install datasets to fetch {HUB}"
        ) from None
    try:
        parts = {k: load_dataset(HUB, split=k) for k in FILES}
    except Exception as error:  # a hub client raises many kinds of errors without internet
        first = str(error).split("\n")[0]
        raise ValueError(f"Fashion-MNIST cannot be fetched from {HUB} ({first}): set WARMFLOW_DATA instead") from None
    return {
        k: (torch.from_numpy(np.stack([np.asarray(i) for i in part["image"]])), torch.tensor(part["label"]))
        for k, part in parts.items()
    }
