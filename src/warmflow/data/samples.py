"""Reads sets of samples from files, converts them to one form and checks them against each other.

    a folder            the images in it and its subfolders, at full size; class folders are read as one set, with their files
                        interleaved, each folder in natural order of the names (2.png before 10.png)
    .npy, .npz          an array; of several, the one named x, samples or arr_0
    .safetensors        a tensor; of several, the one named x, samples or arr_0
    .txt                one text per line, all of equal length; all sets share one alphabet

    images     (N, C, H, W) floats: uint8 becomes x/127.5 - 1; floats are assumed to be in [-1, 1] unless ``Reading.ranges``
               gives another range
    points     (N, d) floats in the user's units
    tokens     (N, L) int64

If samples answer an input, a set holds several draws of every answer: a folder with a folder or file for each draw, or an array
(K, m, ...) whose rows are in the order of the inputs.

An evaluation compares distances, so any difference between two sets that is not a property of a method is an error: scale,
size, channels, number of samples. Every error is one line with both paths and the remedy.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from warmflow.data.arrays import read_arrays
from warmflow.data.checks import overlaps, repeats
from warmflow.data.given import DARK, DARK_SHARE, NO_DARK
from warmflow.data.image_files import names_of, read_pixels, reason
from warmflow.data.images import as_tensor, channels_first, from_uint8
from warmflow.data.text import Alphabet
from warmflow.data.text import read as read_text

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".tga", ".avif", ".jp2")
NAMES = ("x", "samples", "arr_0")
FILES = (".npy", ".npz", ".safetensors", ".txt")
FEWEST = 100
ADVISED = 1_000
ROUNDING = 1e-4
FAR, FAR_SHARE = 2.0, 0.1
"""Images with a tenth of their values beyond 2 are not in [-1, 1]; samples that are not clipped may exceed 1."""
REPEATS = 0.05

Kind = Literal["images", "points", "tokens", "text"]


@dataclass(frozen=True)
class Reading:
    """Options for reading files.

    Args:
        ranges: the values (low, high) of black and white in files of floats, by path as given, or by "" for all files.
        mode: "RGB" or "L", the mode that image files are converted to; "" keeps their own.
    """

    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    mode: str = ""

    def range_of(self, path: str) -> tuple[float, float] | None:
        return self.ranges.get(path, self.ranges.get(""))


@dataclass(frozen=True, eq=False)
class Raw:
    """A set as it is stored: ``x`` as uint8, floats or int64, or the lines of a text. ``first`` names its first sample."""

    path: str
    kind: Kind
    x: Tensor
    first: str
    lines: tuple[str, ...] = ()
    compressed: bool = False

    def __len__(self) -> int:
        return len(self.lines) if self.kind == "text" else len(self.x)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.lines[0]),) if self.kind == "text" else tuple(self.x.shape[1:])


@dataclass(frozen=True, eq=False)
class Sets:
    """All sets of an evaluation in one form; ``methods`` by their labels."""

    real: Tensor
    methods: Mapping[str, Tensor]
    train: Tensor | None = None
    validation: Tensor | None = None
    notes: tuple[str, ...] = ()
    alphabet: Alphabet | None = None


def read_samples(
    path: str | os.PathLike[str], reading: Reading | None = None, *, alphabet: Alphabet | None = None
) -> Tensor:
    """Reads one set in the form described at the top of this module.

    Args:
        alphabet: the alphabet of a text; by default its own symbols. Texts that are compared need a common alphabet.

    Raises:
        ValueError: a file that is missing, damaged or of another kind, samples of different sizes, values out of range, NaN.
    """
    reading = reading or Reading()
    raw = _raw(path, reading)
    if raw.kind == "text":
        return _tokens(raw, alphabet or Alphabet.of("".join(raw.lines)))
    _finite(raw)
    return _values(raw, reading)


def read_all(
    real: str | os.PathLike[str],
    methods: Mapping[str, str | os.PathLike[str]],
    train: str | os.PathLike[str] | None = None,
    validation: str | os.PathLike[str] | None = None,
    reading: Reading | None = None,
    *,
    draws: bool = False,
) -> Sets:
    """Reads all sets of an evaluation in one form.

    Args:
        methods: the path of the samples of each method, number of calls and training seed, by label.
        draws: each set of a method holds K draws of an answer to every row of ``real`` and ``validation``, and is returned
            as (K, m, *S).

    Raises:
        ValueError: as in ``read_samples``; also sets that differ in kind, size, channels, range or number of samples, fewer
            than 100 samples, the same samples under two labels, or real data that occur in another set.
    """
    reading = reading or Reading()
    _one_path_each(methods)
    read = _drawn if draws else _raw
    raws = {label: read(path, reading) for label, path in methods.items()}
    others = {
        name: _raw(path, reading) for name, path in (("train", train), ("validation", validation)) if path is not None
    }
    truth = _raw(real, reading)
    everything = [truth, *others.values(), *raws.values()]
    for path in reading.ranges:
        if path and path not in {raw.path for raw in everything}:
            raise ValueError(
                f"--range is for {path!r}, which is not a set of this evaluation; write the path as in the other options"
            )
    for raw in everything:
        _alike(truth, raw)
        if raw.kind != "text":
            _finite(raw)
    _enough(truth, list(raws.values()))
    answered = len(truth) + (len(others["validation"]) if "validation" in others else 0)
    if draws:
        _answered(list(raws.values()), answered)
    alphabet = None
    if truth.kind == "text":
        alphabet = Alphabet.of("".join(line for raw in everything for line in raw.lines))
        made = [_tokens(raw, alphabet) for raw in everything]
    else:
        made = [_values(raw, reading, strict=raw in (truth, *others.values())) for raw in everything]
        if truth.kind == "images":
            _one_range(everything, made, reading)
    found = dict(zip((raw.path for raw in everything), made, strict=True))
    sets = {name: found[raw.path] for name, raw in others.items()}
    samples = {label: found[raw.path] for label, raw in raws.items()}
    _apart(truth, others, raws, found)
    number = answered if draws else len(next(iter(raws.values()))) if raws else ADVISED
    notes = (*_compressed(everything), *_few(number), *_repeated(truth, raws, found))
    if draws:
        samples = {label: x.unflatten(0, (-1, answered)) for label, x in samples.items()}
    return Sets(found[truth.path], samples, sets.get("train"), sets.get("validation"), notes, alphabet)


# ---------------------------------------------------------------- files


def _raw(path: str | os.PathLike[str], reading: Reading) -> Raw:
    """A set as it is stored."""
    file, name = Path(path).expanduser(), str(path)
    if not file.exists():
        raise ValueError(f"{name} does not exist; give a folder of images, or a .npy, .npz, .safetensors or .txt file")
    if file.is_dir():
        return _folder(file, name, reading.mode)
    suffix = file.suffix.lower()
    if suffix in (".npy", ".npz"):
        return _array(as_tensor(read_arrays(file, NAMES)[0], name), name)
    if suffix == ".safetensors":
        return _array(_safetensors(file, name), name)
    if suffix == ".txt":
        return _lines(file, name)
    raise ValueError(
        f"{name} has an unsupported suffix; give a folder of images, or a .npy, .npz, .safetensors or .txt file"
    )


def _drawn(path: str | os.PathLike[str], reading: Reading) -> Raw:
    """The draws (K, m, ...) of a method's answers as one set of K m rows, draw by draw."""
    file, name = Path(path).expanduser(), str(path)
    if file.is_dir():
        inside = sorted((e for e in file.iterdir() if not e.name.startswith(".")), key=lambda e: natural(e.name))
        draws = [_raw(e, reading) for e in inside if e.is_dir() or e.suffix.lower() in FILES]
        if not draws:
            raise ValueError(
                f"{name} has no folder or file for each draw; with inputs, give several draws of every answer, like "
                f"{name}/0, {name}/1 ..."
            )
        for raw in draws:
            _alike(draws[0], raw)
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
    x = _safetensors(file, name) if suffix == ".safetensors" else as_tensor(read_arrays(file, NAMES)[0], name)
    if x.ndim < 3:
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}; with inputs, give draws of every answer: (draws, inputs, ...)"
        )
    return _array(x.flatten(0, 1), name)


def natural(name: str) -> list[tuple[int, str]]:
    """A sort key that orders numbers in names by value: a2 before a10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part]


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
    for file in files:
        try:
            pixels.append(read_pixels(root / file, mode))
        except Exception as error:  # Pillow's decoders raise many kinds of errors on damaged bytes
            raise ValueError(f"{name}/{file} cannot be read ({reason(error)}); remove it or write it again") from None
        if pixels[-1].shape != pixels[0].shape:
            _differ(f"{name}/{files[0]}", pixels[0].shape, f"{name}/{file}", pixels[-1].shape)
    lossy = any(file.lower().endswith((".jpg", ".jpeg")) for file in files)
    return Raw(name, "images", torch.from_numpy(np.stack(pixels)), f"{name}/{files[0]}", compressed=lossy)


def _safetensors(file: Path, name: str) -> Tensor:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(file)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{name} cannot be read ({error}); write it with safetensors.torch.save_file") from None
    key = next((k for k in NAMES if k in found), next(iter(found)) if len(found) == 1 else None)
    if key is None:
        raise ValueError(f"{name} has the tensors {', '.join(sorted(found)) or '(none)'}; name the samples x")
    return as_tensor(found[key].float() if found[key].dtype == torch.bfloat16 else found[key], name)


def _array(x: Tensor, name: str) -> Raw:
    """A set from an array, whose kind follows from its dimensions and dtype."""
    if not x.numel() or x.ndim not in (2, 3, 4):
        raise ValueError(f"{name} has shape {tuple(x.shape)}; give images (N, C, H, W), points (N, d) or tokens (N, L)")
    if x.ndim > 2:
        if x.dtype != torch.uint8 and not x.is_floating_point():
            raise ValueError(f"{name} holds images of {str(x.dtype)[6:]}; give uint8 (0..255) or floats in [-1, 1]")
        return Raw(name, "images", channels_first(x, name).contiguous(), name)
    if x.dtype == torch.uint8 or x.dtype == torch.bool or x.is_complex():
        raise ValueError(f"{name} holds rows of {str(x.dtype)[6:]}; reshape images to (N, H, W), save tokens as int64")
    if x.is_floating_point():
        return Raw(name, "points", x, name)
    return Raw(name, "tokens", x.long(), name)


def _lines(file: Path, name: str) -> Raw:
    text = next(iter(read_text(file).values()))
    lines = [(i, line) for i, line in enumerate(text.split("\n"), 1) if line]
    for (i, line), (j, other) in pairwise(lines):
        if len(line) != len(other):
            raise ValueError(
                f"{name}: line {i} has {len(line)} symbols and line {j} {len(other)}; cut or pad every line to one length"
            )
    return Raw(name, "text", torch.empty(0), f"{name}, line {lines[0][0]}", tuple(line for _, line in lines))


# ---------------------------------------------------------------- one form


def _tokens(raw: Raw, alphabet: Alphabet) -> Tensor:
    return alphabet.encode("".join(raw.lines)).reshape(len(raw), -1)


def _values(raw: Raw, reading: Reading, strict: bool = False) -> Tensor:
    """The tensor of a set of images, points or tokens; ``strict`` requires images to be within their range."""
    if raw.kind != "images":
        return raw.x.float() if raw.kind == "points" else raw.x
    if raw.x.dtype == torch.uint8:
        return from_uint8(raw.x)
    low, high = reading.range_of(raw.path) or (-1.0, 1.0)
    x = (raw.x.float() - low) * (2 / (high - low)) - 1 if (low, high) != (-1.0, 1.0) else raw.x.float()
    end = float(x.abs().max())
    if (strict and end > 1 + ROUNDING) or float((x.abs() > FAR).float().mean()) > FAR_SHARE:
        raise ValueError(
            f"{raw.path} has values from {float(raw.x.min()):.4g} to {float(raw.x.max()):.4g}, outside {low:g} .. {high:g}; "
            f"give uint8 (0..255), or --range {raw.path}=LOW,HIGH"
        )
    return x


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


def _alike(truth: Raw, raw: Raw) -> None:
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


def _finite(raw: Raw) -> None:
    if not raw.x.is_floating_point():
        return
    bad = (~torch.isfinite(raw.x)).flatten(1).any(1).nonzero().flatten()
    if len(bad):
        raise ValueError(
            f"{raw.path} has NaN or infinite values in {len(bad)} of {len(raw)} samples (the first is sample {int(bad[0])}); "
            "repair the method or leave it out"
        )


def _one_range(raws: list[Raw], made: list[Tensor], reading: Reading) -> None:
    """Raises ValueError if one set has no dark values and another has them, as for floats in [0, 1] and in [-1, 1]."""
    dark = [float((x < DARK).float().mean()) for x in made]
    lightest, darkest = min(dark), max(dark)
    i, j = dark.index(lightest), dark.index(darkest)
    raw = raws[i]
    if (
        lightest > NO_DARK
        or darkest < DARK_SHARE
        or raw.x.dtype == torch.uint8
        or reading.range_of(raw.path) is not None
    ):
        return
    raise ValueError(
        f"{raw.path} has values from {float(made[i].min()):.3g} to {float(made[i].max()):.3g} and {raws[j].path} from "
        f"{float(made[j].min()):.3g} to {float(made[j].max()):.3g}: [0, 1] beside [-1, 1]; give --range {raw.path}=0,1 "
        f"(or {raw.path}=-1,1 if its images really have no dark values)"
    )


# ---------------------------------------------------------------- across sets


def _one_path_each(methods: Mapping[str, str | os.PathLike[str]]) -> None:
    seen: dict[str, str] = {}
    for label, path in methods.items():
        real = os.path.realpath(Path(path).expanduser())
        if real in seen:
            raise ValueError(f"{path} is given for {seen[real]} and for {label}; each needs its own samples")
        seen[real] = label


def _enough(truth: Raw, raws: list[Raw]) -> None:
    """Raises ValueError for too few rows, or unequal numbers of samples."""
    for raw in (truth, *raws):
        if len(raw) < FEWEST:
            what = "hold out more real data" if raw is truth else "draw more"
            raise ValueError(f"{raw.path} has {len(raw)} rows; a verdict needs at least {FEWEST}, better 2,000: {what}")
    for raw in raws[1:]:
        if len(raw) != len(raws[0]):
            raise ValueError(
                f"{raws[0].path} has {len(raws[0])} samples and {raw.path} {len(raw)}; give equally many of every method at "
                "every number of calls"
            )


def _answered(raws: list[Raw], inputs: int) -> None:
    """Raises ValueError if a set does not answer every input equally often."""
    for raw in raws:
        if len(raw) % inputs:
            raise ValueError(
                f"{raw.path} has {len(raw)} answers to {inputs} inputs; give every draw an answer to each row of the real data, "
                "and then of the validation data, in their order"
            )


def _apart(truth: Raw, others: Mapping[str, Raw], raws: Mapping[str, Raw], found: Mapping[str, Tensor]) -> None:
    """Raises ValueError if real rows occur in another set, or if two sets of methods are identical."""
    real = found[truth.path]
    overlaps(real, {raw.path: found[raw.path] for raw in (*others.values(), *raws.values())}, truth.path)
    if "validation" in others:
        held = others["validation"].path
        rest = [raw.path for name, raw in (*others.items(), *raws.items()) if name != "validation"]
        overlaps(found[held], {path: found[path] for path in rest}, held)
    seen: dict[bytes, Raw] = {}
    for raw in raws.values():
        key = found[raw.path].numpy().tobytes()
        if key in seen:
            raise ValueError(f"{seen[key].path} and {raw.path} hold the same samples; give each its own")
        seen[key] = raw


def _few(n: int) -> Iterator[str]:
    if n < ADVISED:
        yield f"{n} samples per set are few: differences beyond the quality of {n} real samples will not show; draw 2,000"


def _compressed(raws: list[Raw]) -> Iterator[str]:
    lossy = next((raw for raw in raws if raw.compressed), None)
    lossless = next((raw for raw in raws if not raw.compressed), None)
    if lossy is not None and lossless is not None and lossy.kind == "images":
        yield f"{lossy.path} holds JPEG files and {lossless.path} does not: the compression changes distances; write PNG"


def _repeated(truth: Raw, raws: Mapping[str, Raw], found: Mapping[str, Tensor]) -> Iterator[str]:
    own = repeats(found[truth.path])
    for raw in raws.values():
        share = repeats(found[raw.path])
        if share >= max(REPEATS, 2 * own):
            yield f"{share:.0%} of the samples in {raw.path} are copies of other samples in it"
