"""Image data sets from the Hugging Face hub or saved to disk, read with the package ``datasets``.

    "hf:NAME"     a data set of the hub, downloaded once and cached by the package; offline, a cached one
    "hf:PATH"     a folder written by ``save_to_disk``, or one that the package can read (parquet, a folder of images)

An image column is required; a label column and a caption column are optional. Images are converted to (C, size, size) as in
:mod:`warmflow.data.image_files`, from the bytes of their files.

Parts. The split "test" is held out (else "validation", "valid", "val" or "dev"), at most 10,000 rows in a fixed random order.
Another split with one of these names is the validation part, at most 5,000 rows; without one, a tenth of "train" is. The rest
of "train" is the training part. If there is a single split, a quarter of it is held out and a tenth is for validation, with
the same limits. ``rows`` numbers the rows of the used splits in this order: train, validation, held out.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypedDict, TypeVar, overload

import numpy as np
import torch
from torch import Tensor

from warmflow.data import DataSet, check_classes, enough, part, suggest
from warmflow.data.class_folders import SPLITS
from warmflow.data.demand import rows_of
from warmflow.data.image_files import read_image, reason
from warmflow.data.images import from_uint8, used_range
from warmflow.data.labels import labels_of
from warmflow.data.native import Look, Size, check_form, chosen_form, looked_at
from warmflow.files import read_bytes, read_json
from warmflow.number_checks import is_whole, numbers_checked

VALIDATING = SPLITS["validation"]
KINDS = ("int", "uint", "string", "large_string", "bool")
"""Types of plain columns that can hold labels."""
LABELS = ("label", "labels", "class")
CAPTIONS = ("caption", "captions", "text", "prompt", "sentence")
LEAST = "4"
"""The first version of ``datasets`` that runs no script of a data set."""
LOOKS = 500
"""The largest number of images whose headers say which size and mode all have."""


T = TypeVar("T")
File = str | io.BytesIO


class Stored(TypedDict, total=False):
    """An image that is not decoded."""

    bytes: bytes | None
    path: str | None


class Table(Protocol):
    """A split, as the package ``datasets`` reads it."""

    features: Mapping[str, object]

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, at: str) -> Sequence[object]: ...
    @overload
    def __getitem__(self, at: slice) -> Mapping[str, Sequence[object]]: ...
    @overload
    def __getitem__(self, at: int) -> Mapping[str, Stored | None]: ...
    def select_columns(self, names: list[str]) -> Table: ...
    def cast_column(self, name: str, kind: object) -> Table: ...


@numbers_checked
def hub(
    name: str,
    *,
    image: str = "",
    label: str | None = None,
    caption: str | None = None,
    size: int = 0,
    mode: str = "",
    most: int = 0,
    config: str = "",
    seed: int = 0,
) -> DataSet:
    """An image data set by its name on the hub, or by its path.

    ``notes`` lists the columns that were read, the split of each part, and the splits that are left out.

    Args:
        image: the image column; "" for the first one.
        label: the label column; None for a ClassLabel column ("label" is preferred if there are several) or a column named
            "label", "labels" or "class"; "" for none. ``classes`` are the names of a ClassLabel, else the values in order.
        caption: the caption column (strings, or lists of strings of which the first is used); None for a column of
            strings named "caption", "text", "prompt" or similar; "" for none.
        size, mode: as in ``image_files.folder``; where they are left open, up to 500 evenly spaced images decide.
        most: the largest number of training images, 0 for all; selected by ``seed``.
        config: the configuration of the data set.

    Raises:
        ValueError: the package ``datasets`` is missing, no such data set, no internet, no image column, missing columns or
            columns of another type, labels out of range, unreadable images, or fewer than 200 rows.
    """
    what = f"hf:{name}"
    check_form(what, size, mode)
    if not is_whole(most, 0):
        raise ValueError(f"{what}: most is {most!r}; give a whole number of at least 1, or 0")
    found = opened(name, config)
    splits = _splits(found, what)
    tables = [table for _, table in splits.values()]
    enough(sum(len(table) for table in tables), what)
    columns = _columns(tables[0], what, {"image": image, "label": label, "caption": caption})
    for _, table in splits.values():
        _agree(table, tables[0], what)
    rows = rows_of({key: len(table) for key, (_, table) in splits.items()}, most, seed)
    classes, labels = _labels(splits, columns["label"], what)
    if labels is not None:
        check_classes(what, classes, labels)
    images = _Images(splits, columns["image"], what)
    form, mode, told = chosen_form(images.looks(), size, mode)
    parts = {}
    ends: list[Tensor] = []
    for key, mine in rows.items():
        raw = images.read(mine, form, mode)
        ends += [raw.min(), raw.max()] if len(raw) else []
        parts[key] = part(from_uint8(raw), None if labels is None else labels[mine])
    used = {key: f"{split} ({len(table)} rows)" for key, (split, table) in splits.items()}
    notes: dict[str, object] = {"columns": {k: v for k, v in columns.items() if v}, "splits": used, **told}
    notes |= used_range(torch.stack(ends))
    left = [f"{key} ({len(table)} rows)" for key, table in found.items() if key not in {n for n, _ in splits.values()}]
    if left:
        notes["left_out"] = f"splits that are not used: {', '.join(left)}"
    captions = _captions(tables, columns["caption"]) if columns["caption"] else ()
    validation = parts["validation"] if len(parts["validation"]) else None
    return DataSet(
        what, "images", parts["train"], validation, parts["heldout"], classes, notes, rows, captions=captions
    )  # fmt: skip


def opened(name: str, config: str = "") -> Mapping[str, Table]:
    """The splits of a data set, by name; a data set without splits is returned as "train".

    Raises:
        ValueError: the package ``datasets`` is missing or old, an unknown path or name, no internet, a folder with a script or
            with names of files outside of it.
    """
    what, path = f"hf:{name}", Path(name).expanduser()
    if not name:
        raise ValueError("hf: the name is empty; give hf:NAME of the Hugging Face hub, or hf:PATH of a folder")
    if name.startswith((".", "~", os.sep)) and not path.is_dir():
        kind = "is a file" if path.is_file() else "does not exist"
        raise ValueError(
            f"{what}: the path {kind}; give a folder that datasets' save_to_disk wrote, or a name of the hub"
        )
    try:
        import datasets  # an optional dependency
        from datasets import load_dataset, load_from_disk
    except ImportError:
        raise ValueError(
            f"{what} is read by the package datasets, which is not installed: pip install datasets"
        ) from None
    _check_version(str(getattr(datasets, "__version__", LEAST)), what)
    if path.is_dir():
        _check_plain(path, what)
    try:
        if any((path / file).is_file() for file in ("dataset_dict.json", "state.json")):
            found = load_from_disk(str(path))
        else:
            found = load_dataset(str(path) if path.is_dir() else name, config or None)
    except Exception as error:  # a hub client raises many kinds of errors; the first line says which
        remedy = "check the folder" if path.is_dir() else "check the name and the connection, or give hf:PATH"
        raise ValueError(f"{what} cannot be opened ({_short(error)}): {remedy}") from None
    return found if isinstance(found, Mapping) else {"train": found}


def _check_version(version: str, what: str) -> None:
    """Raises ValueError for a version of ``datasets`` that runs the script of a data set."""
    first = re.match(r"\d+", version)
    if first is None or int(first[0]) < int(LEAST):
        raise ValueError(
            f"{what} is read by the package datasets, but version {version} runs scripts of data sets: install version "
            f"{LEAST} or newer, pip install -U datasets"
        )


def _check_plain(folder: Path, what: str) -> None:
    """Raises ValueError for a folder that holds a script, or that names files outside of it."""
    code = next(iter(sorted(folder.glob("*.py"))), None)
    if code is not None:
        raise ValueError(f"{what} holds a script ({code.name}), which is not run: give a folder of data without it")
    try:
        card = read_bytes(folder / "README.md").decode("utf-8", "replace")
    except FileNotFoundError:
        card = ""
    front = card.split("---", 2)[1] if card.startswith("---") and card.count("---") > 1 else ""
    if re.search(r"data_files|data_dir|path", front) and re.search(r"://|\.\.|[\s\"'\[,:-][/~]", front):
        raise ValueError(f"{what}: its README.md names data outside of the folder: remove its head (configs)")
    for file in [*folder.glob("*.json"), *folder.glob("*/state.json")]:
        if file.name not in ("state.json", "dataset_dict.json"):
            continue
        told = read_json(file)
        told = told if isinstance(told, dict) else {}
        names = [*(one.get("filename") for one in told.get("_data_files") or () if isinstance(one, dict))]
        odd = next((n for n in [*names, *(told.get("splits") or ())] if Path(str(n)).name != n), None)
        if odd is not None:
            raise ValueError(f"{what}: its {file.name} names {odd!r:.60}, which is outside of the folder")


def _short(error: Exception, most: int = 150) -> str:
    first = (str(error) or type(error).__name__).split("\n")[0].strip().rstrip(".")
    return first if len(first) <= most else first[: most - 3] + "..."


def _splits(tables: Mapping[str, Table], what: str) -> dict[str, tuple[str, Table]]:
    """The splits (name, table) of the parts: train, and validation and heldout if they have a split of their own."""
    names = list(tables)
    if "train" not in names and len(names) != 1:
        raise ValueError(
            f'{what} has the splits {", ".join(names)}, none called "train": save the one you mean to disk'
        )
    train = "train" if "train" in names else names[0]
    held = next((n for n in ("test", *VALIDATING) if n in names and n != train), None)
    valid = next((n for n in VALIDATING if n in names and n not in (train, held)), None)
    chosen = {"train": train, "validation": valid, "heldout": held}
    return {key: (name, tables[name]) for key, name in chosen.items() if name is not None}


def _columns(table: Table, what: str, asked: Mapping[str, str | None]) -> dict[str, str]:
    """The names of the image, label and caption columns; "" for none."""
    from datasets import ClassLabel, Image

    kinds = table.features
    for key, name in asked.items():
        if name and name not in kinds:
            raise ValueError(f'{what}: {key} is "{name}", which is no column; {suggest(name, list(kinds))}')
    images = [name for name, kind in kinds.items() if isinstance(kind, Image)]
    named = asked["image"]
    if not images or (named and named not in images):
        has = f'the column "{named}" holds no images' if named else "no column holds images"
        others = ", ".join(f"{name} ({type(kind).__name__})" for name, kind in list(kinds.items())[:5])
        raise ValueError(f"{what}: {has}; it has {others}: cast the one you mean to datasets.Image()")
    found = {"image": named or images[0], "label": asked["label"] or "", "caption": asked["caption"] or ""}
    if asked["label"] is None:
        known = [name for name, kind in kinds.items() if isinstance(kind, ClassLabel)]
        plain = [name for name in LABELS if str(getattr(kinds.get(name), "dtype", "")).startswith(KINDS)]
        found["label"] = next((name for name in (*LABELS, *known) if name in known), (plain or [""])[0])
    if asked["caption"] is None:
        texts = [name for name in CAPTIONS if name in kinds and len(table) and _is_text(table[0:1][name][0])]
        found["caption"] = next((name for name in texts if name != found["label"]), "")
    elif found["caption"] and len(table) and not _is_text(table[0:1][found["caption"]][0]):
        raise ValueError(f'{what}: the column "{found["caption"]}" holds no texts; leave caption out, or name another')
    return found


def _first(value: object) -> object:
    """The value itself, or the first one of a list."""
    return value[0] if isinstance(value, list) and value else value


def _is_text(value: object) -> bool:
    return isinstance(_first(value), str)


def _agree(table: Table, first: Table, what: str) -> None:
    lost = [name for name in first.features if name not in table.features]
    if lost:
        raise ValueError(f'{what}: the splits differ, one has no column "{lost[0]}"; save them with the same columns')


def _labels(splits: Mapping[str, tuple[str, Table]], column: str, what: str) -> tuple[tuple[str, ...], Tensor | None]:
    """Class names, and labels (n,) int64 of all rows of the splits."""
    from datasets import ClassLabel

    if not column:
        return (), None
    values = [v for _, table in splits.values() for v in table[column][:]]
    if any(v is None for v in values):
        raise ValueError(
            f'{what}: {values.count(None)} rows have no "{column}"; fill them, or set label="" to read no labels'
        )
    if any(isinstance(v, list | dict) for v in values):
        raise ValueError(f'{what}: the column "{column}" holds several values per row; name another, or set label=""')
    kind = splits["train"][1].features[column]
    if not isinstance(kind, ClassLabel):
        return labels_of(values, len(values), f'{what}, column "{column}"')
    label, k = torch.tensor(values, dtype=torch.int64), len(kind.names)
    first = 0
    for name, table in splits.values():
        mine = label[first : first + len(table)]
        first += len(table)
        if len(mine) and not 0 <= int(mine.min()) <= int(mine.max()) < k:
            raise ValueError(
                f'{what}: "{column}" of split "{name}" runs from {int(mine.min())} to {int(mine.max())}, known 0 .. {k - 1} '
                '(-1 marks hidden labels); repair them, or set label="" to read no labels'
            )
    return tuple(str(c) for c in kind.names), label


def _captions(tables: Sequence[Table], column: str) -> tuple[str, ...]:
    values = [value for table in tables for value in table[column][:]]
    return tuple(str(_first(v) if v else "") for v in values)


class _Images:
    """The images of all splits, decoded from the bytes of their files; rows are numbered through the splits."""

    def __init__(self, splits: Mapping[str, tuple[str, Table]], column: str, what: str) -> None:
        from datasets import Image

        self.what, self.column = what, column
        self.splits = [(name, table.select_columns([column]).cast_column(column, Image(decode=False)))
                       for name, table in splits.values()]  # fmt: skip

    def _file(self, row: int) -> tuple[File | None, str]:
        """The file of a row, as Pillow can open it, and its position for error messages."""
        for name, table in self.splits:
            if row < len(table):
                found, where = table[row][self.column] or {}, f'row {row} of split "{name}"'
                data = found.get("bytes")
                if data is not None:
                    return io.BytesIO(data), where
                return self._inside(found.get("path")), where
            row -= len(table)
        raise IndexError(row)

    def _inside(self, path: str | None) -> str | None:
        """The path of a file of the data set: in its folder, or in the cache of the package."""
        import datasets

        if path is None:
            return None
        own = Path(self.what.removeprefix("hf:")).expanduser()
        cache = str(getattr(datasets.config, "HF_CACHE_HOME", "~/.cache/huggingface"))
        homes = [own if own.is_dir() else Path(cache), Path(cache)]
        found = Path(os.path.realpath(path))
        if not any(found.is_relative_to(os.path.realpath(home.expanduser())) for home in homes):
            raise ValueError("its file is outside of the data set")
        return path

    def _act(self, row: int, act: Callable[[File], T]) -> T:
        file, where = self._file(row)
        try:
            if file is None:
                raise ValueError("there is no image")
            return act(file)
        except Exception as error:  # Pillow's decoders raise many kinds of errors on damaged bytes
            why = reason(error).replace(repr(file), "it")
            raise ValueError(f"{self.what}: the image in {where} cannot be read ({why}); filter that row out") from None

    def looks(self) -> list[Look]:
        """The sizes and modes of up to ``LOOKS`` evenly spaced images."""
        total = sum(len(table) for _, table in self.splits)
        return [self._act(row, looked_at) for row in range(0, total, max(1, total // LOOKS))]

    def read(self, rows: Tensor, size: Size, mode: str) -> Tensor:
        """The images (n, C, H, W) uint8 of these rows (n,)."""
        x = np.empty((len(rows), len(mode), *size), np.uint8)
        for k, row in enumerate(rows.tolist()):
            x[k] = self._act(row, lambda file: read_image(file, size, mode))
        return torch.from_numpy(x)
