"""Data sets for training and evaluation, one file per kind (``toy``, ``images``, ``cifar10``, ``arrays``, ...).

A :class:`DataSet` is three disjoint parts of one data set, each a :class:`~warmflow.contracts.Batch` in memory:

    train        networks are trained on it and drafts are fitted to it
    validation   used for model selection (None where fresh samples can be drawn instead, as for toys)
    heldout      used for the final evaluation only, never for tuning

In every part ``index`` numbers the rows of *that part* from 0, so ``part[part.index]`` is the part itself.
``DataSet.rows`` maps them to the rows of the user's array (or of the sorted file list). Drafts aligned with the user's
data need this map, and so do captions, which are strings: a Batch holds tensors only, so captions are stored in the
order of the user's rows. :func:`load` accepts every form of data.

A data set larger than memory (``demand``) has its training part in two forms: ``whole`` reads rows on demand, and
``train`` holds as many of its first rows as fit in memory, for steps that need their data at once (drafts, offline
pairing, margins). If ``whole`` is None, ``train`` is the complete training part.
"""

from __future__ import annotations

import difflib
import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor

from warmflow.brief import Brief
from warmflow.contracts import Batch, Data
from warmflow.data.forms import KNOWN, form_of
from warmflow.noise import permutation

if TYPE_CHECKING:
    from warmflow.data.grid import Grid
    from warmflow.data.text import Alphabet

Kind = Literal["points", "images", "tokens"]

LEAST = 200
"""Fewest rows for which a verdict is given."""

NAMES = ("toy.moons", "toy.eight_gaussians", "toy.checkerboard", "digits", "cifar10", "emoji")
ALIASES = {"moons": "toy.moons", "eight_gaussians": "toy.eight_gaussians", "checkerboard": "toy.checkerboard"} | {
    "images.digits": "digits", "images.cifar10": "cifar10", "cifar-10": "cifar10", "images.emoji": "emoji"
}  # fmt: skip


@dataclass(frozen=True)
class Codec(Brief, ABC):
    """The meaning of tokens. Its fields are kept in a run's config.json."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of tokens."""

    @abstractmethod
    def described(self) -> dict[str, object]:
        """The description of the tokens in a comparison's config.json, for the report."""

    @property
    def alphabet(self) -> Alphabet | None:
        """The alphabet; None if tokens are not symbols of a text."""
        return None

    @property
    def grid(self) -> Grid | None:
        """The grid; None if tokens are not cells of a plane."""
        return None


@dataclass(frozen=True, eq=False)
class DataSet(Brief):
    """A data set in memory, in three disjoint parts.

    Args:
        name: the name that the user gave.
        kind: "points", (N, d) floats in the user's own units; "images", (N, C, H, W) floats in [-1, 1]; or "tokens",
            (N, L) int64.
        train, validation, heldout: the parts. Labels are stored as ``condition["label"]`` (n,) int64; ``index`` numbers
            the rows of the part.
        classes: the name of each label; empty for data without labels.
        notes: facts about how the data was read, as JSON values (unreadable files, for example).
        rows: for each part, the (n,) int64 rows of the user's array or of the sorted list of readable files; empty for
            data drawn from a distribution.
        codec: the meaning of the tokens: an ``Alphabet``, or the ``Grid`` of a plane; None for floats.
        streams: for a text, the tokens (T,) of the parts "train" and "judge" before they are cut into windows.
        captions: one string for each of the user's rows, in their order; empty if there are none. ``captions_of``
            returns those of a part.
        whole: the training part, read on demand, if it is larger than memory; ``train`` then holds its first rows, and
            ``rows["whole"]`` lists all of them.
        of: the data set that this one was pruned or re-weighted from.
    """

    name: str
    kind: Kind
    train: Batch
    validation: Batch | None
    heldout: Batch
    classes: tuple[str, ...] = ()
    notes: Mapping[str, object] = field(default_factory=dict)
    rows: Mapping[str, Tensor] = field(default_factory=dict)
    codec: Codec | None = None
    streams: Mapping[str, Tensor] = field(default_factory=dict)
    captions: tuple[str, ...] = ()
    whole: Data | None = None
    of: DataSet | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for labels below 0, which mean no label, or beyond the names of the classes."""
        for part in (self.train, self.validation, self.heldout):
            label = None if part is None else part.condition.get("label")
            if label is None or not len(label):
                continue
            low, high, known = int(label.min()), int(label.max()), len(self.classes)
            if low < 0 or (known and high >= known):
                names = f"0 .. {known - 1}" if known else "numbers from 0"
                raise ValueError(
                    f"{self.name}: labels from {low} to {high}, known {names}; leave rows without a label out"
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample: (d,) or (C, H, W)."""
        return tuple(self.train.x1.shape[1:])

    @property
    def vocabulary(self) -> int:
        """Number of tokens; 0 for floats."""
        return 0 if self.codec is None else len(self.codec)

    @property
    def alphabet(self) -> Alphabet | None:
        """The symbols of a text; None for other data."""
        return None if self.codec is None else self.codec.alphabet

    @property
    def grid(self) -> Grid | None:
        """The cells of points as tokens; None for other data."""
        return None if self.codec is None else self.codec.grid

    @property
    def everything(self) -> Tensor:
        """(N, *shape): the train, validation and held-out rows in memory, in this order.

        For a pruned or re-weighted set, the rows of the original set: margins are distances between real sets, and
        repeated rows would occur in both of them.
        """
        return torch.cat([part.x1 for part in self._parts()])

    @property
    def apart(self) -> Batch:
        """The part for choosing settings and for taking inputs: validation if there is one, else held out."""
        return self.validation if self.validation is not None and len(self.validation) else self.heldout

    @property
    def total(self) -> int:
        """Number of rows of ``everything``."""
        return sum(len(part) for part in self._parts())

    def _parts(self) -> list[Batch]:
        if self.of is not None:
            return self.of._parts()
        return [part for part in (self.train, self.validation, self.heldout) if part is not None]

    @property
    def numbered(self) -> int:
        """Number of rows of the user's array or list of files, to which ``rows`` refers; 0 for data that is drawn."""
        if self.of is not None:
            return self.of.numbered
        return max((1 + int(rows.max()) for rows in self.rows.values() if len(rows)), default=0)

    def captions_of(self, part: str) -> tuple[str, ...]:
        """The captions of a part ("train", "validation", "heldout" or "whole"), one per row.

        Raises:
            ValueError: data without captions, or an unknown part.
        """
        if not self.captions:
            raise ValueError(f"{self.name} has no captions; read them with the data (hf:NAME takes caption=COLUMN)")
        if part not in self.rows:
            raise ValueError(f'{self.name}: part "{part}" is unknown; {suggest(part, list(self.rows))}')
        return tuple(self.captions[row] for row in self.rows[part].tolist())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about how the data was read, one line each: skipped files, ignored classes, a suspicious range."""
        lost = self.unreadable
        found = [
            str(self.notes[key])
            for key in ("size", "mode", "parts", "classes", "range", "share", "drafts", "unused", "left_out", "hidden")
            if key in self.notes
        ]
        if lost:
            many = (
                f"{len(lost)} files could not be read and are" if len(lost) > 1 else "a file could not be read and is"
            )
            found.insert(0, f"{many} left out ({lost[0]['file']}: {lost[0]['reason']})")
        return tuple(f"{self.name}: {line}" for line in found)

    @property
    def unreadable(self) -> Sequence[Mapping[str, str]]:
        """The files that could not be read: "file" and "reason" of each."""
        return cast("Sequence[Mapping[str, str]]", self.notes.get("unreadable_files", ()))

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The range that the samples of *every* method are clamped to before they are compared; None for points."""
        return (-1.0, 1.0) if self.kind == "images" else None


def suggest(name: str, known: Sequence[str]) -> str:
    """The end of an error about an unknown name: the closest known name, if one is close, and all known names."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f'did you mean "{near[0]}"? ' if near else ""
    return f"{guess}known: {', '.join(known)}"


def enough(n: int, what: str = "data") -> None:
    """Raises ValueError if n rows are too few for a verdict."""
    if n < LEAST:
        raise ValueError(f"{what}: too few to tell: {n} rows; a verdict needs at least {LEAST}")


def roots() -> list[Path]:
    """Folders that are searched for published data sets: ``$WARMFLOW_DATA``, then ``../shared/data``."""
    return [Path(root) for root in (os.environ.get("WARMFLOW_DATA"), "../shared/data") if root]


def check_classes(name: str, classes: Sequence[str], label: Tensor | None) -> None:
    """Raises ValueError if a class has a single member: only one of the parts could contain that class."""
    lonely = [] if label is None else (torch.bincount(label) == 1).nonzero().flatten().tolist()
    if lonely:
        others = f" (and {len(lonely) - 1} more)" if len(lonely) > 1 else ""
        remedy = "add more members, merge it into another class, or remove it"
        raise ValueError(f'{name}: class "{classes[lonely[0]]}"{others} has one member; {remedy}')


def part(x1: Tensor, label: Tensor | None = None) -> Batch:
    """A part of a data set: its rows x1 (n, *shape), their labels (n,), and ``index`` 0 .. n - 1."""
    return Batch(x1, {} if label is None else {"label": label}, torch.arange(len(x1)))


def split(
    name: str,
    kind: Kind,
    x: Tensor,
    label: Tensor | None,
    *,
    validation: int,
    heldout: int,
    seed: int,
    classes: tuple[str, ...] = (),
    notes: Mapping[str, object] | None = None,
    captions: tuple[str, ...] = (),
) -> DataSet:
    """A data set made of the rows of x (N, *shape), split by the random permutation of ``seed``.

    The last ``heldout`` rows of the permutation are held out, the ``validation`` rows before them are the validation
    part (None if 0), and the rest is the training part.

    Raises:
        ValueError: a class with one member.
    """
    order = permutation(seed, len(x), "data.split")
    first, last = len(x) - heldout - validation, len(x) - heldout
    rows = {"train": order[:first], "validation": order[first:last], "heldout": order[last:]}
    return parted(name, kind, x, label, rows, classes=classes, notes=notes, captions=captions)


def parted(
    name: str,
    kind: Kind,
    x: Tensor,
    label: Tensor | None,
    rows: Mapping[str, Tensor],
    *,
    classes: tuple[str, ...] = (),
    notes: Mapping[str, object] | None = None,
    captions: tuple[str, ...] = (),
) -> DataSet:
    """A data set made of the rows of x (N, *shape) that each part is given: "train", "validation" (perhaps none), "heldout".

    Raises:
        ValueError: a class with one member.
    """
    check_classes(name, classes, label)
    parts = {k: part(x[r], None if label is None else label[r]) for k, r in rows.items()}
    return DataSet(
        name=name,
        kind=kind,
        train=parts["train"],
        validation=parts["validation"] if len(rows["validation"]) else None,
        heldout=parts["heldout"],
        classes=classes,
        notes=notes or {},
        rows=dict(rows),
        captions=captions,
    )


def named(what: object) -> str | None:
    """The name that stands for a user's data: a string, or a path, of a folder as folder:PATH; None for all else."""
    if isinstance(what, os.PathLike):
        path = str(Path(what))
        return f"{form_of(path)[0]}:{path}" if Path(what).is_dir() else path
    return what if isinstance(what, str) else None


def load(what: object, **options: object) -> DataSet:
    """Loads data in any supported form.

    Args:
        what: a DataSet (returned unchanged); "toy.moons", "toy.eight_gaussians", "toy.checkerboard" (or without
            "toy."); "digits"; "cifar10"; "emoji"; "folder:PATH"; "text:PATH"; "hf:NAME" or "hf:PATH" (needs
            the package ``datasets``); the path of a .npy, .npz, .safetensors or .txt file; a tensor, array or nested list.
        options: arguments of the reader: ``train, heldout, seed`` (toys), ``seed`` (digits), ``most, folder, seed``
            (cifar10), ``size, file, seed`` (emoji), ``size, mode, seed, heldout, stream, memory`` (folders),
            ``image, label, caption, size, mode, most, config, seed`` (hf), ``labels, kind, name, seed`` (arrays),
            ``labels, kind, memory, seed`` (files), ``length, alphabet, most`` (texts).

    Raises:
        ValueError: an unknown name or option, fewer than 200 rows, or anything the reader rejects.
    """
    from warmflow.data import arrays, cifar10, emoji, hub, image_files, images, toy
    from warmflow.data.text import text

    if isinstance(what, DataSet):
        ready = what
        return _call(lambda: ready, ready.name, options)
    told = named(what)
    if told is None:
        return _call(arrays.from_array, "array", options, what)
    name = ALIASES.get(told, told)
    form, rest = form_of(name)
    readers: Mapping[str, Callable[..., DataSet]] = {
        "folder": image_files.folder, "array": arrays.from_file, "hf": hub.hub, "text": text
    }  # fmt: skip
    if form and not (
        rest == name and Path(name).expanduser().is_dir()
    ):  # a folder's bare path might be a data set's name
        found = _call(readers[form], name, options, rest)
    elif name == "digits":
        found = _call(images.digits, name, options)
    elif name == "cifar10":
        found = _call(cifar10.cifar10, name, options)
    elif name == "emoji":
        found = _call(emoji.emoji, name, options)
    elif name in NAMES:
        found = _call(toy.toy, name, options, name.removeprefix("toy."))
    else:
        raise ValueError(_unknown(told))
    enough(found.total, found.name)
    return found


def _call(reader: Callable[..., DataSet], name: str, options: Mapping[str, object], *given: object) -> DataSet:
    """Calls the reader after checking that it accepts every option."""
    taken = list(inspect.signature(reader).parameters)[len(given) :]
    for key in options:
        if key not in taken:
            tail = suggest(key, taken) if taken else "it takes none"
            raise ValueError(f'data "{name}": unknown option "{key}"; {tail}')
    return reader(*given, **options)


def _unknown(what: str) -> str:
    path = Path(what).expanduser()
    if what and path.is_dir():
        form = form_of(what)[0]
        return f'data "{what}" is a folder; to read its {"texts" if form == "text" else "images"}, give "{form}:{what}"'
    if what and path.is_file():
        return f'data "{what}" is not a .npy or .npz file, nor a .txt; save the array with numpy.save, or give "folder:PATH"'
    names = [*NAMES, *ALIASES]
    near = difflib.get_close_matches(what, names, n=1, cutoff=0.5)
    guess = f'did you mean "{near[0]}"? ' if near else ""
    return f'data "{what}" is unknown; {guess}known: {", ".join(NAMES)}, {KNOWN}'
