"""Folders of image files as data sets, and single files as arrays.

A file is converted in these steps: EXIF orientation, 8 bits per channel (16 bits are divided by 257), transparency
composited on white, the mode (RGB or L), resized by an antialiased bicubic filter to cover the size, center crop. Size and mode
are the images' own unless others are asked for (``native``). Files are sorted by name, independently of the file system.
"""

from __future__ import annotations

import errno
import os
import unicodedata
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import torch
from torch import Tensor

from warmflow.data import DataSet, parted, split
from warmflow.data.class_folders import sorted_out
from warmflow.data.demand import HELDOUT, MEMORY, VALIDATION, on_demand, rows_of
from warmflow.data.forms import PICTURES
from warmflow.data.images import from_uint8, used_range
from warmflow.data.native import FORMATS, Look, Size, check_form, chosen_form, looked_at
from warmflow.data.sizes import opened_image
from warmflow.failures import of_memory
from warmflow.number_checks import numbers_checked
from warmflow.printing import in_one_line

if TYPE_CHECKING:
    from PIL import Image

LOOKED_AT = 100
"""Files whose range is looked at where images are decoded on demand."""


def _check(size: int, mode: str, heldout: float) -> None:
    check_form("folder", size, mode)
    if not 0 < heldout < 0.9:
        raise ValueError(f"folder: heldout is {heldout}; give a share above 0 and below 0.9")


@numbers_checked
def folder(
    path: str | os.PathLike[str], size: int = 0, *, mode: str = "", seed: int = 0, heldout: float = 0.2,
    stream: bool = False, memory: float = MEMORY,
) -> DataSet:  # fmt: skip
    """The images in a folder and its subfolders, as (3 or 1, H, W) in [-1, 1].

    Classes are the top-level subfolders (the first part of a file's path) in natural order (2 before 10). If there are also
    images directly in the folder, there are no classes and ``notes["classes"]`` says so. Hidden files are skipped; every
    other file is tried. A random tenth of the images is for validation, and the share ``heldout`` is held out.

    Split folders (train/, val/, test/ and the other names in ``class_folders.SPLITS``) are not classes: classes are their
    subfolders. The images of train/ are trained on, those of test/ (else of val/) are held out, and those of val/, else a
    random tenth of train/, are for validation. ``notes["parts"]`` says so, and what is not used.

    ``notes``: read (number of images that are used), unreadable (number of files), unreadable_files (path and reason of each).

    Args:
        size: the side of the square, in pixels, at least 4; 0 for the size that the images have, or most of them, up to 64
            pixels a side. ``notes["size"]`` says where images are resized.
        mode: "RGB" or "L" (grey), to which all files are converted; "" for L if all files are grey, else RGB.
        stream: decode images on demand (``DataSet.whole``) instead of all at once. Only the header of each file is
            checked beforehand; a file that turns out to be damaged later raises an error that names it.
        memory: with ``stream``, the memory limit in GB of the parts held in memory.

    Raises:
        ValueError: a missing path or a file, no readable image, an invalid size, mode, heldout or memory.
    """
    root = _root(path)
    _check(size, mode, heldout)
    heads, failed = _heads(root)
    form, mode, told = chosen_form(heads.values(), size, mode)
    x, files = None, list(heads)
    if not stream:
        x, files, failed = read_folder(root, form, mode)
    if len(files) < 2:
        raise ValueError(_too_few(path, len(files), failed))
    name = f"folder:{path}"
    found = sorted_out(files, name)
    mine = torch.cat(list(found.parts.values())).sort().values  # the rest is in folders that are not used
    label = None if found.label is None else found.label[mine]
    x = None if x is None else x[mine]
    tried, files, n = files, [files[i] for i in mine.tolist()], len(mine)
    bad = [{"file": f, "reason": r} for f, r in failed]
    notes: dict[str, object] = {"read": n, "unreadable": len(bad), "unreadable_files": bad, **found.notes, **told}
    notes |= _also_told(root, [*tried, *(f for f, _ in failed)], x)
    held, valid = max(1, round(heldout * n)), round(0.1 * n)
    given = None if "heldout" not in found.parts else _rows(found.parts, mine, seed)
    lost = 0 if given is None else n - sum(map(len, given.values()))
    if lost:
        notes["parts"] = (
            f"{notes['parts']}; {lost} images beyond {HELDOUT} held out and {VALIDATION} for validation are not used"
        )
    if x is not None and given is not None:
        return parted(name, "images", from_uint8(x), label, given, classes=found.classes, notes=notes)
    if x is not None:
        return split(
            name, "images", from_uint8(x), label, seed=seed, classes=found.classes, notes=notes, heldout=held,
            validation=valid,
        )  # fmt: skip

    def read(rows: Tensor) -> Tensor:
        return from_uint8(
            torch.from_numpy(np.stack([_decoded(root / files[row], form, mode) for row in rows.tolist()]))
        )

    some = []
    for file in files[:: max(1, n // LOOKED_AT)]:
        with suppress(ValueError):  # a file that is damaged behind its header is named when it is needed
            some.append(_decoded(root / file, form, mode))
    notes |= used_range(torch.from_numpy(np.stack(some))) if some else {}
    return on_demand(
        name, "images", read, n, label, memory=memory, seed=seed, classes=found.classes, notes=notes, heldout=held,
        validation=valid, given=given,
    )  # fmt: skip


def _rows(parts: Mapping[str, Tensor], used: Tensor, seed: int) -> dict[str, Tensor]:
    """The rows of each part of a folder with split folders, as positions in ``used`` (n,), the sorted positions of all parts."""
    through = torch.cat([parts[k] for k in ("train", "validation", "heldout") if k in parts])
    rows = rows_of({k: len(mine) for k, mine in parts.items()}, 0, seed)
    return {k: torch.searchsorted(used, through[mine]) for k, mine in rows.items()}


def _root(path: str | os.PathLike[str]) -> Path:
    """The folder, which is there."""
    if not str(path):
        raise ValueError("folder: the path is empty; give the path of a folder of images")
    root = Path(path).expanduser()
    if not root.exists():
        raise ValueError(f'folder: "{path}" does not exist; give the path of a folder of images')
    if not root.is_dir():
        raise ValueError(f'folder: "{path}" is a file; give the folder that holds it')
    return root


def _too_few(path: str | os.PathLike[str], read: int, failed: list[tuple[str, str]]) -> str:
    kinds = "png, jpg, webp, bmp, gif, tiff"
    if read:
        return f'folder: "{path}" holds one readable image; give at least two'
    if not failed:
        return f'folder: "{path}" holds no images; give a folder of {kinds} files'
    first, reason = failed[0]
    return (
        f'folder: no image in "{path}" can be read ({len(failed)} files tried; {first}: {reason}); give {kinds} files'
    )


def folder_form(root: Path, size: int = 0, mode: str = "") -> tuple[Size, str, dict[str, str]]:
    """The size and the mode in which the images of a folder are read; see ``chosen_form``."""
    return chosen_form(_heads(root)[0].values(), size, mode)


def read_folder(root: Path, size: Size, mode: str) -> tuple[Tensor, list[str], list[tuple[str, str]]]:
    """Images (n, C, H, W) uint8, their n names relative to root, and (name, reason) of all unreadable files."""
    pixels: list[np.ndarray] = []
    files, failed = _tried(root, lambda file: pixels.append(read_image(file, size, mode)))
    shape = (0, len(mode), *size)
    return torch.from_numpy(np.stack(pixels) if pixels else np.empty(shape, np.uint8)), files, failed


def _heads(root: Path) -> tuple[dict[str, Look], list[tuple[str, str]]]:
    """The size and mode of the files with a valid image header, by their names relative to root, and (name, reason) of all
    others."""
    looks: list[Look] = []
    files, failed = _tried(root, lambda file: looks.append(looked_at(file)))
    return dict(zip(files, looks, strict=True)), failed


def _tried(root: Path, act: Callable[[Path], None]) -> tuple[list[str], list[tuple[str, str]]]:
    """The names relative to root of the files on which ``act`` succeeds, and (name, reason) of those on which it fails."""
    files = []
    names, failed = _names(root)
    for name in names:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                act(root / name)
            files.append(name)
        except Exception as error:  # Pillow's decoders raise many kinds of errors on damaged bytes; each is reported
            of_machine(error)
            failed.append((name, reason(error).replace(f"{root}{os.sep}", "")))
    return files, failed


def reason(error: Exception) -> str:
    """The reason why an image could not be read, in one line."""
    if type(error).__name__ == "UnidentifiedImageError":
        return "not an image"
    return str(error).split("\n")[0] or type(error).__name__


def remedy(error: Exception) -> str:
    """What to do about a file that could not be read: what is damaged is removed, what is forbidden is not."""
    return "check its permissions and the disk" if getattr(error, "errno", None) else "remove it"


def of_machine(error: Exception) -> None:
    """Raises the error again if it says nothing about the file: too little memory, a disk that fails, too many open files."""
    if of_memory(error) or getattr(error, "errno", None) in (errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE):
        raise error


def _decoded(file: Path, size: Size, mode: str) -> np.ndarray:
    try:
        return read_image(file, size, mode)
    except Exception as error:  # as above
        of_machine(error)
        raise ValueError(
            f'folder: "{file}" cannot be read ({reason(error)}); {remedy(error)}, or leave stream out'
        ) from None


def names_of(root: Path, without: Sequence[str] = ()) -> list[str]:
    """The sorted relative names of a folder's files, except those in ``without``."""
    return [name for name in _names(root)[0] if name not in set(without)]


def _also_told(root: Path, tried: Sequence[str], x: Tensor | None) -> dict[str, object]:
    """Notes about hidden files, and about the range of images x (n, C, H, W) uint8."""
    hidden = left_out(root, tried)
    return {**({} if x is None or not len(x) else used_range(x)), **({"hidden": hidden} if hidden else {})}


def left_out(root: Path, used: Sequence[str]) -> str:
    """A line about the files below root that look like images and are not among those used: hidden ones, as macOS writes beside
    each file on other disks; empty if there are none."""
    known, rest = set(used), []
    for here, _, files in os.walk(root):
        paths = (Path(here, file).relative_to(root).as_posix() for file in files)
        rest += [path for path in paths if path.lower().endswith(PICTURES) and path not in known]
    if not rest:
        return ""
    return f"{len(rest)} of {len(used) + len(rest)} files are hidden and left out ({in_one_line(min(rest))})"


def _names(root: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Sorted relative names of the files below root, following each link once; and (name, reason) of unlistable entries."""
    found: list[str] = []
    failed: list[tuple[str, str]] = []
    seen = {os.path.realpath(root)}

    def relative(path: str) -> str:
        return Path(path).relative_to(root).as_posix()

    def denied(error: OSError) -> None:
        failed.append((relative(error.filename), error.strerror or "cannot be listed"))

    for here, folders, files in os.walk(root, followlinks=True, onerror=denied):
        keep = []
        for sub in sorted(folders):
            real = os.path.realpath(os.path.join(here, sub))
            if not sub.startswith((".", "__MACOSX")) and real not in seen:
                seen.add(real)
                keep.append(sub)
        folders[:] = keep
        for file in files:
            name = os.path.join(here, file)
            if file.startswith(".") or file in ("Thumbs.db", "desktop.ini"):
                continue
            if os.path.isfile(name):  # reading a pipe would block
                found.append(relative(name))
            else:
                failed.append((relative(name), "not a regular file, or a broken link"))
    return sorted(found, key=lambda name: (unicodedata.normalize("NFC", name), name)), sorted(failed)


def read_image(path: str | os.PathLike[str] | BinaryIO, size: Size, mode: str = "RGB") -> np.ndarray:
    """One image file (path or open file) as (C, H, W) uint8, by the steps at the top of this module.

    Args:
        size: (H, W), or the side of a square.

    Raises:
        OSError, ValueError: not an image, damaged, or grey values of unknown scale.
    """
    from PIL import Image

    image = _upright(path, mode)
    height, width = size
    if image.size == (width, height):
        return _channels(image)
    wide = image.width * height > image.height * width  # then the whole height is seen
    seen = (image.height * width / height, image.height) if wide else (image.width, image.width * height / width)
    left, top = (image.width - seen[0]) / 2, (image.height - seen[1]) / 2
    box = (left, top, left + seen[0], top + seen[1])
    return _channels(image.resize((width, height), Image.Resampling.BICUBIC, box=box))


def read_pixels(path: str | os.PathLike[str], mode: str = "") -> np.ndarray:
    """One image file as (C, H, W) uint8 at full size: like ``read_image``, without resizing and cropping.

    Args:
        mode: "RGB", "L", or "" for L if the file is grey, else RGB.

    Raises:
        OSError, ValueError: as ``read_image``.
    """
    return _channels(_upright(path, mode))


def _channels(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _upright(path: str | os.PathLike[str] | BinaryIO, mode: str) -> Image.Image:
    """The image of a file with 8 bits per channel in this mode, rotated by its EXIF orientation and composited on white."""
    from PIL import Image, ImageOps

    with opened_image(path, FORMATS) as file:
        image: Image.Image = ImageOps.exif_transpose(file)
        image = _eight_bits(image)
    mode = mode or ("L" if image.mode in ("1", "L", "LA", "La") else "RGB")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return image if image.mode == mode else image.convert("RGB").convert(mode)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Converts 16-bit grey (modes I;16 and I) and floats in [0, 1] (F) to 8 bits; Pillow's own conversion would clip them."""
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        image.load()
        return image
    values = np.asarray(image)
    low, high, top = float(values.min()), float(values.max()), 1.0 if image.mode == "F" else 65535.0
    if not (low >= 0 and high <= top):
        raise ValueError(f"grey values from {low:.4g} to {high:.4g} have no known scale; save as 8 or 16 bits")
    rows = [np.round(row.astype(np.float64) * (255 / top)).astype(np.uint8) for row in values]  # little memory at once
    return Image.fromarray(np.stack(rows))
