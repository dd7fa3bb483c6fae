"""CIFAR-10, from local files in either of two forms, or from the Hugging Face hub.

    grids      cifar10_00.webp .. cifar10_29.webp, lossless, each 40 rows of 50 images, and labels.npy (60000,): the official
               training part in its own order, then the test part
    batches    data_batch_1.bin .. data_batch_5.bin and test_batch.bin, the official "binary version": 10,000 records of a
               label's byte and 3 x 32 x 32 bytes, red first, row by row

The official Python version (``data_batch_1`` without .bin) is a pickle, which can run arbitrary code when it is opened; it
is never read.

The files are searched for in this order: below ``$WARMFLOW_DATA`` and ``../shared/data``, in ``images/cifar10`` and
``cifar-10-batches-bin``; then on the Hugging Face hub with the package ``datasets``.

References:
    Learning Multiple Layers of Features from Tiny Images, Krizhevsky, 2009 (technical report, University of Toronto)
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from warmflow.data import DataSet, roots
from warmflow.data.arrays import read_arrays
from warmflow.data.image_files import reason
from warmflow.data.images import official
from warmflow.data.sizes import opened_image
from warmflow.files import EXPANDED_BYTES, read_bytes
from warmflow.number_checks import numbers_checked

HUB = "uoft-cs/cifar10"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
GRIDS = tuple(f"cifar10_{k:02d}.webp" for k in range(30))
LABELS = "labels.npy"
BATCHES = (*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin")
ROWS, COLUMNS, SIDE = 40, 50, 32
RECORD = 1 + 3 * SIDE * SIDE
TRAIN, TEST, BATCH = 50_000, 10_000, 10_000


@numbers_checked
def cifar10(seed: int = 0, *, most: int = 0, folder: str | os.PathLike[str] | None = None) -> DataSet:
    """CIFAR-10: 60,000 photographs of ten classes, (3, 32, 32) in [-1, 1].

    45,000 images are for training, the last 5,000 of the official training part for validation, and the official 10,000 test
    images are held out (in a fixed random order, so that the first n are a random sample). ``rows`` refers to the official
    order, with the test part from 50,000 on.

    Args:
        most: the largest number of training images, 0 for all; selected by ``seed``.
        folder: the folder of the grids or the binary batches; None to search the places above.

    Raises:
        ValueError: the files are missing, incomplete or damaged, or are not CIFAR-10's.
    """
    where = Path(folder).expanduser() if folder is not None else cifar10_folder()
    if where is None:
        x, label, place = *_from_hub(), HUB
    elif (form := _form(where)) is None:
        raise ValueError(f"{where} holds neither {GRIDS[0]} nor {BATCHES[0]}: give the folder that contains CIFAR-10")
    elif form == "pickles":
        raise ValueError(
            f"{where} holds CIFAR-10 as pickles, which are never opened: fetch its binary version "
            "(cifar-10-binary.tar.gz, data_batch_1.bin ...) into that folder"
        )
    else:
        x, label, place = *(_grids(where) if form == "grids" else _batches(where)), str(where)
    _balanced(label, place)
    train, test = (x[:TRAIN], label[:TRAIN]), (x[TRAIN:], label[TRAIN:])
    notes = {"folder": place}
    return official("cifar10", train, test, word="cifar10", classes=CLASSES, seed=seed, most=most, notes=notes)


def cifar10_folder() -> Path | None:
    """The first known folder that contains files of CIFAR-10, complete or not; None if there is none."""
    places = [root / name for root in roots() for name in ("images/cifar10", "cifar-10-batches-bin")]
    return next((place for place in places if _form(place) is not None), None)


def _form(folder: Path) -> str | None:
    """The form of which a folder contains at least one file: "grids", "batches", "pickles", or None."""
    forms = {"grids": GRIDS, "batches": BATCHES, "pickles": [name.removesuffix(".bin") for name in BATCHES]}
    return next((form for form, names in forms.items() if any((folder / n).is_file() for n in names)), None)


def _complete(folder: Path, names: tuple[str, ...]) -> None:
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        others = f" and {len(missing) - 1} more of its files" if len(missing) > 1 else ""
        raise ValueError(f"{folder} has no {missing[0]}{others}: it needs all {len(names)} files of CIFAR-10")


def _grids(folder: Path) -> tuple[Tensor, Tensor]:
    """Images (60000, 3, 32, 32) and labels (60000,), both uint8."""
    _complete(folder, (*GRIDS, LABELS))
    path = folder / LABELS
    labels = read_arrays(path)
    if labels.shape != (TRAIN + TEST,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{path} holds {labels.dtype} of shape {labels.shape}, not {TRAIN + TEST} whole numbers: fetch it again"
        )
    if labels.min() < 0 or labels.max() >= len(CLASSES):
        raise ValueError(
            f"{path} holds labels from {labels.min()} to {labels.max()}; CIFAR-10's are 0 .. 9: fetch it again"
        )
    count = ROWS * COLUMNS
    x = torch.empty((TRAIN + TEST, 3, SIDE, SIDE), dtype=torch.uint8)
    for k, name in enumerate(GRIDS):
        x[k * count : (k + 1) * count] = read_grid(folder / name)
    return x, torch.from_numpy(labels.astype(np.uint8))


def read_grid(path: str | os.PathLike[str]) -> Tensor:
    """The images (2000, 3, 32, 32) uint8 of one grid, row by row.

    Raises:
        ValueError: a file that is damaged, not a WebP file, or of another size.
    """
    try:
        with opened_image(path, ("WEBP",)) as file:
            size, image = file.size, file.convert("RGB")
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
        raise ValueError(f"{path} cannot be read ({reason(error)}): fetch it again") from None
    if size != (COLUMNS * SIDE, ROWS * SIDE):
        raise ValueError(
            f"{path} is {size[0]} x {size[1]} pixels; a grid of CIFAR-10 is {COLUMNS * SIDE} x {ROWS * SIDE}: fetch it again"
        )
    cells = torch.from_numpy(np.array(image)).reshape(ROWS, SIDE, COLUMNS, SIDE, 3)
    return cells.permute(0, 2, 4, 1, 3).reshape(-1, 3, SIDE, SIDE)


def _batches(folder: Path) -> tuple[Tensor, Tensor]:
    _complete(folder, BATCHES)
    parts = [read_batch(folder / name) for name in BATCHES]
    return torch.cat([x for x, _ in parts]), torch.cat([label for _, label in parts])


def read_batch(path: str | os.PathLike[str], rows: int = BATCH) -> tuple[Tensor, Tensor]:
    """The images (rows, 3, 32, 32) and labels (rows,), both uint8, of one file of the binary version.

    Raises:
        ValueError: a file of another length, or labels above 9.
    """
    try:
        raw = np.frombuffer(read_bytes(Path(path), EXPANDED_BYTES), np.uint8)
    except FileNotFoundError:
        raise ValueError(f"{path} is not there: fetch it again") from None
    if raw.size != rows * RECORD:
        raise ValueError(f"{path} holds {raw.size} bytes, not {rows} records of {RECORD}: fetch it again")
    records = torch.from_numpy(raw.copy()).reshape(rows, RECORD)
    label = records[:, 0].clone()
    if int(label.max()) >= len(CLASSES):
        raise ValueError(f"{path} holds the label {int(label.max())}; CIFAR-10's are 0 .. 9: fetch it again")
    return records[:, 1:].reshape(rows, 3, SIDE, SIDE), label


def _balanced(label: Tensor, place: str) -> None:
    """Raises ValueError if the classes are not of equal size, as they are in CIFAR-10: the labels are wrong or shifted."""
    for name, part in (("training", label[:TRAIN]), ("test", label[TRAIN:])):
        counts = torch.bincount(part.long(), minlength=len(CLASSES)).tolist()
        each = len(part) // len(CLASSES)
        wrong = next((k for k, count in enumerate(counts) if count != each), None)
        if wrong is not None:
            raise ValueError(
                f'{place}: {counts[wrong]} {name} images are labelled "{CLASSES[wrong]}", in CIFAR-10 there are {each}: '
                "these are not the labels of CIFAR-10, fetch them again"
            )


def _from_hub() -> tuple[Tensor, Tensor]:
    from warmflow.data.hub import opened

    try:
        tables = opened(HUB)
    except ValueError as error:
        raise ValueError(
            "CIFAR-10 was not found: set WARMFLOW_DATA to a folder with images/cifar10 or cifar-10-batches-bin "
            f"(data_batch_1.bin ...); {error}"
        ) from None
    parts = [tables[part] for part in ("train", "test")]
    x = np.concatenate([np.stack([np.asarray(image) for image in part["img"]]) for part in parts])
    label = np.concatenate([np.asarray(part["label"], np.uint8) for part in parts])
    return torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(label)
