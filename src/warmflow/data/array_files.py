"""Arrays from .npy and .npz files, without pickle.

What a header declares is compared with what the file holds before anything is allocated. Whatever else is wrong with a file
(numpy, zipfile and the decompressors raise many kinds of errors on damaged bytes) is ``Unreadable``.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from warmflow.files import EXPANDED, EXPANDED_BYTES, TENSOR_BYTES, check_file

MOST_MEMBERS = 10_000
"""Arrays in an archive at most."""
LONGEST = 10_000
"""Bytes of the longest header that is read."""
DAMAGED = "damaged, or not this format"


class Unreadable(ValueError):
    """A file, or a member of an archive, that holds no array; the message is the reason in a few words."""


class Objects(Unreadable):
    """An array of Python objects, which is never unpickled."""


class Members(Mapping[str, np.ndarray]):
    """The arrays of a .npz file of ``size`` bytes by name, each read when it is asked for."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        members = archive.infolist()
        needed, most = sum(info.file_size for info in members), max(EXPANDED_BYTES, EXPANDED * size)
        if len(members) > MOST_MEMBERS:
            raise Unreadable(f"{len(members)} arrays; at most {MOST_MEMBERS} are read")
        if needed > most:
            raise Unreadable(
                f"it takes {needed / 2**20:.0f} MB in memory; of its size at most {most / 2**20:.0f} MB are read"
            )
        self._archive = archive
        self._members = {info.filename.removesuffix(".npy"): info for info in members}

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, name: str) -> np.ndarray:
        info = self._members[name]
        if info.compress_type == zipfile.ZIP_LZMA:  # its header may ask for 4 GB of memory
            raise Unreadable("compressed by lzma; numpy writes deflate")
        with unreadable(), self._archive.open(info) as file:
            return _array(file, info.file_size)


@contextmanager
def unreadable() -> Iterator[None]:
    """Makes ``Unreadable`` of the errors that damaged bytes cause."""
    try:
        yield
    except (Unreadable, PermissionError):
        raise
    except Exception as error:  # of zlib, bz2, zipfile, tokenize, ast, struct and numpy
        raise Unreadable(DAMAGED) from error


@contextmanager
def opened(path: Path) -> Iterator[np.ndarray | Members]:
    """The array of a .npy file, or the arrays of a .npz file for as long as it is open.

    Raises:
        Unreadable: a file of another format, one that is damaged, objects; also when a member is asked for.
        PermissionError: a file that may not be read.
    """
    check_file(path, TENSOR_BYTES)
    size = path.stat().st_size
    with ExitStack() as held:
        with unreadable():
            file = held.enter_context(open(path, "rb"))
            start = file.read(4)
            file.seek(0)
            found = (
                Members(held.enter_context(zipfile.ZipFile(file)), size)
                if start.startswith(b"PK")
                else _array(file, size)
            )
        yield found


def mapped(path: Path) -> np.ndarray | None:
    """The memory-mapped array of a .npy file; None for any other file, and for one that ``opened`` does not read."""
    try:
        with unreadable():
            with open(path, "rb") as file:
                _header(file, path.stat().st_size)
            return npy.open_memmap(path, mode="r")
    except (Unreadable, PermissionError):
        return None


def _header(file: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order (whether it is Fortran's) and dtype of the array at the beginning of a file of ``size`` bytes."""
    start = file.read(12)
    version = npy.read_magic(io.BytesIO(start))
    if version not in ((1, 0), (2, 0)):
        raise Unreadable(DAMAGED)
    length = struct.unpack("<H", start[8:10])[0] if version == (1, 0) else struct.unpack("<I", start[8:12])[0]
    if length > LONGEST:
        raise Unreadable(DAMAGED)
    first = 10 if version == (1, 0) else 12
    text = io.BytesIO(start[8:] + file.read(length + first - len(start)))
    shape, turned, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(text)
    if dtype.hasobject:
        raise Objects("objects")
    if min(shape, default=0) < 0 or len(shape) > 32 or math.prod(shape) * dtype.itemsize > size - first - length:
        raise Unreadable(DAMAGED)
    return shape, turned, dtype


def _array(file: IO[bytes], size: int) -> np.ndarray:
    """The array in a file of ``size`` bytes."""
    shape, turned, dtype = _header(file, size)
    wanted = math.prod(shape) * dtype.itemsize
    held = bytearray(file.read(wanted))
    file.read(1)  # the end of a member, where its checksum is compared
    if len(held) < wanted:
        raise Unreadable(DAMAGED)
    flat = np.frombuffer(held, dtype) if wanted else np.empty(math.prod(shape), dtype)
    return flat.reshape(shape[::-1]).T if turned else flat.reshape(shape)
