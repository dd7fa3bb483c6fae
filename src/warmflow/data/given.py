"""Converts and checks sets of samples given by the user: arrays, tensors on any device, uint8 images.

Every error is one line that names the set and the remedy. Checks between sets are in ``checks``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from warmflow.data.images import from_uint8, scaling
from warmflow.data.items import unpacked
from warmflow.noise import permutation

KINDS = "floats (n, ...), uint8 images (n, C, H, W) or int64 tokens (n, L)"


def as_set(x: object, name: str, like: Tensor | None = None, draws: bool = False) -> Tensor:
    """A set of samples as a tensor on the CPU: float32 or float64, uint8 images as x / 127.5 - 1, tokens as int64.

    Args:
        x: a tensor or anything that ``torch.as_tensor`` accepts.
        like: a set of the same data; kind and sample shape must be equal to its own.
        draws: x is (K, n, *S), K draws of every answer.

    Raises:
        ValueError: not numeric, no rows, another kind or shape, NaN or infinite values.
    """
    x, labels = unpacked(x, name)
    if labels is not None:
        raise ValueError(f"{name} holds (x, label); give x alone, and labels apart")
    try:
        found = torch.as_tensor(x).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} is a {type(x).__name__}; give a tensor or an array: {KINDS}") from None
    if found.ndim < 2 + draws or not found.numel():
        raise ValueError(f"{name} has shape {tuple(found.shape)}; give at least one row: {KINDS}")
    rows = found.flatten(0, 1) if draws else found
    if rows.dtype == torch.uint8 and rows.ndim == 4:
        rows = from_uint8(rows)
    elif rows.dtype in (torch.float16, torch.bfloat16):
        rows = rows.float()
    elif rows.ndim == 2 and rows.dtype in (torch.int8, torch.int16, torch.int32):
        rows = rows.long()
    elif rows.ndim > 2 and not rows.is_floating_point() and not rows.is_complex():
        kind = str(getattr(x, "dtype", found.dtype)).removeprefix("torch.")
        raise ValueError(f"{name} holds images of {kind}; {scaling(rows)}")
    if rows.dtype not in (torch.float32, torch.float64, torch.int64):
        raise ValueError(f"{name} holds {str(rows.dtype)[6:]} numbers of shape {tuple(found.shape)}; give {KINDS}")
    if like is not None and rows.is_floating_point() != like.is_floating_point():
        kinds = ["floats" if y.is_floating_point() else "whole numbers" for y in (like, rows)]
        raise ValueError(f"{name} holds {kinds[1]} and the real data {kinds[0]}; convert all sets to one kind")
    if like is not None and rows.shape[1:] != like.shape[1:]:
        raise ValueError(
            f"{name} has samples of shape {tuple(rows.shape[1:])} and the real data {tuple(like.shape[1:])}; use one shape"
        )
    bad = ~torch.isfinite(rows).flatten(1).all(1)
    if bool(bad.any()):
        raise ValueError(
            f"{name} has {int(bad.sum())} of {len(rows)} rows with NaN or infinite values: repair that method"
        )
    return rows.unflatten(0, found.shape[:2]) if draws else rows


DARK, DARK_SHARE, NO_DARK = -0.25, 0.02, 0.001
"""A set in [-1, 1] has values below DARK; a set in [0, 1] has none, even if its samples are not clipped."""


def one_range(sets: Mapping[str, Tensor], real: Tensor) -> None:
    """Raises ValueError if the real data are in [-1, 1] with values below -0.25, and the samples of a method in [0, 1].

    Args:
        sets: the samples of methods, by their names in error messages.
    """
    if (
        not real.is_floating_point()
        or float(real.abs().max()) > 1 + 1e-4
        or float((real < DARK).float().mean()) < DARK_SHARE
    ):
        return
    for name, x in sets.items():
        if float((x < DARK).float().mean()) < NO_DARK and float(x.max()) <= 1.25:
            raise ValueError(
                f"{name} has values from {float(x.min()):.3g} to {float(x.max()):.3g} and the real data from "
                f"{float(real.min()):.3g} to {float(real.max()):.3g}: [0, 1] beside [-1, 1]; scale all to [-1, 1]"
            )


LEAST = 20


def check_draws(samples: int, clip: tuple[float, float] | None) -> None:
    """Raises ValueError for fewer than 20 samples, or a range to clip to whose ends are not rising."""
    if samples < LEAST:
        raise ValueError(f"samples is {samples}; a distance needs at least {LEAST}, better 2,000")
    if clip is not None and not clip[0] < clip[1]:
        raise ValueError(f"clip is {clip}; give the low end first: (low, high)")


def check_set(name: str, x: Tensor, shape: tuple[int, ...]) -> None:
    """Raises ValueError if a set has another sample shape, fewer than 20 samples, or NaN or infinite entries."""
    if tuple(x.shape[1:]) != shape:
        raise ValueError(f"{name} has samples of shape {tuple(x.shape[1:])}, the real data {shape}; use one shape")
    if len(x) < LEAST:
        raise ValueError(f"{name} has {len(x)} samples; a distance needs at least {LEAST}")
    if x.is_floating_point():
        bad = int((~torch.isfinite(x)).reshape(len(x), -1).any(1).sum())
        if bad:
            raise ValueError(f"{name} has {bad} of {len(x)} samples with NaN or infinite entries: repair that method")


def halves(real: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """(test, validation): real data (m, *S) split two to one by the random permutation of ``seed``."""
    order = permutation(seed, len(real), "evaluation.split")
    third = len(real) // 3
    return real[order[third:]], real[order[:third]]
