"""Features from any network in a TorchScript file, for example Inception for the standard FID.

A TorchScript file is a program, interpreted by torch. It is not Python, but it can read and write any file that you can
(``torch.from_file``, ``torch.save``), so it is run only with ``trust=True``: give that for files whose author you trust, as you
would for a program. A file must be a zip archive with TorchScript's ``code`` and ``constants.pkl``; pickles are refused.

(torch recommends torch.export for new files but still reads TorchScript, the format of the published networks for metrics.)

A file does not contain its input format. The caller gives it: the side of the square, and the values of black and white (0 and
1; -1 and 1; 0 and 255; or one per channel, as (0 - mean) / deviation and (1 - mean) / deviation). The network of the published
FID takes values from 0 to 255, resizes by itself to 299, and needs ``return_features``:

    Scripted.load("inception-2015-12-05.pt", name="Inception at 299 px, FID's own resizing", size=None,
                  low=0.0, high=255.0, arguments={"return_features": True}, trust=True)
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from warmflow.files import TENSOR_BYTES, file_digest, reason
from warmflow.metrics.extractors.base import NamedExtractor, check_size, in_blocks

OWN_SIZE = 64
"""The side of the test images for a network that resizes by itself."""
Level = float | Sequence[float]


@dataclass(frozen=True, eq=False)
class Scripted(NamedExtractor):
    """Features (n, d) of images (n, 1 or 3, H, W) in [-1, 1] by a TorchScript module. Build it with ``load``."""

    module: Callable[..., object]
    label: str
    sha256: str
    size: int | None
    low: Tensor
    high: Tensor
    arguments: Mapping[str, object] = field(default_factory=dict)
    device: str = "cpu"

    @staticmethod
    def load(
        path: str | Path,
        *,
        size: int | None,
        name: str | None = None,
        low: Level = 0.0,
        high: Level = 1.0,
        arguments: Mapping[str, object] | None = None,
        device: str = "cpu",
        trust: bool = False,
    ) -> Scripted:
        """Loads the module of a file and tests it on two grey images.

        Args:
            size: the side of the square that images are resized to; None if the module resizes by itself.
            name: the name in distances; None for the file's name, the first eight digits of its digest and the size.
            low, high: the values of black and white, one or three numbers each.
            arguments: additional keyword arguments of the module.
            device: the device of the module; features are returned on the CPU.
            trust: whether the program in the file may run.

        Raises:
            ValueError: not trusted, no such file, not TorchScript, or a module that fails on such images or does not return a
                (rows, d) table of finite floats.
        """
        path = Path(path)
        check_size(size, path.name)
        if trust is not True:
            raise ValueError(
                f"extractor {path} is a program that can read and write your files: if you trust its author, give trust=True"
            )
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

    def _run(self, pictures: Tensor) -> object:
        low, high = self.low.to(pictures), self.high.to(pictures)
        try:
            return self.module(low + (high - low) * pictures, **self.arguments)
        except Exception as error:  # torch raises RuntimeError, or what the script itself raises
            last = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
            raise ValueError(
                f"extractor {self.name!r} cannot be run on images {tuple(pictures.shape)} ({last.strip()}): state size, low, "
                "high and arguments as its author does"
            ) from None


def _level(value: Level, key: str, path: Path) -> Tensor:
    found = torch.as_tensor(value, dtype=torch.float32).reshape(-1)
    if len(found) not in (1, 3) or not bool(torch.isfinite(found).all()):
        raise ValueError(
            f"{key} of extractor {path.name!r} is {value}; give one finite number, or one for each of 3 channels"
        )
    return found.reshape(-1, 1, 1)


def _read(path: Path, device: str) -> tuple[torch.jit.ScriptModule, str]:
    """The module and the SHA-256 of its file; only TorchScript files are loaded."""
    remedy = "give a file written by torch.jit.save (convert a module with torch.jit.trace or torch.jit.script)"
    try:
        digest = file_digest(path, TENSOR_BYTES).hex()
    except (OSError, ValueError) as error:
        raise ValueError(f"extractor {path} cannot be read ({reason(error)}): {remedy}") from None
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        names = []
    if not (any(n.endswith("/constants.pkl") for n in names) and any("/code/" in n for n in names)):
        raise ValueError(f"{path} is not a TorchScript file: {remedy}")
    try:
        module = torch.jit.load(path, map_location=device)
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{path} is a damaged TorchScript file ({first}): {remedy}") from None
    return module.eval(), digest
