"""Sizes of files, checked by their headers before anything is allocated.

A few bytes can ask for gigabytes: the header of an array, a compressed archive, an image of one colour. What is refused here is a
ValueError of one line that names the file. Pipes, devices and folders are refused too (``files.check_file``).
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from numpy.lib import format as npy

from warmflow.files import TENSOR_BYTES, check_expanded, check_file

if TYPE_CHECKING:
    from PIL import Image

MOST_PIXELS = 2**26
"""Pixels of the largest image that is read, 8,192 x 8,192."""
IMAGE_BYTES = 2**30
MOST_MEMBERS = 10_000
"""Arrays in a .npz file at most."""
HEADER = 10_000
"""Bytes of the longest header of an array that is read."""


def check_arrays(path: Path) -> None:
    """Raises ValueError for a .npy or .npz file whose arrays take more memory than the file can hold or than ``check_expanded``
    allows, or that is no regular file. A file of another kind passes: reading it fails."""
    check_file(path, TENSOR_BYTES)
    with open(path, "rb") as file:
        magic = file.read(6)
        file.seek(0)
        if magic == npy.MAGIC_PREFIX:
            _check_header(file, path.stat().st_size, str(path))
        elif magic[:4] == b"PK\x03\x04":
            _check_members(path)


def _check_members(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS:
                raise ValueError(f"{path} holds {len(members)} files; at most {MOST_MEMBERS} arrays are read")
            check_expanded(path, sum(member.file_size for member in members))
            for member in members:
                if member.filename.endswith(".npy"):
                    with archive.open(member) as file:
                        _check_header(file, member.file_size, f"{path}, {member.filename}")
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError):
        raise ValueError(f"{path} is a damaged archive: write it again with numpy.savez") from None


def _check_header(file: IO[bytes], size: int, name: str) -> None:
    """Raises ValueError if the header of an array asks for more bytes than there are."""
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file, max_header_size=HEADER)
        needed = prod(shape) * max(1, dtype.itemsize)
    except Exception:  # numpy parses headers as Python; a damaged one raises errors of many kinds
        raise ValueError(f"{name} is damaged, its header cannot be read: write it again with numpy.save") from None
    if not dtype.hasobject and needed > size:
        raise ValueError(f"{name} is damaged: its header asks for {needed} bytes, the file has {size}; write it again")


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
