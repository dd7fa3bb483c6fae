"""The forms in which a user names data, the same for every command and function.

folder:PATH, a folder      images
text:PATH, FILE.txt, .tar  a text; a folder of .txt files and no images too
FILE.npy, .npz, .safetensors   arrays
hf:NAME                    a data set of the Hugging Face Hub
"""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import Literal

Form = Literal["folder", "text", "array", "hf", ""]
HEADS: tuple[Form, ...] = ("folder", "text", "hf")
ARRAYS = (".npy", ".npz", ".safetensors")
TEXTS = r"\.txt$|\.tar(\.\w+)?$|\.tgz$"
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".tga", ".avif", ".jp2")
KNOWN = "folder:PATH, text:PATH, hf:NAME, FILE.npy, FILE.npz, FILE.safetensors, FILE.txt"
LOOKS = 1_000
"""The largest number of files of a folder that are looked at to tell texts from images."""


def form_of(name: str) -> tuple[Form, str]:
    """The form of a name and the path or name in it; ("", name) for a name in no form (of a problem, perhaps)."""
    head, colon, rest = name.partition(":")
    for known in HEADS:
        if colon and head == known:
            return known, rest
    path = Path(name).expanduser()
    if path.is_dir():
        return ("text" if holds_texts(path) else "folder"), name
    if path.suffix.lower() in ARRAYS:
        return "array", name
    return ("text" if re.search(TEXTS, path.name.lower()) else ""), name


def holds_texts(folder: Path) -> bool:
    """Whether there are .txt files and no images in a folder and its subfolders."""
    kinds = _kinds(folder)
    return ".txt" in kinds and not kinds & set(PICTURES)


def holds_data(folder: Path) -> bool:
    """Whether there are images or .txt files in a folder or its subfolders."""
    return bool(_kinds(folder) & {".txt", *PICTURES})


def _kinds(folder: Path) -> set[str]:
    """The suffixes of the first files of a folder and its subfolders."""
    files = (file for _, _, files in os.walk(folder) for file in files)
    return {Path(file).suffix.lower() for file in itertools.islice(files, LOOKS)}


def path_in(name: str) -> str:
    """The path in folder:PATH or text:PATH; any other name as it is."""
    form, rest = form_of(name)
    return rest if form in ("folder", "text") else name
