"""Paired data: every image with its degraded input, as ``condition["input"]`` of the same shape.

    super-resolution   means over f x f pixels, upsampled to full size by a bicubic filter
    denoising          y + sigma eps, with independent noise for each image, not clamped

or pairs given by the user: two arrays in the same order, or two folders with the same file names.

A restoration model is evaluated on inputs that it was not trained on: samples are drawn for held-out inputs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from warmflow.contracts import Batch
from warmflow.data import DataSet, split
from warmflow.data.array_files import DAMAGED, Objects, Unreadable, opened
from warmflow.data.arrays import MANY
from warmflow.data.image_files import folder_form, read_folder
from warmflow.data.images import from_uint8, to_images
from warmflow.data.native import check_form, looked_at
from warmflow.noise import Noise
from warmflow.number_checks import numbers_checked
from warmflow.printing import in_one_line

INPUT = "input"


def lowered(y: Tensor, factor: int) -> Tensor:
    """Images (n, C, H, W) of lower resolution: means over factor x factor pixels, upsampled by a bicubic filter.

    Raises:
        ValueError: a factor below 2, or one that does not divide the sides.
    """
    if factor < 2 or any(side % factor for side in y.shape[2:]):
        raise ValueError(f"factor is {factor}; it is at least 2 and divides the sides of {tuple(y.shape[2:])} pixels")
    small = F.avg_pool2d(y, factor)
    return F.interpolate(small, size=y.shape[2:], mode="bicubic", align_corners=False)


def noised(y: Tensor, sigma: float, seed: int) -> Tensor:
    """y (n, *S) + sigma eps with eps ~ N(0, I)."""
    if not 0 < sigma < float("inf"):
        raise ValueError(f"noise is {sigma}; denoising needs a positive standard deviation")
    return y + sigma * Noise.of(seed, len(y)).normal("degraded", *y.shape[1:])


@numbers_checked
def super_resolution(data: DataSet, factor: int = 4) -> DataSet:
    """The data with inputs of lower resolution."""
    return _with_inputs(data, f"{data.name}, super-resolution x{factor}", lambda y, k: lowered(y, factor))


@numbers_checked
def denoising(data: DataSet, sigma: float = 0.5, seed: int = 0) -> DataSet:
    """The data with noisy inputs; each part has independent noise."""
    return _with_inputs(data, f"{data.name}, denoising {sigma:g}", lambda y, k: noised(y, sigma, seed + k))


def _with_inputs(data: DataSet, name: str, degrade: Callable[[Tensor, int], Tensor]) -> DataSet:
    if data.kind != "images":
        raise ValueError(f"{data.name} holds {data.kind}; only images are restored")
    if data.whole is not None:
        raise ValueError(
            f"{data.name} is read on demand, but inputs are made in memory: raise memory, or use fewer images"
        )

    def one(part: Batch, k: int) -> Batch:
        return replace(part, condition={**part.condition, INPUT: degrade(part.x1, k)})

    validation = None if data.validation is None else one(data.validation, 1)
    return replace(data, name=name, train=one(data.train, 0), validation=validation, heldout=one(data.heldout, 2))


@numbers_checked
def pairs(inputs: object, targets: object, *, name: str = "pairs", seed: int = 0) -> DataSet:
    """Pairs given by the user: two arrays of images of the same length, order and size.

    Raises:
        ValueError: unequal lengths or sizes, not images, or fewer than ten pairs.
    """
    x, y = to_images(inputs, f"{name}: inputs"), to_images(targets, f"{name}: targets")
    if len(x) != len(y):
        raise ValueError(
            f"{name}: {len(x)} inputs and {len(y)} targets; give one input for each target, in the same order"
        )
    if x.shape != y.shape:
        raise ValueError(
            f"{name}: inputs are {tuple(x.shape[1:])}, targets {tuple(y.shape[1:])}; convert them to one size and mode"
        )
    if len(y) < 10:
        raise ValueError(f"{name}: {len(y)} pairs; give at least ten")
    found = split(name, "images", y, None, validation=len(y) // 10, heldout=max(1, len(y) // 5), seed=seed)
    parts = {k: replace(getattr(found, k), condition={INPUT: x[rows]}) for k, rows in found.rows.items() if len(rows)}
    return replace(found, **parts)


def read_pairs(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """The arrays ``inputs`` and ``targets`` of a .npz file; ValueError if one is missing or the file cannot be read."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise ValueError(f'file "{path}" does not exist; give a .npz file with the arrays inputs and targets')
    reason = "it is damaged, or not an archive: write it with numpy.savez(file, inputs=..., targets=...)"
    try:
        with opened(file) as loaded:
            if isinstance(loaded, np.ndarray):
                raise Unreadable(DAMAGED)
            names = tuple(loaded)
            missing = [name for name in ("inputs", "targets") if name not in names]
            if not missing:
                return loaded["inputs"], loaded["targets"]
            has = ", ".join(in_one_line(name) for name in names[:MANY]) or "nothing"
            reason = f"it holds {has}, not {missing[0]}: name the arrays inputs and targets"
    except Objects:
        reason = "it holds objects, which are never unpickled: save arrays of numbers"
    except Unreadable as error:
        reason = reason if str(error) == DAMAGED else f"{error}: write it with numpy.savez"
    except PermissionError:
        reason = "check its permissions"
    raise ValueError(f'file "{path}" cannot be read as pairs: {reason}')


def _ratio(file: Path) -> float:
    """An image's width divided by its height, in its EXIF orientation."""
    (height, width), _ = looked_at(file)
    return width / height


@numbers_checked
def paired_folders(
    inputs: str | os.PathLike[str], targets: str | os.PathLike[str], size: int = 0, *, mode: str = "", seed: int = 0
) -> DataSet:
    """Pairs from two folders: files with the same name (without suffix) form a pair. Size and mode are those of the targets, as
    in ``folder``; if inputs are in colour, so are all.

    Raises:
        ValueError: a missing folder, no images, a name that only one folder has or that one has twice, or pairs of
            different aspect ratios.
    """
    check_form("pairs", size, mode)
    roots, found, ratios = {"inputs": Path(inputs).expanduser(), "targets": Path(targets).expanduser()}, {}, {}
    for what, root in roots.items():
        if not root.is_dir():
            raise ValueError(f"{what}: {root} is not a folder; give two folders with the same file names")
    form, mode, notes = folder_form(roots["targets"], size, mode or folder_form(roots["inputs"])[1].replace("L", ""))
    for what, root in roots.items():
        images, files, failed = read_folder(root, form, mode)
        if failed:
            raise ValueError(
                f"{what}: {root / failed[0][0]} cannot be read ({failed[0][1]}): repair it or leave the pair out"
            )
        stems = [str(Path(f).with_suffix("")) for f in files]
        twice = next((s for s in stems if stems.count(s) > 1), None) if len(set(stems)) < len(stems) else None
        if twice is not None:
            same = [f for f, s in zip(files, stems, strict=True) if s == twice]
            raise ValueError(
                f"{what}: {root} holds {' and '.join(same)}, which differ only in the suffix: keep one of them"
            )
        found[what] = dict(zip(stems, images, strict=True))
        ratios[what] = {s: _ratio(root / f) for s, f in zip(stems, files, strict=True)}
    odd = sorted(set(found["inputs"]) ^ set(found["targets"]))
    if odd:
        where = "inputs" if odd[0] in found["inputs"] else "targets"
        raise ValueError(f"{odd[0]} is only among the {where} ({len(odd)} such names): every image needs its pair")
    names = sorted(found["inputs"])
    if not names:
        raise ValueError(f"{inputs} holds no images: give two folders with the same file names")
    for name in names:
        a, b = ratios["inputs"][name], ratios["targets"][name]
        if abs(a / b - 1) > 0.02:
            raise ValueError(
                f"{name} has aspect ratio {a:.2f} among the inputs and {b:.2f} among the targets: each image is center-cropped "
                "to a square, so crop both to one aspect ratio first"
            )
    x, y = (from_uint8(torch.stack([found[w][n] for n in names])) for w in ("inputs", "targets"))
    made = pairs(x, y, name=f"{inputs} -> {targets}", seed=seed)
    return replace(made, notes={**made.notes, **notes})
