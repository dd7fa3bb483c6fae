"""Data sets from tensors and arrays, and from files of them (.npy, .npz).

Two-dimensional arrays are points (N, d) and keep the user's units: silent standardisation would change the meaning of
distances. Three- and four-dimensional arrays are images, converted by :func:`warmflow.data.images.to_images`. A quarter of
the rows is held out, a tenth is the validation part, the rest the training part, by the random permutation of ``seed``.

A .npy file larger than the memory limit is memory-mapped: its training rows are read, and checked, on demand (``demand``).
"""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from warmflow.data import DataSet, Kind, enough, split, suggest
from warmflow.data.demand import MEMORY, gigabytes, on_demand
from warmflow.data.images import as_tensor, to_images

LARGEST = 1e4
"""Points with larger coordinates are rejected: networks and kernels expect values of order 1."""


def from_array(
    x: object, labels: object = None, kind: Kind | None = None, name: str = "array", seed: int = 0
) -> DataSet:
    """A data set from a tensor, array or nested list.

    Args:
        x: (N, d) points, or images (N, H, W), (N, H, W, C) or (N, C, H, W); N at least 200.
        labels: (N,) integers or strings; mapped to 0 .. K - 1 in sorted order, with their names in ``classes``.
        kind: "points" or "images"; by default inferred from the number of dimensions.

    Raises:
        ValueError: another shape or dtype, NaN or infinite values, points beyond 1e4, or identical rows only.
    """
    raw = as_tensor(x, name)
    kind = _kind(tuple(raw.shape), kind, name)
    x1 = _points(raw, name) if kind == "points" else to_images(raw, name)
    if bool((x1 == x1[:1]).all()):
        raise ValueError(f"{name}: all {len(x1)} rows are the same; there is nothing to learn, check the file")
    classes, label = labels_of(labels, len(x1), name)
    notes = _notes(raw) if kind == "images" else {}
    n = len(x1)
    return split(
        name, kind, x1, label, heldout=n // 4, validation=n // 10, seed=seed, classes=classes, notes=notes
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


def _notes(raw: Tensor) -> dict[str, object]:
    if raw.dtype.is_floating_point and float(raw.min()) >= 0:
        return {"range": "no value is below 0; if 0 means black, scale [0, 1] to [-1, 1] by 2 * x - 1"}
    return {}


def labels_of(labels: object, n: int, name: str) -> tuple[tuple[str, ...], Tensor | None]:
    """Class names in sorted order, and labels (n,) int64 that index them; ((), None) without labels."""
    if labels is None:
        return (), None
    y = np.asarray(labels.detach().cpu().tolist() if isinstance(labels, Tensor) else labels)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.shape != (n,):
        raise ValueError(f"{name}: labels have shape {y.shape} but x has {n} rows; give one label a row, shape ({n},)")
    if y.dtype.kind == "f" and np.isfinite(y).all() and (y == np.round(y)).all():
        y = y.astype(np.int64)
    if y.dtype.kind not in "biuUS":
        raise ValueError(f"{name}: labels of dtype {y.dtype}; give whole numbers or strings, without NaN")
    names, label = np.unique(y, return_inverse=True)
    if names.dtype.kind == "S":
        names = np.char.decode(names, "utf-8", "replace")
    return tuple(str(v) for v in names.tolist()), torch.from_numpy(label.reshape(-1).astype(np.int64))


def from_file(
    path: str | os.PathLike[str],
    *,
    labels: object = None,
    kind: Kind | None = None,
    seed: int = 0,
    memory: float = MEMORY,
) -> DataSet:
    """A data set from a .npy or .npz file. A .npz file has the data as ``x`` (or its only array), and optional labels ``y``.

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
    x, own = read_arrays(path)
    return from_array(x, own if labels is None else labels, kind=kind, name=name, seed=seed)


def _mapped(path: str | os.PathLike[str], memory: float) -> np.ndarray | None:
    """The memory-mapped array of a .npy file that takes more than ``memory`` GB as float32; None for any other file, which
    ``read_arrays`` reads or rejects."""
    try:
        array = np.load(Path(path).expanduser(), mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile):
        return None
    if isinstance(array, np.ndarray):
        return array if 4 * array.size > memory * 1e9 else None
    array.close()
    return None


def _from_map(x: np.ndarray, labels: object, *, kind: Kind | None, name: str, seed: int, memory: float) -> DataSet:
    kind = _kind(x.shape, kind, name)
    classes, label = labels_of(labels, len(x), name)
    check = _points if kind == "points" else to_images

    def read(rows: Tensor) -> Tensor:
        return check(as_tensor(x[rows.numpy()], name), name)

    return on_demand(
        name, kind, read, len(x), label, heldout=len(x) // 4, validation=len(x) // 10, memory=memory, seed=seed,
        classes=classes,
    )  # fmt: skip


def read_arrays(path: str | os.PathLike[str], known: tuple[str, ...] = ("x",)) -> tuple[np.ndarray, np.ndarray | None]:
    """(x, labels or None) of a .npy or .npz file, without pickle.

    Args:
        known: accepted names of x in an archive of several arrays, in order of preference; a single array may have any name.

    Raises:
        ValueError: a missing or damaged file, pickled objects, or an archive without a known name.
    """
    file = Path(path).expanduser()
    if not file.exists():
        raise ValueError(f'file "{path}" does not exist; give the path of a .npy or .npz file')
    if file.is_dir():
        raise ValueError(f'file "{path}" is a folder; to read images in it, give "folder:{path}"')
    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded, None
        with loaded:
            keys = list(loaded.files)
            others = [key for key in keys if key != "y"]
            named = [key for key in known if key in keys]
            key = named[0] if named else others[0] if len(others) == 1 else None
            if key is not None:
                return loaded[key], loaded["y"] if "y" in keys else None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error) and "Object arrays" in str(error):
            raise ValueError(
                f'file "{path}" holds objects, which are never unpickled; save an array of numbers'
            ) from None
        reason = str(error).split("\n")[0] if isinstance(error, PermissionError) else "damaged, or not this format"
        raise ValueError(f'file "{path}" cannot be read ({reason}); write it with numpy.save or numpy.savez') from None
    raise ValueError(f'file "{path}" has the arrays {", ".join(keys) or "(none)"}; name the data x and the labels y')
