"""Image files, opened with a bound on their pixels: a few bytes of one colour can ask for gigabytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from warmflow.files import check_file

if TYPE_CHECKING:
    from PIL import Image

MOST_PIXELS = 2**26
"""Pixels of the largest image that is read, 8,192 x 8,192."""
IMAGE_BYTES = 2**30


@contextmanager
def opened_image(path: str | os.PathLike[str] | BinaryIO, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """An image file of one of these formats, opened by Pillow and not decoded yet.

    Raises:
        OSError, ValueError: no regular file, not an image, or more than ``MOST_PIXELS`` pixels.
    """
    import warnings

    from PIL import Image

    if not hasattr(path, "read"):
        check_file(Path(path), IMAGE_BYTES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        file = Image.open(path, formats=formats)
    with file:
        check_pixels(file.width, file.height)
        yield file


def check_pixels(width: int, height: int) -> None:
    """Raises ValueError for an image of more than ``MOST_PIXELS`` pixels."""
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"{width} x {height} pixels; at most {MOST_PIXELS / 1e6:.0f} million are read, make it smaller"
        )
