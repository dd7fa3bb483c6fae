"""The size and the mode in which image files are read, and what is said about it.

Files of one size of at most ``LARGEST`` pixels a side are read as they are, grey files as grey. Where a size or a mode has to be
chosen (files of several sizes, or larger ones), the choice is told in one line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from warmflow.data import suggest
from warmflow.data.sizes import opened_image
from warmflow.number_checks import is_whole

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "TGA", "AVIF", "JPEG2000")
"""Formats that Pillow may open: those that it decodes itself (EPS, for example, would start another program)."""
MODES = ("RGB", "L")
LEAST, LARGEST = 4, 64
"""The sides of images that keep their size where none is asked for."""
ORIENTATION = 0x0112
"""The EXIF tag of the orientation; values 5 to 8 swap width and height."""

Size = tuple[int, int]
"""Height and width."""
Look = tuple[Size, str]
"""The size and the mode of a file."""


def check_form(what: str, size: int, mode: str) -> None:
    """Raises ValueError for a size that is neither 0 nor at least 4, or for an unknown mode."""
    if size and not is_whole(size, LEAST):
        raise ValueError(
            f"{what}: size is {size!r}; give a whole number of pixels, at least {LEAST}, or 0 for the images' own"
        )
    if mode not in ("", *MODES):
        raise ValueError(f'{what}: mode "{mode}" is unknown; {suggest(str(mode), MODES)}')


def looked_at(file: str | Path | BinaryIO) -> Look:
    """The size of an image file in its EXIF orientation and its mode, from its header."""
    with opened_image(file, FORMATS) as image:
        width, height = image.size
        turns = (
            image.format != "PNG" or "exif" in image.info
        )  # without, Pillow would decode the whole file to look for it
        if turns and image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8):
            width, height = height, width
        grey = image.mode.startswith(("1", "L", "I", "F")) and image.mode != "LAB"
        return (height, width), "L" if grey else "RGB"


def chosen_form(looks: Iterable[Look], size: int = 0, mode: str = "") -> tuple[Size, str, dict[str, str]]:
    """The size and the mode in which files are read, and a line for each assumption, by topic.

    Args:
        size: the side of a square; 0 for the files' own size.
        mode: "RGB" or "L"; "" for L if all files are grey, else RGB.
    """
    found = list(looks)
    sizes, modes = Counter(size for size, _ in found), Counter(mode for _, mode in found)
    notes: dict[str, str] = {}
    if len(modes) > 1 and not mode:
        notes["mode"] = (
            f"{modes['L']} images are grey and {modes['RGB']} in colour: all are read as RGB; mode sets another"
        )
    mode = mode or ("L" if set(modes) == {"L"} else "RGB")
    if size or not sizes:
        return (size or LEAST, size or LEAST), mode, notes
    often = min(sizes, key=lambda one: (-sizes[one], one[0] * one[1], one))
    keeps = min(often) >= LEAST and max(often) <= LARGEST
    side = min(LARGEST, max(LEAST, min(often)))
    form = often if keeps else (side, side)
    if len(sizes) > 1 or not keeps:
        what = f"images of {len(sizes)} sizes" if len(sizes) > 1 else f"images of {_by(often)}"
        most = ", the most frequent" if keeps else ""
        notes["size"] = f"{what}: resized and cropped to {_by(form)}{most}; size sets another"
    return form, mode, notes


def _by(size: Size) -> str:
    """Width x height, as image viewers say it."""
    return f"{size[1]} x {size[0]}"
