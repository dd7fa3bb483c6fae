"""Reads a set of samples from a file or a folder, as it is stored.

    a folder            the images in it and its subfolders, at full size; class folders are read as one set, with their files
                        interleaved, each folder in natural order of the names (2.png before 10.png)
    .npy, .npz          an array; of several, the one named x, samples or arr_0
    .safetensors        a tensor; of several, the one named x, samples or arr_0
    .txt                one text per line, all of equal length; all sets share one alphabet

If samples answer an input, a set holds several draws of every answer: a folder with a folder or file for each draw, or an array
(K, m, ...) whose rows are in the order of the inputs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from warmflow.data import ALIASES
from warmflow.data import NAMES as DATA_SETS
from warmflow.data.arrays import array_of, read_archive, read_arrays, tensors_in
from warmflow.data.forms import PICTURES as SUFFIXES
from warmflow.data.forms import form_of, path_in
from warmflow.data.image_files import left_out, names_of, of_machine, read_pixels, reason, remedy
from warmflow.data.images import as_tensor, channels_first, scaling
from warmflow.data.labels import natural
from warmflow.data.text import read as read_text
from warmflow.files import EXPANDED, EXPANDED_BYTES

NAMES = ("x", "samples", "arr_0")
FILES = (".npy", ".npz", ".safetensors", ".txt")

Kind = Literal["images", "points", "tokens", "text"]


@dataclass(frozen=True, eq=False)
class Raw:
    """A set as it is stored: ``x`` as uint8, floats or int64, or the lines of a text. ``first`` names its first sample,
    ``unused`` the other arrays of its file."""

    path: str
    kind: Kind
    x: Tensor
    first: str
    lines: tuple[str, ...] = ()
    compressed: bool = False
    left_out: str = ""
    unused: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines) if self.kind == "text" else len(self.x)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.lines[0]),) if self.kind == "text" else tuple(self.x.shape[1:])


def raw_set(path: str | os.PathLike[str], mode: str = "") -> Raw:
    """A set as it is stored; ``mode`` as in ``read_pixels``.

    Raises:
        ValueError: a file that is missing, damaged or of another kind, samples of different sizes.
    """
    file, name = Path(path_in(str(path))).expanduser(), str(path)
    if not file.exists():
        raise ValueError(_missing(name))
    if file.is_dir():
        return _folder(file, name, mode)
    suffix = file.suffix.lower()
    if suffix in (".npy", ".npz"):
        found = read_archive(file, NAMES, labelled=False)
        return replace(_array(as_tensor(found.x, name), name), unused=found.unused)
    if suffix == ".safetensors":
        x, unused = _safetensors(file, name)
        return replace(_array(x, name), unused=unused)
    if suffix == ".txt":
        return _lines(file, name)
    raise ValueError(
        f"{name} has an unsupported suffix; give a folder of images, or a .npy, .npz, .safetensors or .txt file"
    )


def _missing(name: str) -> str:
    """The error for a path that does not exist, which may be another form of data."""
    if form_of(name)[0] == "hf" or name in (*DATA_SETS, *ALIASES):
        return (
            f"{name} names a data set, and samples are read from files; write them to a folder of images or a .npy file"
        )
    return f"{name} does not exist; give a folder of images, or a .npy, .npz, .safetensors or .txt file"


def drawn_set(path: str | os.PathLike[str], mode: str = "") -> Raw:
    """The draws (K, m, ...) of a method's answers as one set of K m rows, draw by draw."""
    file, name = Path(path_in(str(path))).expanduser(), str(path)
    if file.is_dir():
        inside = sorted((e for e in file.iterdir() if not e.name.startswith(".")), key=lambda e: natural(e.name))
        draws = [raw_set(e, mode) for e in inside if e.is_dir() or e.suffix.lower() in FILES]
        if not draws:
            raise ValueError(
                f"{name} has no folder or file for each draw; with inputs, give several draws of every answer, like "
                f"{name}/0, {name}/1 ..."
            )
        for raw in draws:
            check_alike(draws[0], raw)
            if len(raw) != len(draws[0]):
                raise ValueError(
                    f"{draws[0].path} has {len(draws[0])} answers and {raw.path} {len(raw)}; answer every input in every draw"
                )
        lines = tuple(line for raw in draws for line in raw.lines)
        x = torch.cat([raw.x for raw in draws])
        return Raw(name, draws[0].kind, x, draws[0].first, lines, any(raw.compressed for raw in draws))
    suffix = file.suffix.lower()
    if not file.exists() or suffix not in FILES or suffix == ".txt":
        raise ValueError(
            f"{name} {'has no draws' if file.exists() else 'does not exist'}; with inputs, give a folder with a folder or file "
            "for each draw, or an array (draws, inputs, ...)"
        )
    x = _safetensors(file, name)[0] if suffix == ".safetensors" else as_tensor(read_arrays(file, NAMES), name)
    if x.ndim < 3:
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}; with inputs, give draws of every answer: (draws, inputs, ...)"
        )
    return _array(x.flatten(0, 1), name)


def files_of(root: Path) -> list[str]:
    """The relative names of the image files below a folder, with the files of its subfolders interleaved.

    A set is split into parts by the order of its rows. If the classes were in sequence, a part would lack classes; so files
    are sorted by (i + 1/2) / n, for the i-th of the n files of a folder.
    """
    folders: dict[str, list[str]] = {}
    for name in sorted((n for n in names_of(root) if n.lower().endswith(SUFFIXES)), key=natural):
        folders.setdefault(os.path.dirname(name), []).append(name)
    placed = [
        ((i + 0.5) / len(names), k, name)
        for k, names in enumerate(folders.values())
        for i, name in enumerate(names)
    ]  # fmt: skip
    return [name for _, _, name in sorted(placed)]


def _folder(root: Path, name: str, mode: str) -> Raw:
    files, pixels = files_of(root), []
    if not files:
        raise ValueError(f"{name} holds no images; give a folder of {', '.join(s[1:] for s in SUFFIXES[:4])} files")
    most = max(EXPANDED_BYTES, EXPANDED * sum((root / file).stat().st_size for file in files))
    for file in files:
        try:
            pixels.append(read_pixels(root / file, mode))
        except Exception as error:  # Pillow's decoders raise many kinds of errors on damaged bytes
            of_machine(error)
            raise ValueError(
                f"{name}/{file} cannot be read ({reason(error)}); {remedy(error)} or write it again"
            ) from None
        if pixels[0].size * len(files) > most:
            raise ValueError(
                f"{name} holds {len(files)} images of {pixels[0].shape[1]} x {pixels[0].shape[2]} pixels, "
                f"{pixels[0].size * len(files) / 2**20:.0f} MB; at most {most / 2**20:.0f} MB are read of these files: make them "
                "smaller"
            )
        if pixels[-1].shape != pixels[0].shape:
            _differ(f"{name}/{files[0]}", pixels[0].shape, f"{name}/{file}", pixels[-1].shape)
    lossy = any(file.lower().endswith((".jpg", ".jpeg")) for file in files)
    others = [n for n in names_of(root) if not n.lower().endswith(SUFFIXES)]
    other = (
        f"{len(others)} of {len(files) + len(others)} files are no images and left out ({others[0]})" if others else ""
    )
    x, left = torch.from_numpy(np.stack(pixels)), "; ".join(filter(None, (left_out(root, files), other)))
    return Raw(name, "images", x, f"{name}/{files[0]}", compressed=lossy, left_out=left)


def _safetensors(file: Path, name: str) -> tuple[Tensor, tuple[str, ...]]:
    """The samples in a file, and the names of its other tensors."""
    try:
        found = tensors_in(file)
    except OSError as error:
        raise ValueError(f"{name} cannot be read ({error}); write it with safetensors.torch.save_file") from None
    key = next((k for k in NAMES if k in found), next(iter(found)) if len(found) == 1 else None)
    if key is None:
        raise ValueError(f"{name} has the tensors {', '.join(sorted(found)) or '(none)'}; name the samples x")
    return as_tensor(array_of(found[key]), name), tuple(k for k in found if k != key and found[k].numel() > 1)


def _array(x: Tensor, name: str) -> Raw:
    """A set from an array, whose kind follows from its dimensions and dtype."""
    if not x.numel() or x.ndim not in (2, 3, 4):
        raise ValueError(f"{name} has shape {tuple(x.shape)}; give images (N, C, H, W), points (N, d) or tokens (N, L)")
    if x.ndim > 2:
        if x.dtype != torch.uint8 and not x.is_floating_point():
            raise ValueError(f"{name} holds images of {str(x.dtype)[6:]}; {scaling(x)}")
        return Raw(name, "images", channels_first(x, name).contiguous(), name)
    if x.dtype == torch.uint8 or x.dtype == torch.bool or x.is_complex():
        raise ValueError(f"{name} holds rows of {str(x.dtype)[6:]}; reshape images to (N, H, W), save tokens as int64")
    if x.is_floating_point():
        return Raw(name, "points", x, name)
    return Raw(name, "tokens", x.long(), name)


def _lines(file: Path, name: str) -> Raw:
    text = next(iter(read_text(file).values()))
    lines = list(enumerate(text.rstrip("\n").split("\n"), 1))
    for (i, line), (j, other) in pairwise(lines):
        if len(line) != len(other):
            raise ValueError(
                f"{name}: line {i} has {len(line)} symbols and line {j} {len(other)}; cut or pad every line to one length"
            )
    return Raw(name, "text", torch.empty(0), f"{name}, line {lines[0][0]}", tuple(line for _, line in lines))


def _differ(first: str, shape: tuple[int, ...], second: str, other: tuple[int, ...]) -> None:
    """Raises ValueError for two images of different shapes (C, H, W)."""
    if shape[0] != other[0]:
        colour, grey = (first, second) if shape[0] == 3 else (second, first)
        raise ValueError(
            f"{colour} is in colour and {grey} is grey; convert all to one (image files: --mode L or --mode RGB)"
        )
    raise ValueError(
        f"{first} is {shape[2]} x {shape[1]} pixels and {second} {other[2]} x {other[1]}; resize all images to one size"
    )


def check_alike(truth: Raw, raw: Raw) -> None:
    """Raises ValueError if two sets differ in kind or sample shape."""
    if truth.kind != raw.kind:
        raise ValueError(f"{truth.path} holds {truth.kind} and {raw.path} {raw.kind}; give samples of one kind")
    if truth.shape == raw.shape:
        return
    if truth.kind == "images":
        _differ(truth.first, truth.shape, raw.first, raw.shape)
    unit = {"points": "coordinates", "tokens": "tokens", "text": "symbols"}[truth.kind]
    raise ValueError(
        f"{truth.path} has {truth.shape[0]} {unit} per sample and {raw.path} {raw.shape[0]}; use one shape for all sets"
    )
