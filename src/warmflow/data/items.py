"""torch Datasets and lists of items as arrays: every item is x, (x,) or (x, label)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from warmflow.number_checks import plain_number

GIVE = "give an array of x, or a Dataset of x or (x, label)"


def unpacked(given: object, name: str) -> tuple[object, object]:
    """(x, labels) of a Dataset, or of a list of (x, label); anything else as it is, without labels.

    Raises:
        ValueError: a DataLoader, a mapping, a Dataset without a length, items of another form, or of several forms.
    """
    match given:
        case np.ma.MaskedArray() if np.ma.is_masked(given):
            raise ValueError(f"{name}: a masked array with masked values; remove these rows, or fill them: x.filled(0)")
        case DataLoader():
            raise ValueError(
                f"{name}: a DataLoader returns batches in an order of its own; give its dataset, loader.dataset"
            )
        case Mapping():
            raise ValueError(
                f"{name}: a {type(given).__name__} of {', '.join(map(str, given))}; give the array, and labels=..."
            )
        case Iterator():
            return unpacked(list(given), name)
        case Dataset():
            pass
        case list([(x, *_), *_]) if _shape(x):
            pass
        case _:
            return given, None
    rows = cast("Sequence[ArrayLike]", given)
    try:
        items = [rows[i] for i in range(len(rows))]
    except (TypeError, NotImplementedError):
        raise ValueError(f"{name}: a {type(given).__name__} has no length; {GIVE}") from None
    forms = {_form(item) for item in items}
    for form in sorted(forms):
        if form not in ("x", "(x,)", "(x, label)"):
            raise ValueError(f"{name}: an item is {form}; {GIVE}")
    if len(forms) != 1:
        raise ValueError(f"{name}: items are {' and '.join(sorted(forms)) or 'missing'}; {GIVE}")
    return _apart(items, forms == {"x"}, name)


def _apart(items: Sequence[ArrayLike], bare: bool, name: str) -> tuple[object, object]:
    """(x, labels) of items of one form."""
    tuples = cast("Sequence[tuple[ArrayLike, ...]]", items)
    xs = items if bare else [item[0] for item in tuples]
    labels = None if bare or len(tuples[0]) == 1 else [plain_number(item[1]) for item in tuples]
    shapes = sorted({_shape(x) for x in xs})
    if len(shapes) > 1:
        raise ValueError(f"{name}: items of the shapes {shapes[0]} and {shapes[1]}; give every row the same shape")
    tensors = [x for x in xs if isinstance(x, Tensor)]
    return torch.stack(tensors) if len(tensors) == len(xs) else np.stack([np.asarray(x) for x in xs]), labels


def _shape(x: object) -> tuple[int, ...]:
    """The shape of a tensor, an array, an image of Pillow or a list; () of what is none."""
    try:
        return tuple(np.shape(cast("ArrayLike", x)))
    except ValueError:
        return ()


def _form(item: object) -> str:
    """What an item is: x, (x,), (x, label), or another form in words."""
    match item:
        case Mapping():
            return f"a {type(item).__name__} of {', '.join(map(str, item))}"
        case [x] if _shape(x):
            return "(x,)"
        case [x, label] if _shape(x) and not _shape(label):
            return "(x, label)"
        case [x, *_] if _shape(x) and not hasattr(item, "shape"):
            return f"a {type(item).__name__} of {', '.join(f'{type(part).__name__} {_shape(part)}' for part in item)}"
    return "x"
