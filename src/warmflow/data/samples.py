"""Sets of samples from files in one form, checked against each other.

    images     (N, C, H, W) floats: uint8 becomes x/127.5 - 1; floats are assumed to be in [-1, 1] unless ``Reading.ranges``
               gives another range
    points     (N, d) floats in the user's units
    tokens     (N, L) int64

Which files hold a set is said by :mod:`warmflow.data.sample_files`.

An evaluation compares distances, so any difference between two sets that is not a property of a method is an error: scale,
size, channels, number of samples. Every error is one line with both paths and the remedy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from warmflow.data.checks import overlaps, repeats
from warmflow.data.given import DARK, DARK_SHARE, NO_DARK
from warmflow.data.images import from_uint8
from warmflow.data.sample_files import Raw, check_alike, drawn_set, raw_set
from warmflow.data.text import Alphabet

FEWEST = 100
ADVISED = 1_000
ROUNDING = 1e-4
FAR, FAR_SHARE = 2.0, 0.1
"""Images with a tenth of their values beyond 2 are not in [-1, 1]; samples that are not clipped may exceed 1."""
REPEATS = 0.05


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
    raw = raw_set(path, reading.mode)
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
    read = drawn_set if draws else raw_set
    raws = {label: read(path, reading.mode) for label, path in methods.items()}
    others = {
        name: raw_set(path, reading.mode)
        for name, path in (("train", train), ("validation", validation))
        if path is not None
    }
    truth = raw_set(real, reading.mode)
    everything = [truth, *others.values(), *raws.values()]
    for path in reading.ranges:
        if path and path not in {raw.path for raw in everything}:
            raise ValueError(
                f"--range is for {path!r}, which is not a set of this evaluation; write the path as in the other options"
            )
    for raw in everything:
        check_alike(truth, raw)
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
    left = (f"{raw.path}: {raw.left_out}" for raw in everything if raw.left_out)
    unused = tuple(f"{raw.path}: not used: {', '.join(raw.unused)}" for raw in everything if raw.unused)
    notes = (*left, *unused, *_compressed(everything), *_few(number), *_repeated(truth, raws, found))
    if draws:
        samples = {label: x.unflatten(0, (-1, answered)) for label, x in samples.items()}
    return Sets(found[truth.path], samples, sets.get("train"), sets.get("validation"), notes, alphabet)


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
