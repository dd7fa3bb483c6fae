"""What labels mean: classes in natural order (2 before 10), labels that are checked, and folders that are splits, not classes.

A label that is missing (-1 or another number below 0, NaN, None, empty text) is not a class, and a number that is not whole is
not a label. Both are refused, because a flow would otherwise be trained on a class that is none.

A data set with split folders (train/, val/, test/, as the image folder loader of the package ``datasets`` recognises them) is
trained on train/; the others are its validation and held-out parts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

LARGEST = 2**53
"""Floats beyond it do not count in steps of one."""
GIVE = "give whole numbers from 0 or strings"
MISSING = ("NoneType", "NAType", "NaTType")
LISTED = 20
"""Most class names in a line."""

SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "heldout": ("test", "testing", "eval", "evaluation"),
}
"""The names of split folders, by part; a prefix (seg_train) and a number (val2017) may be added."""


def natural(name: str) -> list[tuple[int, int, str]]:
    """A sort key that orders numbers in names by value: a2 before a10, and 10 before a."""
    pieces = [piece for piece in re.split(r"([0-9]+)", name) if piece]
    return [(0, int(piece), "") if piece[0] in "0123456789" else (1, 0, piece) for piece in pieces]


def in_order(names: Iterable[str]) -> list[str]:
    """Class names in natural order, each once."""
    return sorted(set(names), key=lambda name: (natural(unicodedata.normalize("NFC", name)), name))


def shown(name: str) -> str:
    """A class name as it can be printed: symbols that are not printable are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def listed(classes: Sequence[str]) -> str:
    """The names in one line, at most 20 of them."""
    more = f", ... ({len(classes)} in all)" if len(classes) > LISTED else ""
    return ", ".join(shown(name) for name in classes[:LISTED]) + more


def are_numbers(classes: Sequence[str]) -> bool:
    """Whether the names are 0 .. K - 1, or there are none."""
    return list(classes) == [str(k) for k in range(len(classes))]


def numbered(classes: Sequence[str]) -> str:
    """The labels with their names in one line: 0 cat, 1 dog; 0 .. 9 where they have no other names."""
    if are_numbers(classes):
        return f"0 .. {len(classes) - 1}"
    return listed([f"{k} {name}" for k, name in enumerate(classes)])


# ---------------------------------------------------------------- labels of arrays


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


# ---------------------------------------------------------------- class folders and split folders


@dataclass(frozen=True, eq=False)
class Sorted:
    """Files of a folder as the parts and classes of a data set.

    Args:
        parts: (n,) int64 positions in the list of files, by part: "train" with all that is used, or "train" and "heldout",
            perhaps "validation".
        classes: the class names in natural order; empty without class folders.
        label: (N,) int64 for each of the N files, -1 where it has none; None without classes.
        notes: lines that say what was assumed and what is not used, by topic.
    """

    parts: dict[str, Tensor]
    classes: tuple[str, ...]
    label: Tensor | None
    notes: dict[str, str]


def sorted_out(files: Sequence[str], where: str) -> Sorted:
    """Which part and class each file of a data set belongs to, by its path relative to the root.

    Classes are the top-level folders, or those in split folders. A single folder that holds all others is passed over.

    Raises:
        ValueError: split folders without one for training.
    """
    names, everything = _within(files), list(range(len(files)))
    splits = _splits(names, where)
    if splits is None:
        classes, label, note = _classes(names)
        notes = {} if note is None else {"classes": note}
        tops = in_order(_top(name) for name in names)
        odd = [top for top in classes if _part(top) is not None] if len(tops) > 1 else []
        if odd:
            notes["classes"] = (
                f"the folder {odd[0]} is a class like {next(t for t in tops if t != odd[0])}, not a split"
            )
        return Sorted({"train": torch.tensor(everything)}, classes, label, notes)
    return _of_splits(names, splits)


def _of_splits(names: Sequence[str], splits: dict[str, list[str]]) -> Sorted:
    """The parts and classes of a data set with split folders, given by part."""
    rows = {part: [i for i, name in enumerate(names) if _top(name) in tops] for part, tops in splits.items()}
    order = [i for mine in rows.values() for i in mine]
    inner = dict(zip(order, _within([_inner(names[i]) for i in order]), strict=True))
    trained = [inner[i] for i in rows["train"]]
    classes, _, note = _classes(trained)
    notes, label = ({} if note is None else {"classes": note}), None
    bare = [part for part in rows if classes and part != "train" and any("/" not in inner[i] for i in rows[part])]
    used = {part: mine for part, mine in rows.items() if part not in bare}
    if "heldout" not in used and "validation" in used:
        used["heldout"] = used.pop("validation")
    if classes:
        classes = tuple(in_order(_top(inner[i]) for mine in used.values() for i in mine))
        places = {name: k for k, name in enumerate(classes)}
        kept = {i for mine in used.values() for i in mine}
        label = torch.tensor([places[_top(inner[i])] if i in kept else -1 for i in range(len(names))])
    counts = {part: f"{' and '.join(splits[part])} ({len(mine)} images)" for part, mine in rows.items()}
    said = [f"{counts['train']} is trained on"]
    said += [f"{counts[part]} has images without a class and is not used" for part in bare]
    held = "heldout" if "heldout" in splits and "heldout" not in bare else "validation"
    if "heldout" in used:
        said.append(f"{counts[held]} is held out")
    if "validation" in used:
        said.append(f"{counts['validation']} is for validation")
    rest = [i for i in range(len(names)) if i not in inner]
    if rest:
        tops = in_order(_top(names[i]) or "images outside of folders" for i in rest)
        said.append(f"not used: {listed(tops)} ({len(rest)} images)")
    notes["parts"] = f"split folders are no classes: {'; '.join(said)}"
    return Sorted({part: torch.tensor(mine) for part, mine in used.items()}, classes, label, notes)


def _top(name: str) -> str:
    """The first folder of a path; empty for a file outside of folders."""
    return name.split("/", 1)[0] if "/" in name else ""


def _inner(name: str) -> str:
    """The path in its split folder, which may be there twice (seg_train/seg_train/cat/1.png)."""
    top, rest = name.split("/", 1)
    return rest.removeprefix(f"{top}/")


def _within(files: Sequence[str]) -> list[str]:
    """The paths without leading folders that all of them share, if each of these holds folders only."""
    names = list(files)
    while names and len({_top(name) for name in names}) == 1 and all(name.count("/") > 1 for name in names):
        names = [name.split("/", 1)[1] for name in names]
    return names


def _part(top: str) -> tuple[str, str] | None:
    """(prefix, part) of the name of a split folder; None for any other name."""
    words = {word: part for part, known in SPLITS.items() for word in known}
    found = re.fullmatch(rf"(.*[-._ ])?({'|'.join(words)})[-._ 0-9]*", top.lower())
    return None if found is None else (found[1] or "", words[found[2]])


def _splits(names: Sequence[str], where: str) -> dict[str, list[str]] | None:
    """The split folders by part; None if there are none.

    Folders are splits if there are some for training and some for evaluation, of one prefix; or if one is all there is. A
    folder that is called train among others can be a class of its own.
    """
    tops = in_order(_top(name) for name in names)
    if len(tops) == 1 and _part(tops[0]) is not None:
        return {"train": tops}
    groups: dict[str, dict[str, list[str]]] = {}
    for top in tops:
        prefix, part = _part(top) or ("", "")
        if part:
            groups.setdefault(prefix, {}).setdefault(part, []).append(top)
    found = next((group for group in groups.values() if "train" in group and len(group) > 1), None)
    if found is None and len(tops) > 1 and len(groups) == 1:
        (group,) = groups.values()
        if len(group) > 1 and len(tops) == sum(len(mine) for mine in group.values()):
            raise ValueError(
                f"{where} has the split folders {listed(tops)}, none called train; name the folder of the one you mean"
            )
    return found


def _classes(names: Sequence[str]) -> tuple[tuple[str, ...], Tensor | None, str | None]:
    """Class names, labels (n,) int64, and a note if subfolders could not be used as classes."""
    tops = [_top(name) for name in names]
    loose = tops.count("")
    if loose == len(names):
        return (), None, None
    if loose:
        note = f"{loose} images are outside of the subfolders, so there are no classes; move them into a subfolder"
        return (), None, note
    classes = in_order(tops)
    places = {name: k for k, name in enumerate(classes)}
    return tuple(classes), torch.tensor([places[top] for top in tops]), None
