"""A cache for the features of real images: they are the same in every report and take minutes to compute.

    FOLDER/<extractor>-<key>.safetensors
    key = SHA-256 of (shape, dtype and bytes of the images; name and digest of the extractor; version of warmflow)

The key identifies the images and the weights, so a cached file is never out of date, and two programs that write it at the same
time write the same content. A file is written under a temporary name and then renamed; a damaged file is computed again.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import torch
from torch import Tensor

from warmflow import __version__
from warmflow.files import make_folder, read_tensors, write_tensors
from warmflow.metrics.extractors import NamedExtractor
from warmflow.metrics.resampled import features_of

BYTES = 2**26


def data_digest(x: Tensor) -> str:
    """SHA-256 of the shape, dtype and bytes of x (n, *S)."""
    found = hashlib.sha256(f"{tuple(x.shape)} {x.dtype};".encode())
    for part in x.detach().cpu().contiguous().reshape(-1).split(BYTES):
        found.update(part.view(torch.uint8).numpy())
    return found.hexdigest()


def kept_features(extractor: NamedExtractor, x: Tensor, folder: str | Path | None) -> Tensor:
    """The features (n, d) float64 of x (n, *S): read from ``folder`` if they are cached there, else computed and stored.

    Args:
        folder: created if it does not exist; None for no cache.

    Raises:
        ValueError: a folder that cannot be written, or images that the extractor does not accept.
    """
    if folder is None:
        return features_of(extractor, x)
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
            pass  # a damaged file is replaced below
    features = features_of(extractor, x)
    write_tensors(path, {"features": features}, facts)
    return features
