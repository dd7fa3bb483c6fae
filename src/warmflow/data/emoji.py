"""Emoji: 3,786 images of Twemoji, 64 x 64 on white, with their categories and with captions from their code points.

A caption consists of the Unicode names of the code points, in lower case, joined by commas: "woman, emoji modifier fitzpatrick
type-5, personal computer". Joiners and variation selectors (U+200D, U+FE0F) are skipped. The letters of a flag become "flag
fr"; the tags of a regional flag are appended. A code point unknown to this Python's Unicode version becomes "u+1fa75";
``notes`` counts the captions with one.

The file is searched for below ``$WARMFLOW_DATA`` and ``../shared/data``, as ``images/emoji/emoji_twitter_64.npz``: x
(N, 64, 64, 3) uint8, y (N,) categories, code (N,) code points as hexadecimal numbers joined by "-", categories (their names).

Source:
    Twemoji, Twitter and contributors, CC BY 4.0
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import torch

from warmflow.data import DataSet, roots, split
from warmflow.data.array_files import opened
from warmflow.data.images import to_images
from warmflow.number_checks import is_whole, numbers_checked

FILE = Path("images") / "emoji" / "emoji_twitter_64.npz"
ARRAYS = ("x", "y", "code", "categories")
SIDE = 64
SIZES = (64, 32, 16, 8)
LETTERS, TAGS, CANCEL = 0x1F1E6, 0xE0000, 0xE007F
SILENT = (0x200D, 0xFE0E, 0xFE0F, CANCEL)


@numbers_checked
def emoji(seed: int = 0, *, size: int = SIDE, file: str | os.PathLike[str] | None = None) -> DataSet:
    """3,786 emoji, (3, size, size) in [-1, 1], labelled by category, with captions.

    A quarter is held out, a tenth is for validation, the rest for training, by the random permutation of ``seed``. The images
    are not independent samples: 2,261 of them are people in five skin tones, so parts share near-duplicates. Compare copying
    with that of the held-out images only.

    Args:
        size: 64, or 32, 16 or 8 (block means of pixels).
        file: the .npz file; None to search the places above.

    Raises:
        ValueError: the file is missing, damaged or another file; another size.
    """
    if not is_whole(size) or size not in SIZES:
        raise ValueError(f"emoji: size is {size!r}; known: {', '.join(map(str, SIZES))}")
    path = (
        Path(file).expanduser() if file is not None else next((p for r in roots() if (p := r / FILE).is_file()), None)
    )
    if path is None:
        raise ValueError(f"the emoji were not found: set WARMFLOW_DATA to a folder with {FILE}")
    found = _arrays(path)
    names = tuple(str(name) for name in found["categories"])
    x, label = found["x"], torch.from_numpy(found["y"].astype(np.int64))
    codes = [[int(point, 16) for point in str(code).split("-")] for code in found["code"]]
    step = SIDE // size
    means = torch.from_numpy(x).reshape(len(x), size, step, size, step, 3).float().mean((2, 4))
    images = to_images((means / 127.5 - 1).permute(0, 3, 1, 2), "emoji")
    unnamed = sum(any(_name(point).startswith("u+") for point in points) for points in codes)
    notes = {"file": str(path), "unnamed": unnamed, "unicode": unicodedata.unidata_version}
    captions = tuple(caption(points) for points in codes)
    return split(
        "emoji", "images", images, label, seed=seed, classes=names, notes=notes, captions=captions, heldout=len(x) // 4,
        validation=len(x) // 10,
    )  # fmt: skip


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The four arrays of the file, checked against each other."""
    remedy = "fetch it again"
    try:
        with opened(path) as archive:
            found = {key: archive[key] for key in ARRAYS if key in archive}
    except (ValueError, OSError):
        why = "damaged, or not a .npz file" if path.exists() else "there is no such file"
        raise ValueError(f"{path} cannot be read ({why}): {remedy}") from None
    missing = [key for key in ARRAYS if key not in found]
    if missing:
        raise ValueError(f"{path} has no array {missing[0]!r}: {remedy}")
    x, y, code, categories = (found[key] for key in ARRAYS)
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[1:] != (SIDE, SIDE, 3) or not len(x):
        raise ValueError(f"{path}: x is {x.dtype} of shape {x.shape}, not uint8 of (N, {SIDE}, {SIDE}, 3): {remedy}")
    n = len(x)
    if y.shape != (n,) or code.shape != (n,) or categories.ndim != 1:
        raise ValueError(f"{path}: {n} images, {y.size} categories and {code.size} codes: {remedy}")
    if y.dtype.kind not in "iu":
        raise ValueError(f"{path}: the categories y are {y.dtype}, not whole numbers: {remedy}")
    if y.min() < 0 or y.max() >= len(categories):
        raise ValueError(f"{path}: categories from {y.min()} to {y.max()}, known 0 .. {len(categories) - 1}: {remedy}")
    wrong = next((str(c) for c in code if not all(_is_point(p) for p in str(c).split("-"))), None)
    if wrong is not None:
        raise ValueError(f"{path}: the code {wrong!r} is not made of hexadecimal numbers joined by '-': {remedy}")
    return found


def _is_point(text: str) -> bool:
    try:
        return 0 <= int(text, 16) <= 0x10FFFF
    except ValueError:
        return False


def caption(points: list[int]) -> str:
    """The caption of an emoji's code points, as described at the top of this module."""
    words, letters = [], ""
    for point in points:
        if LETTERS <= point < LETTERS + 26:
            letters += chr(ord("a") + point - LETTERS)
        elif TAGS <= point < CANCEL:
            letters += chr(point - TAGS)
        elif point not in SILENT:
            words.append(_name(point))
    return ", ".join([*words, f"flag {letters}"] if letters else words)


def _name(point: int) -> str:
    return unicodedata.name(chr(point), f"u+{point:x}").lower()
