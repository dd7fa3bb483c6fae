"""Which part and class the files of a folder belong to: class folders, and split folders, which are no classes.

A data set with split folders (train/, val/, test/, as the image folder loader of the package ``datasets`` recognises them) is
trained on train/; the others are its validation and held-out parts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.data.labels import in_order, listed

SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "heldout": ("test", "testing", "eval", "evaluation"),
}
"""The names of split folders, by part; a prefix (seg_train) and a number (val2017) may be added."""


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
