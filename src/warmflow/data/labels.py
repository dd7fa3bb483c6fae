"""What labels mean: classes in natural order (2 before 10), and labels that are checked.

A label that is missing (-1 or another number below 0, NaN, None, empty text) is not a class, and a number that is not whole is
not a label. Both are refused, because a flow would otherwise be trained on a class that is none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from warmflow.printing import in_one_line

LARGEST = 2**53
"""Floats beyond it do not count in steps of one."""
GIVE = "give whole numbers from 0 or strings"
MISSING = ("NoneType", "NAType", "NaTType")
LISTED = 20
"""Most class names in a line."""


def natural(name: str) -> list[tuple[int, int, str]]:
    """A sort key that orders numbers in names by value: a2 before a10, and 10 before a."""
    pieces = [piece for piece in re.split(r"([0-9]+)", name) if piece]
    return [(0, int(piece), "") if piece[0] in "0123456789" else (1, 0, piece) for piece in pieces]


def in_order(names: Iterable[str]) -> list[str]:
    """Class names in natural order, each once."""
    return sorted(set(names), key=lambda name: (natural(unicodedata.normalize("NFC", name)), name))


def listed(classes: Sequence[str]) -> str:
    """The names in one line, at most 20 of them."""
    more = f", ... ({len(classes)} in all)" if len(classes) > LISTED else ""
    return ", ".join(in_one_line(name) for name in classes[:LISTED]) + more


def are_numbers(classes: Sequence[str]) -> bool:
    """Whether the names are 0 .. K - 1, or there are none."""
    return list(classes) == [str(k) for k in range(len(classes))]


def numbered(classes: Sequence[str]) -> str:
    """The labels with their names in one line: 0 cat, 1 dog; 0 .. 9 where they have no other names."""
    if are_numbers(classes):
        return f"0 .. {len(classes) - 1}"
    return listed([f"{k} {name}" for k, name in enumerate(classes)])


def labels_of(labels: object, n: int, name: str, classes: Sequence[str] = ()) -> tuple[tuple[str, ...], Tensor | None]:
    """Class names in natural order, and labels (n,) int64 that index them; ((), None) without labels.

    Args:
        labels: (n,) or (n, 1) whole numbers from 0, or strings; also as Python objects.
        classes: the names of whole numbers 0 .. K - 1, in this order; empty to take the numbers themselves.

    Raises:
        ValueError: another shape or type, labels that are missing (below 0, NaN, None, empty), or numbers that are not whole.
    """
    if labels is None:
        return (), None
    y = _array(labels.detach().cpu().tolist() if isinstance(labels, Tensor) else labels, name)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.shape != (n,):
        raise ValueError(f"{name}: labels have shape {y.shape} but x has {n} rows; give one label a row, shape ({n},)")
    y = _whole(_typed(y, name), name)
    if len(classes) and y.dtype.kind in "iu":
        if int(y.max()) >= len(classes):
            raise ValueError(f"{name}: a label is {y.max()}, and there are {len(classes)} classes; name them all")
        return tuple(classes), torch.from_numpy(y.astype(np.int64))
    names, label = np.unique(y, return_inverse=True)
    found = [str(v) for v in names.tolist()]
    ordered = in_order(found) if y.dtype.kind == "U" else found
    places = {name: k for k, name in enumerate(ordered)}
    moved = np.array([places[name] for name in found], np.int64)
    return tuple(ordered), torch.from_numpy(moved[label.reshape(-1)])


def _array(labels: object, name: str) -> np.ndarray:
    """The labels as an array; a list of texts as objects, since numpy would turn numbers among them into texts."""
    try:
        y = np.asarray(labels)
        return np.asarray(labels, object) if y.dtype.kind in "US" and not hasattr(labels, "dtype") else y
    except (ValueError, OverflowError):
        raise ValueError(f"{name}: labels differ in shape; give one label a row, {GIVE[5:]}") from None


def _typed(y: np.ndarray, name: str) -> np.ndarray:
    """Labels (n,) as an array of booleans, numbers or texts; arrays of Python objects are converted."""
    if y.dtype.kind == "O":
        values = y.tolist()
        kinds = {kind: _kind(value) for kind, value in {type(value): value for value in values}.items()}
        lost = [type(v).__name__ in MISSING or (kinds[type(v)] == "f" and v != v) for v in values]
        _none_of(np.array(lost, bool), name, "have no label (None or NaN)")
        found = set(kinds.values())
        if "O" in found or not (len(found) == 1 or found <= set("iuf")):
            held = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise ValueError(f"{name}: labels of the types {held}; {GIVE}, all of one type")
        y = np.array(values)
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "replace")
    if y.dtype.kind == "T":  # numpy's texts of variable length
        y = y.astype(str)
    if y.dtype.kind not in "biufU":
        raise ValueError(f"{name}: labels of dtype {y.dtype}; {GIVE}")
    return y


def _kind(value: object) -> str:
    """The kind of numpy's dtype of one value; O for everything that is not a boolean, a number or a text."""
    found = np.asarray(value)
    return found.dtype.kind if found.ndim == 0 else "O"


def _whole(y: np.ndarray, name: str) -> np.ndarray:
    """Labels (n,) without missing ones; floats as int64."""
    if y.dtype.kind == "U":
        _none_of(np.isin(y, ("", "nan", "<NA>")), name, 'have no label (empty text, "nan" or "<NA>")')
        return y
    if y.dtype.kind == "f":
        _none_of(np.isnan(y), name, "have no label (NaN)")
        odd = ~np.isfinite(y) | (y != np.round(y)) | (np.abs(y) > LARGEST)
        if odd.any():
            row = int(odd.argmax())
            raise ValueError(
                f"{name}: labels hold {y[row]:g} (row {row}) and {int(odd.sum()) - 1} more that are not whole numbers; {GIVE}"
            )
        y = y.astype(np.int64)
    if y.dtype.kind == "i" and len(y) and int(y.min()) < 0:
        _none_of(y < 0, name, f"have a label below 0 ({int(y.min())}), which means no label")
    return y


def _none_of(lost: np.ndarray, name: str, said: str) -> None:
    if lost.any():
        raise ValueError(
            f"{name}: {int(lost.sum())} of {len(lost)} rows {said}, the first is row {int(lost.argmax())}; remove these rows, "
            "or give them a class"
        )
