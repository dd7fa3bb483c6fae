"""Images: scikit-learn's digits, data sets with an official test part, and the conversion of arrays to images.

An image is a float tensor (C, H, W) in [-1, 1]. uint8 is converted by x/127.5 - 1; floats outside of this range are an
error, because a wrong guess of their scale would go unnoticed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from warmflow.contracts import Batch
from warmflow.data import DataSet, part, split
from warmflow.noise import permutation
from warmflow.number_checks import is_whole, numbers_checked

ROUNDING = 1e-6
DARK, NARROW = 127, 0.25
"""Images are warned about if 8 bits end here or earlier, or floats span less."""


@numbers_checked
def digits(seed: int = 0) -> DataSet:
    """scikit-learn's 1,797 handwritten digits, (1, 8, 8) as x/8 - 1: 997 train, 300 validation, 500 held out.

    ``seed`` determines the split. Keep the default: a model tuned under one seed would be evaluated on its training rows
    under another.

    Source:
        Optical Recognition of Handwritten Digits, Alpaydin, Kaynak, UCI, 1998 (test part, as scikit-learn ships it)
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    x = torch.from_numpy(raw.images).float()[:, None] / 8 - 1
    label = torch.from_numpy(raw.target).long()
    classes = tuple(str(k) for k in range(10))
    return split("digits", "images", x, label, validation=300, heldout=500, seed=seed, classes=classes)


def official(
    name: str,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    *,
    word: str,
    classes: tuple[str, ...],
    seed: int,
    most: int,
    validation: int = 5000,
    notes: Mapping[str, object] | None = None,
) -> DataSet:
    """A data set with an official test part, from the images (n, C, H, W) uint8 and labels (n,) of its two parts.

    The last ``validation`` images of the training part are the validation part. The test part is held out, in a random
    order that does not depend on ``seed``, so that its first n images are a random sample. Of the other images, ``most``
    are for training, selected by ``seed`` (all if 0). ``rows`` numbers the training part, then the test part.

    Args:
        word: prefix of the names of the two permutations.

    Raises:
        ValueError: ``most`` is negative or not an integer.
    """
    if not is_whole(most, 0):
        raise ValueError(f"{name}: most is {most!r}; give a whole number of training images, or 0 for all")
    (x, label), (x_test, label_test) = train, test
    first = len(x) - validation
    rows = permutation(seed, first, f"{word}.most")[: most or None]
    order = permutation(0, len(x_test), f"{word}.heldout")

    def images(x: Tensor, label: Tensor) -> Batch:
        return part(from_uint8(x), label.long())

    numbers = {"train": rows, "validation": torch.arange(first, len(x)), "heldout": len(x) + order}
    return DataSet(
        name,
        "images",
        images(x[rows], label[rows]),
        images(x[first:], label[first:]),
        images(x_test[order], label_test[order]),
        classes,
        notes or {},
        numbers,
    )


def from_uint8(x: Tensor) -> Tensor:
    """x/127.5 - 1, float32 in [-1, 1], of uint8 x of any shape."""
    return x.to(torch.float32, copy=True).div_(127.5).sub_(1)  # in place, to avoid a second copy of a large set


def to_images(array: object, name: str = "images", dtype: str = "") -> Tensor:
    """Converts a tensor, array or nested list of images to (N, C, H, W) float32 in [-1, 1].

    Layouts: (N, H, W), (N, H, W, C) and (N, C, H, W) with C of 1 or 3. Axis 1 is the channel axis if its size is 1 or 3,
    else the last axis is. uint8 is converted by x/127.5 - 1; floats must already be in [-1, 1] (up to rounding, 1e-6).

    Args:
        dtype: the name of the dtype in error messages; by default that of the array.

    Raises:
        ValueError: another dtype or layout, no rows, NaN or infinite values, floats outside [-1, 1].
    """
    x = as_tensor(array, name)
    if x.is_complex():
        raise ValueError(f"{name}: dtype {str(x.dtype).removeprefix('torch.')}; give real numbers")
    if x.dtype != torch.uint8 and not x.dtype.is_floating_point and x.numel():
        kind = dtype or str(getattr(array, "dtype", x.dtype)).removeprefix("torch.")
        raise ValueError(f"{name}: dtype {kind} with values from {int(x.min())} to {int(x.max())}; {scaling(x)}")
    x = channels_first(x, name)
    if x.numel() == 0:
        raise ValueError(f"{name}: shape {tuple(x.shape)} is empty; give at least one image")
    if x.dtype == torch.uint8:
        return from_uint8(x).contiguous()
    x = x.float()
    bad = int((~torch.isfinite(x)).flatten(1).any(1).sum())
    if bad:
        raise ValueError(f"{name}: NaN or infinite values in {bad} of {len(x)} images; remove or repair these rows")
    low, high = float(x.min()), float(x.max())
    if low < -1 - ROUNDING or high > 1 + ROUNDING:
        raise ValueError(f"{name}: values from {low:.4g} to {high:.4g} are outside [-1, 1]; {scaling(x)}")
    return x.clamp(-1, 1).contiguous()


def used_range(raw: Tensor) -> dict[str, object]:
    """A line, as the note "range", about images that do not use the range of their dtype; nothing where they do."""
    low, high = float(raw.min()), float(raw.max())
    if raw.dtype == torch.uint8:
        told = f"no value is above {high:.0f}, and 255 is white; if {high:.0f} is white, scale them by {255 / max(high, 1):.4g}"
        return {"range": told} if high <= DARK else {}
    if low >= 0:
        return {"range": "no value is below 0; if 0 means black, scale [0, 1] to [-1, 1] by 2 * x - 1"}
    if high - low < NARROW:
        return {
            "range": f"values from {low:.3g} to {high:.3g} use little of [-1, 1]; -1 is black and 1 white: scale them"
        }
    return {}


def scaling(x: Tensor) -> str:
    """How to give images of these values, which are neither uint8 nor in [-1, 1]."""
    x = x if x.is_floating_point() else x.long()
    low, high = float(x.min()), float(x.max())
    if not x.is_floating_point() and low >= 0 and high <= 1:
        return "give uint8 (0..255), as by (255 * x).astype('uint8'), or floats in [-1, 1]"
    if low >= 0 and high <= 255 and bool((x == x.round()).all()):
        return "give uint8 (0..255), as by astype('uint8'), or scale floats to [-1, 1]"
    if low >= 0:
        white = 2 ** math.ceil(math.log2(high + 1)) - 1
        return f"scale to [-1, 1], as by x / {white / 2} - 1 where {white} is white (uint8 holds no more than 255)"
    return "give uint8 (0..255), or scale floats to [-1, 1]"


def as_tensor(array: object, name: str) -> Tensor:
    """Converts a tensor, numeric array or nested list to a CPU tensor of the same dtype (unsigned beyond 8 bits: int64).

    Raises:
        ValueError: rows of different shapes, strings or objects.
    """
    if isinstance(array, Tensor):
        x = array.detach().cpu().to_dense()
        return x.long() if x.dtype in (torch.uint16, torch.uint32, torch.uint64) else x
    try:
        found = np.asarray(array)
    except ValueError:
        raise ValueError(f"{name}: rows of different shapes; give every row the same shape") from None
    if found.dtype.kind not in "buif":
        remedy = "give numbers, in rows of one shape, without strings or None"
        raise ValueError(f"{name}: dtype {found.dtype} is not a real number type; {remedy}")
    if found.dtype.kind == "f" and found.dtype.itemsize > 8:
        found = found.astype(np.float64)
    if found.dtype.kind == "u" and found.dtype.itemsize > 1:
        found = found.astype(np.int64)
    # a copy: torch does not accept read-only memory and non-native byte orders
    return torch.from_numpy(np.array(found, dtype=found.dtype.newbyteorder("=")))


def channels_first(x: Tensor, name: str) -> Tensor:
    """Images in one of the layouts of ``to_images`` as (N, C, H, W), with unchanged values."""
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4 and x.shape[1] in (1, 3):
        return x
    if x.ndim == 4 and x.shape[3] in (1, 3):
        return x.permute(0, 3, 1, 2)
    hint = " (composite transparency on a background first)" if x.ndim == 4 and 4 in (x.shape[1], x.shape[3]) else ""
    raise ValueError(
        f"{name}: shape {tuple(x.shape)}; give (N, H, W), (N, H, W, C) or (N, C, H, W) with C of 1 or 3{hint}"
    )
