"""Small images of one bright spot each, as a distribution that samples of any quality can be made of."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor


def blobs(n: int, seed: int, noise: float = 0.0) -> Tensor:
    """(n, 1, 8, 8) in [-1, 1]: a Gaussian spot of random place and width, plus noise, clipped."""
    g = torch.Generator().manual_seed(seed)
    centre, width = 2 + 3 * torch.rand(n, 2, 1, 1, generator=g), 0.8 + 0.6 * torch.rand(n, 1, 1, generator=g)
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    clean = 2 * torch.exp(-((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2) / (2 * width**2)) - 1
    return (clean + noise * torch.randn(clean.shape, generator=g)).clamp(-1, 1)[:, None]


def to_bytes(x: Tensor) -> Tensor:
    """uint8 of images in [-1, 1], rounded."""
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def write_images(x: Tensor, folder: Path, suffix: str = "png") -> Path:
    """Images (n, C, H, W) as 0.png, 1.png, ... in a new folder."""
    folder.mkdir(parents=True)
    for i, image in enumerate(to_bytes(x).permute(0, 2, 3, 1).numpy()):
        Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(folder / f"{i}.{suffix}")
    return folder
