"""Any network from a TorchScript file: Inception for a true FID, a network of the user's own field.

A TorchScript file is a program in a small language that torch interprets: it computes with tensors and holds no Python
code. What ``torch.save`` writes is something else, a pickle, and reading a pickle may run anything. So a file is looked at
before it is opened: a zip archive with TorchScript's ``code`` and ``constants.pkl``, else it is refused unread.

(torch now advises torch.export for new files and still reads these; the published networks of metrics are such files.)

A file does not say what input it expects. The caller states it: the side of the square, and the numbers that stand for
black and white (0 and 1; -1 and 1; 0 and 255; a channel each, as (0 - mean) / deviation and (1 - mean) / deviation).
The network of the published FID takes 0 to 255, resizes by itself to 299, and wants ``return_features``:

    Scripted.load("inception-2015-12-05.pt", name="Inception at 299 px, FID's own resizing", size=None,
                  low=0.0, high=255.0, arguments={"return_features": True})
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from warmflow.metrics.extractors.base import NamedExtractor, check_size, in_blocks

OWN_SIZE = 64
"""The side of the pictures on which a file that resizes by itself is tried."""
Level = float | Sequence[float]


@dataclass(frozen=True, eq=False)
class Scripted(NamedExtractor):
    """Features (n, d) of images (n, 1 or 3, H, W) in [-1, 1] by a TorchScript module; build it with ``load``."""

    module: Any
    label: str
    sha256: str
    size: int | None
    low: Tensor
    high: Tensor
    arguments: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"

    @staticmethod
    def load(
        path: str | Path,
        *,
        size: int | None,
        name: str | None = None,
        low: Level = 0.0,
        high: Level = 1.0,
        arguments: Mapping[str, Any] | None = None,
        device: str = "cpu",
    ) -> Scripted:
        """The module in a file, tried on two grey pictures.

        Args:
            size: the side of the square that images are resized to; None where the module resizes by itself.
            name: what the distances are called by; None for the file's name, the first eight digits of its digest and
                the size.
            low, high: the numbers that black and white become, one or three.
            arguments: keywords that the module is called with beside the pictures.
            device: where the module runs; features come back on the CPU.

        Raises:
            ValueError: no such file, no TorchScript, a module that cannot be run on such pictures or does not give a
                (rows, d) table of finite floats.
        """
        path = Path(path)
        check_size(size, path.name)
        module, digest = _read(path, device)
        said = f"{path.stem} ({digest[:8]}) at {'its own size' if size is None else f'{size} px'}"
        black, white = (_level(value, key, path) for key, value in (("low", low), ("high", high)))
        found = Scripted(module, name or said, digest, size, black, white, dict(arguments or {}), device)
        side = OWN_SIZE if size is None else size
        found.features(torch.zeros(2, 3, side, side))
        return found

    @property
    def name(self) -> str:
        return self.label

    @property
    def digest(self) -> str:
        settings = (self.size, self.low.tolist(), self.high.tolist(), sorted(self.arguments.items()))
        return hashlib.sha256(f"{self.sha256} {settings}".encode()).hexdigest()

    def features(self, x: Tensor) -> Tensor:
        return in_blocks(x, self.size, self._run, self.name, self.device)

    def _run(self, pictures: Tensor) -> Any:
        low, high = self.low.to(pictures), self.high.to(pictures)
        try:
            return self.module(low + (high - low) * pictures, **self.arguments)
        except Exception as error:  # torch raises RuntimeError, or what the script itself raises
            last = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
            raise ValueError(
                f"extractor {self.name!r} cannot be run on pictures {tuple(pictures.shape)} ({last.strip()}): state size, low, "
                "high and arguments as its author does"
            ) from None


def _level(value: Level, key: str, path: Path) -> Tensor:
    found = torch.as_tensor(value, dtype=torch.float32).reshape(-1)
    if len(found) not in (1, 3) or not bool(torch.isfinite(found).all()):
        raise ValueError(
            f"{key} of extractor {path.name!r} is {value}; give one finite number, or one for each of 3 channels"
        )
    return found.reshape(-1, 1, 1)


def _read(path: Path, device: str) -> tuple[Any, str]:
    """The module and its file's SHA-256; nothing but TorchScript is opened."""
    remedy = "give a file that torch.jit.save wrote (torch.jit.trace or torch.jit.script makes one of a module)"
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ValueError(f"extractor {path} cannot be read ({error.strerror}): {remedy}") from None
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        names = []
    if not (any(n.endswith("/constants.pkl") for n in names) and any("/code/" in n for n in names)):
        raise ValueError(f"{path} is no TorchScript file, and is not opened as anything else: {remedy}")
    try:
        module = torch.jit.load(path, map_location=device)
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{path} is a damaged TorchScript file ({first}): {remedy}") from None
    return module.eval(), hashlib.sha256(raw).hexdigest()
