"""Features of real images, kept in a folder: they do not change from report to report, and take minutes to compute.

    FOLDER/<extractor>-<key>.safetensors
    key = SHA-256 of (shape, type and bytes of the images; name and digest of the extractor; version of warmflow)

What is computed from the same bytes by the same weights is the same table, so a file under its key is never out of date, and two
programs that write it at once write the same. A file is written under another name and then renamed; one that is damaged all the
same is computed and written again.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import torch
from torch import Tensor

from warmflow import __version__
from warmflow.checkpoints import make_folder, read_tensors, write_tensors
from warmflow.metrics.extractors import NamedExtractor

BYTES = 2**26


def data_digest(x: Tensor) -> str:
    """SHA-256 over shape, type and bytes of x (n, *S)."""
    found = hashlib.sha256(f"{tuple(x.shape)} {x.dtype};".encode())
    for part in x.detach().cpu().contiguous().reshape(-1).split(BYTES):
        found.update(part.view(torch.uint8).numpy())
    return found.hexdigest()


def kept_features(extractor: NamedExtractor, x: Tensor, folder: str | Path | None) -> Tensor:
    """The features (n, d) float64 of x (n, *S): read from ``folder`` where they lie there, else computed and kept there.

    Args:
        folder: made where it is not there; None computes and keeps nothing.

    Raises:
        ValueError: a folder that cannot be written, or whatever the extractor finds wrong with x.
    """
    if folder is None:
        return extractor.features(x)
    parts = (data_digest(x), extractor.name, extractor.digest, __version__)
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    short = re.sub(r"[^a-z0-9]+", "-", extractor.name.lower()).strip("-")[:48]
    path = make_folder(Path(folder)) / f"{short}-{key[:32]}.safetensors"
    facts = {"extractor": extractor.name, "key": key}
    if path.exists():
        try:
            tensors, found = read_tensors(path)
            if found == facts and len(tensors["features"]) == len(x):
                return tensors["features"]
        except (ValueError, KeyError):
            pass  # damaged from outside: written again below
    features = extractor.features(x)
    write_tensors(path, {"features": features}, facts)
    return features
