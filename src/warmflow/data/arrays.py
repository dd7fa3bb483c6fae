"""Data sets from tensors and arrays, and from files of them (.npy, .npz).

Two-dimensional arrays are points (N, d) and keep the user's units: silent standardisation would change the meaning of
distances. Three- and four-dimensional arrays are images, converted by :func:`warmflow.data.images.to_images`. A quarter of
the rows is held out, a tenth is the validation part, the rest the training part, by the random permutation of ``seed``.

A .npy file larger than the memory limit is memory-mapped: its training rows are read, and checked, on demand (``demand``).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from warmflow.data import DataSet, Kind, enough, split, suggest
from warmflow.data.array_files import Objects, Unreadable, mapped, opened
from warmflow.data.demand import MEMORY, gigabytes, on_demand
from warmflow.data.images import as_tensor, to_images, used_range
from warmflow.data.items import unpacked
from warmflow.data.labels import labels_of
from warmflow.files import TENSOR_BYTES, check_file, reason
from warmflow.number_checks import numbers_checked
from warmflow.printing import in_one_line

LABELS, CLASSES = ("y", "labels", "label"), ("classes", "class_names", "label_names", "categories")
"""The names of labels, and of the names of classes, in a .npz file."""
FAR = 10.0
"""Points are warned about if a mean or standard deviation is above this, or a standard deviation below its inverse."""
LOOKED_AT = 1000
"""Rows of a mapped file whose scale is looked at."""
OURS, UNNAMED, SECOND = ("calls", "seed", "steps"), "arr_0", "arr_1"
"""What ``warmflow sample`` writes beside samples; the names that numpy gives to arrays without one."""
MANY = 20
"""Names of arrays that an error lists."""
LARGEST = 1e4
"""Points with larger coordinates are rejected: networks and kernels expect values of order 1."""


@numbers_checked
def from_array(
    x: object, labels: object = None, kind: Kind | None = None, name: str = "array", seed: int = 0,
    classes: Sequence[str] = (),
) -> DataSet:  # fmt: skip
    """A data set from a tensor, array or nested list.

    Args:
        x: (N, d) points, or images (N, H, W), (N, H, W, C) or (N, C, H, W); N at least 200. Also a torch Dataset of these, or of
            (x, label).
        labels: (N,) whole numbers from 0 or strings; mapped to 0 .. K - 1 in natural order, with their names in the data
            set's ``classes``.
        kind: "points" or "images"; by default inferred from the number of dimensions.
        classes: the names of the labels 0 .. K - 1, in this order.

    Raises:
        ValueError: another shape or dtype, NaN or infinite values, points beyond 1e4, identical rows only, or labels that are
            missing (-1, NaN) or not whole.
    """
    x, own = unpacked(x, name)
    labels = own if labels is None else labels
    raw = as_tensor(x, name)
    kind = _kind(tuple(raw.shape), kind, name)
    x1 = (
        _points(raw, name)
        if kind == "points"
        else to_images(raw, name, str(getattr(x, "dtype", "")).removeprefix("torch."))
    )
    if bool((x1 == x1[:1]).all()):
        raise ValueError(f"{name}: all {len(x1)} rows are the same; there is nothing to learn, check the file")
    names, label = labels_of(labels, len(x1), name, classes)
    notes = used_range(raw) if kind == "images" else _scales(x1)
    n = len(x1)
    return split(
        name, kind, x1, label, heldout=n // 4, validation=n // 10, seed=seed, classes=names, notes=notes
    )  # fmt: skip


def _kind(shape: tuple[int, ...], kind: Kind | None, name: str) -> Kind:
    """The kind of data of an array of this shape, unless ``kind`` is given; ValueError for unsupported or too small shapes."""
    if kind not in (None, *get_args(Kind)):
        raise ValueError(f'{name}: kind "{kind}" is unknown; {suggest(str(kind), get_args(Kind))}')
    if math.prod(shape) == 0:
        raise ValueError(f"{name}: shape {shape} is empty; give at least 200 rows")
    if len(shape) < 2 or len(shape) > 4:
        remedy = "reshape to (N, 1)" if len(shape) == 1 else "give (N, d) points or (N, C, H, W) images"
        raise ValueError(f"{name}: shape {shape} has {len(shape)} dimensions; {remedy}")
    enough(shape[0], name)
    return kind or ("points" if len(shape) == 2 else "images")


def _points(raw: Tensor, name: str) -> Tensor:
    """Checked points (N, d) float32, in the user's units."""
    if raw.ndim != 2:
        raise ValueError(f'{name}: shape {tuple(raw.shape)} is not (N, d); reshape it, or set kind="images"')
    if raw.dtype.is_complex or raw.dtype == torch.bool:
        raise ValueError(f"{name}: dtype {str(raw.dtype).removeprefix('torch.')}; give real numbers")
    bad = int((~torch.isfinite(raw)).any(1).sum())
    if bad:
        raise ValueError(f"{name}: NaN or infinite values in {bad} of {len(raw)} rows; remove or repair these rows")
    largest = float(raw.double().abs().max())
    if largest > LARGEST:
        raise ValueError(f"{name}: a value of size {largest:.4g} exceeds {LARGEST:g}; standardise, (x - mean) / std")
    return raw.float().contiguous()


def _scales(x: Tensor) -> dict[str, object]:
    """A line about points (N, d) whose mean or standard deviation is far from order 1, in some coordinate that varies."""
    mean, std = x.double().mean(0), x.double().std(0)
    varies = std > 0
    size = torch.where(varies, torch.maximum(mean.abs(), std), 1.0)
    small = torch.where(varies, std, 1.0)
    worst = int(size.argmax()) if float(size.max()) > FAR else int(small.argmin())
    if float(size.max()) <= FAR and float(small.min()) >= 1 / FAR:
        return {}
    return {
        "range": f"coordinate {worst} has mean {float(mean[worst]):.3g} and standard deviation {float(std[worst]):.3g}, far from "
        "order 1, in which networks, noise and distances are: standardise, (x - mean) / std"
    }


@numbers_checked
def from_file(
    path: str | os.PathLike[str],
    *,
    labels: object = None,
    kind: Kind | None = None,
    seed: int = 0,
    memory: float = MEMORY,
) -> DataSet:
    """A data set from a .npy or .npz file. A .npz file has the data as ``x`` (or its only array), and optional labels ``y``
    (or ``labels``, ``label``), perhaps with their names ``classes`` (K,), as ``warmflow sample`` writes them.

    A .npy file whose rows take more than ``memory`` as float32 is memory-mapped: ``whole`` reads training rows from disk on
    demand, and the parts in memory share ``memory`` (see :mod:`warmflow.data.demand`). A .npz file is always read completely.

    Args:
        labels: (N,) labels as in :func:`from_array`; they replace the file's own.
        memory: memory limit in GB (1e9 bytes).

    Raises:
        ValueError: a missing or damaged file, an ambiguous archive, pickled objects, memory for fewer than 200 rows, or
            anything that :func:`from_array` rejects.
    """
    name = str(path)
    mapped = _mapped(path, gigabytes(memory, name))
    if mapped is not None:
        return _from_map(mapped, labels, kind=kind, name=name, seed=seed, memory=memory)
    found = read_archive(path)
    own, classes = (found.labels, found.classes) if labels is None else (labels, ())
    made = from_array(found.x, own, kind=kind, name=name, seed=seed, classes=classes)
    if not found.unused:
        return made
    return replace(made, notes={**made.notes, "left_out": f"not used: {', '.join(found.unused)}; labels are named y"})


def _mapped(path: str | os.PathLike[str], memory: float) -> np.ndarray | None:
    """The memory-mapped array of a .npy file that takes more than ``memory`` GB as float32; None for any other file, which
    ``read_arrays`` reads or rejects."""
    array = mapped(Path(path).expanduser())
    return array if array is not None and 4 * array.size > memory * 1e9 else None


def _from_map(x: np.ndarray, labels: object, *, kind: Kind | None, name: str, seed: int, memory: float) -> DataSet:
    kind = _kind(x.shape, kind, name)
    classes, label = labels_of(labels, len(x), name)
    check = _points if kind == "points" else to_images

    def read(rows: Tensor) -> Tensor:
        return check(as_tensor(x[rows.numpy()], name), name)

    first = as_tensor(x[:: max(1, len(x) // LOOKED_AT)], name)
    return on_demand(
        name, kind, read, len(x), label, heldout=len(x) // 4, validation=len(x) // 10, memory=memory, seed=seed,
        classes=classes, notes=used_range(first) if kind == "images" else _scales(first.flatten(1)),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Archive:
    """The arrays of a file.

    Args:
        labels: (N,) one for each row of x; None if there are none.
        classes: the names of the labels.
        unused: the names of other arrays with a value for each row.
    """

    x: np.ndarray
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


def read_arrays(path: str | os.PathLike[str], known: tuple[str, ...] = ("x",)) -> np.ndarray:
    """x of a .npy or .npz file, as ``read_archive`` reads it."""
    return read_archive(path, known, labelled=False).x


def read_archive(path: str | os.PathLike[str], known: tuple[str, ...] = ("x",), *, labelled: bool = True) -> Archive:
    """The arrays of a .npy or .npz file, without pickle.

    Args:
        known: accepted names of x in an archive of several arrays, in order of preference; a single array may have any name.
        labelled: read the other arrays too; False for x alone.

    Raises:
        ValueError: a missing or damaged file, pickled objects, two arrays of labels, or an archive without a known name.
    """
    file = Path(path).expanduser()
    if not file.exists():
        raise ValueError(f'file "{path}" does not exist; give the path of a .npy or .npz file')
    if file.is_dir():
        raise ValueError(f'file "{path}" is a folder; to read images in it, give "folder:{path}"')
    if not file.is_file():
        raise ValueError(f'file "{path}" is a pipe or a device; give a .npy or .npz file')
    reading = "x"
    try:
        with _opened(file) as loaded:
            if isinstance(loaded, np.ndarray):
                return Archive(loaded)
            keys = list(loaded)
            marked = [key for key in LABELS if key in keys]
            others = [key for key in keys if key not in (*LABELS, *CLASSES, *OURS)]
            named = [key for key in known if key in keys and key != UNNAMED]
            named = named or [key for key in known if key in keys and SECOND not in keys]
            key = named[0] if len(named) == 1 else others[0] if not named and len(others) == 1 else None
            if key is not None and not labelled:
                return Archive(loaded[key], unused=_beside(loaded, [k for k in others if k != key]))
            if key is not None and len(marked) < 2:
                x = loaded[key]
                reading = marked[0] if marked else "x"
                labels = loaded[reading] if marked else None
                word, classes = _names(loaded, keys if marked else [], len(np.atleast_1d(x)))
                rest = [k for k in keys if k not in (key, word, *marked)]
                return Archive(x, labels, classes, _beside(loaded, rest))
    except Objects:
        remedy = "save an array of numbers" if reading == "x" else f"save {reading} as texts, {reading}.astype(str)"
        raise ValueError(f'file "{path}" holds objects, which are never unpickled; {remedy}') from None
    except (Unreadable, PermissionError) as error:
        reason = str(error).split("\n")[0]
        raise ValueError(f'file "{path}" cannot be read ({reason}); write it with numpy.save or numpy.savez') from None
    if key is not None:
        raise ValueError(f'file "{path}" has labels as {" and as ".join(marked)}; keep one of these arrays')
    names = ", ".join(in_one_line(name) for name in keys[:MANY]) + (", ..." if len(keys) > MANY else "")
    raise ValueError(f'file "{path}" has the arrays {names or "(none)"}; name the data x and the labels y')


def _names(loaded: Mapping[str, np.ndarray], keys: Sequence[str], n: int) -> tuple[str, tuple[str, ...]]:
    """The key and the names of the classes: distinct texts, fewer than rows; ("", ()) if there are none."""
    for key in CLASSES:
        try:
            found = loaded[key] if key in keys else np.empty(0)
        except Objects:
            continue
        names = tuple(map(str, found.tolist())) if found.dtype.kind == "U" and found.ndim == 1 else ()
        if names and len(set(names)) == len(names) < n:
            return key, names
    return "", ()


def _beside(loaded: Mapping[str, np.ndarray], keys: list[str]) -> tuple[str, ...]:
    """The names of the arrays of several values, other than those that ``warmflow sample`` writes."""
    found = []
    for key in keys:
        try:
            several = loaded[key].size > 1
        except Objects:
            several = True
        if several and key not in OURS:
            found.append(key)
    return tuple(found)


@contextmanager
def _opened(file: Path) -> Iterator[np.ndarray | Mapping[str, np.ndarray]]:
    """The array of a .npy file, or the arrays of a .npz or .safetensors file by name."""
    if file.suffix.lower() == ".safetensors":
        yield {name: array_of(x) for name, x in tensors_in(file).items()}
        return
    with opened(file) as loaded:
        yield loaded


def tensors_in(file: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file by name.

    Raises:
        OSError: a file that cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        check_file(file, TENSOR_BYTES)
        return load_file(file)
    except (SafetensorError, ValueError) as error:
        raise OSError(reason(error)) from None


def array_of(x: Tensor) -> np.ndarray:
    """The values of a tensor; numpy has no bfloat16, which becomes float32."""
    found: np.ndarray = (x.float() if x.dtype == torch.bfloat16 else x).numpy()
    return found
