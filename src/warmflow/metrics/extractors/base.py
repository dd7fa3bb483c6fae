"""The interface of named extractors, and the preprocessing of images for networks trained on photographs.

A distance on features depends on the extractor: another network, or the same one at another input size, gives another number.
So the name of an extractor contains both, and it is part of the name of every distance.

Images x in [-1, 1] are preprocessed in five steps, the same for real images and for samples:

    8 bits   round(127.5 (x + 1)) / 255 in [0, 1], as in a saved image; real images are on this grid already
    colour   one channel is repeated to three
    size     resized to a square by a bicubic filter, antialiased (otherwise aliasing dominates the distance)
    clamp    to [0, 1] again, because a bicubic filter overshoots at edges
    range    that of the network: low + (high - low) x, per channel if three values are given

References:
    On aliased resizing and surprising subtleties in GAN evaluation, Parmar, Zhang, Zhu, 2021, arXiv 2104.11222
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from warmflow.number_checks import is_whole

ROUNDING = 1e-6
PIXELS = {"cpu": 2**17}
ELSEWHERE = 2**22
"""Pixels per block, by type of device. On a CPU the activations should fit in the cache: at 224 pixels, images took 25 ms each
in blocks of 4, and 100 ms in blocks of 64."""


class NamedExtractor(ABC):
    """Maps samples (n, *S) to features (n, d); its name contains the network and the input size."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The extractor's name, for example "EfficientNet-Lite0 at 224 px". The names of its distances include it."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Hexadecimal digest of the weights and of all settings that change the features and are not in the name."""

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """The features (n, d) of samples x (n, *S), float64 on the CPU."""


def as_picture(x: Tensor, size: int | None) -> Tensor:
    """Converts images x (n, 1 or 3, H, W), floats in [-1, 1], to (n, 3, size, size) float32 in [0, 1]. If ``size`` is None, H and
    W are kept.

    Raises:
        ValueError: another shape, integers, NaN, or values outside [-1, 1] by more than rounding (1e-6).
    """
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise ValueError(
            f"x is {tuple(x.shape)}; an extractor of images takes (n, C, H, W) with C of 1 or 3: reshape it"
        )
    if not x.dtype.is_floating_point:
        kind = str(x.dtype).removeprefix("torch.")
        raise ValueError(f"x holds {kind}; an extractor of images takes floats in [-1, 1]: uint8 becomes x / 127.5 - 1")
    x = x.detach().float()
    bad = int((~(x.abs() <= 1 + ROUNDING)).flatten(1).any(1).sum())
    if bad:
        raise ValueError(
            f"x has {bad} of {len(x)} images with NaN or values outside [-1, 1]: clip or repair them, for every method alike"
        )
    x = ((x.clamp(-1, 1) + 1) * 127.5).round() / 255
    x = x.expand(-1, 3, -1, -1)
    if size is not None and tuple(x.shape[2:]) != (size, size):
        x = torch.nn.functional.interpolate(x, (size, size), mode="bicubic", antialias=True, align_corners=False)
    return x.clamp(0, 1)


def in_blocks(x: Tensor, size: int | None, run: Callable[[Tensor], object], name: str, device: str) -> Tensor:
    """Preprocesses the images of x to (rows, 3, size, size) and applies ``run``, by blocks. Returns (n, d) float64 on the CPU.

    Raises:
        ValueError: the result is not a (rows, d) table of finite floats.
    """
    parts = []
    pixels = x.shape[-1] * x.shape[-2] if size is None and x.ndim == 4 else (size or 1) ** 2
    height = max(4, PIXELS.get(torch.device(device).type, ELSEWHERE) // max(1, pixels))
    with torch.no_grad():
        for rows in x.split(height):
            found = run(as_picture(rows.to(device), size))
            if (
                not isinstance(found, Tensor)
                or found.ndim != 2
                or len(found) != len(rows)
                or not found.is_floating_point()
            ):
                said = tuple(found.shape) if isinstance(found, Tensor) else f"a {type(found).__name__}"
                raise ValueError(
                    f"extractor {name!r} gives {said} for {len(rows)} images; features are a (rows, d) table of floats: "
                    "export the network so that it returns its last hidden layer, pooled and flat"
                )
            parts.append(found.double().cpu())
    table = torch.cat(parts) if parts else torch.empty(0, 0, dtype=torch.float64)
    bad = int((~torch.isfinite(table)).any(1).sum())
    if bad:
        raise ValueError(
            f"extractor {name!r} gives NaN or infinite features for {bad} of {len(x)} images: check its input range"
        )
    return table


def check_size(size: int | None, name: str) -> None:
    if size is not None and not (is_whole(size, 16) and size <= 2048):
        raise ValueError(f"size of extractor {name!r} is {size!r}; give a whole number of pixels, 16 to 2048")


def weights_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the names, dtypes, shapes and bytes of a network's tensors."""
    found = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key].detach().cpu().contiguous()
        found.update(f"{key} {value.dtype} {tuple(value.shape)};".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
