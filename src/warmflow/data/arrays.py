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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from warmflow.data import DataSet, Kind, enough, split, suggest
from warmflow.data.demand import MEMORY, gigabytes, on_demand
from warmflow.data.images import as_tensor, to_images
from warmflow.data.labels import labels_of

LABELS, CLASSES = ("y", "labels", "label"), ("classes", "class_names", "label_names", "categories")
"""The names of labels, and of the names of classes, in a .npz file."""
OURS, UNNAMED, SECOND = ("calls", "seed", "steps"), "arr_0", "arr_1"
"""What ``warmflow sample`` writes beside samples; the names that numpy gives to arrays without one."""
LARGEST = 1e4
"""Points with larger coordinates are rejected: networks and kernels expect values of order 1."""


def from_array(
    x: object, labels: object = None, kind: Kind | None = None, name: str = "array", seed: int = 0,
    classes: Sequence[str] = (),
) -> DataSet:  # fmt: skip
    """A data set from a tensor, array or nested list.

    Args:
        x: (N, d) points, or images (N, H, W), (N, H, W, C) or (N, C, H, W); N at least 200.
        labels: (N,) whole numbers from 0 or strings; mapped to 0 .. K - 1 in natural order, with their names in the data
            set's ``classes``.
        kind: "points" or "images"; by default inferred from the number of dimensions.
        classes: the names of the labels 0 .. K - 1, in this order.

    Raises:
        ValueError: another shape or dtype, NaN or infinite values, points beyond 1e4, identical rows only, or labels that are
            missing (-1, NaN) or not whole.
    """
    raw = as_tensor(x, name)
    kind = _kind(tuple(raw.shape), kind, name)
    x1 = _points(raw, name) if kind == "points" else to_images(raw, name)
    if bool((x1 == x1[:1]).all()):
        raise ValueError(f"{name}: all {len(x1)} rows are the same; there is nothing to learn, check the file")
    names, label = labels_of(labels, len(x1), name, classes)
    notes = _notes(raw) if kind == "images" else {}
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


def _notes(raw: Tensor) -> dict[str, object]:
    if raw.dtype.is_floating_point and float(raw.min()) >= 0:
        return {"range": "no value is below 0; if 0 means black, scale [0, 1] to [-1, 1] by 2 * x - 1"}
    return {}


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
                word, classes = _names(loaded, keys if marked else [], len(x))
                rest = [k for k in keys if k not in (key, word, *marked)]
                return Archive(x, labels, classes, _beside(loaded, rest))
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error) and "Object arrays" in str(error):
            remedy = "save an array of numbers" if reading == "x" else f"save {reading} as texts, {reading}.astype(str)"
            raise ValueError(f'file "{path}" holds objects, which are never unpickled; {remedy}') from None
        reason = str(error).split("\n")[0] if isinstance(error, PermissionError) else "damaged, or not this format"
        raise ValueError(f'file "{path}" cannot be read ({reason}); write it with numpy.save or numpy.savez') from None
    if key is not None:
        raise ValueError(f'file "{path}" has labels as {" and as ".join(marked)}; keep one of these arrays')
    raise ValueError(f'file "{path}" has the arrays {", ".join(keys) or "(none)"}; name the data x and the labels y')


def _names(loaded: Mapping[str, np.ndarray], keys: Sequence[str], n: int) -> tuple[str, tuple[str, ...]]:
    """The key and the names of the classes: distinct texts, fewer than rows; ("", ()) if there are none."""
    for key in CLASSES:
        try:
            found = loaded[key] if key in keys else np.empty(0)
        except ValueError:  # an array of objects, which is never unpickled
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
        except ValueError:  # an array of objects
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
    loaded = np.load(file, allow_pickle=False)
    with loaded if hasattr(loaded, "close") else nullcontext(loaded):
        yield loaded


def tensors_in(file: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file by name.

    Raises:
        OSError: a file that cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except SafetensorError as error:
        raise OSError(str(error)) from None


def array_of(x: Tensor) -> np.ndarray:
    """The values of a tensor; numpy has no bfloat16, which becomes float32."""
    found: np.ndarray = (x.float() if x.dtype == torch.bfloat16 else x).numpy()
    return found
