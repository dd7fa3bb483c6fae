"""Image data sets of the Hugging Face hub, and those saved to disk, through the package ``datasets``.

    "hf:NAME"     a data set of the hub, fetched once and kept by the package; without internet, one fetched before
    "hf:PATH"     a folder that ``save_to_disk`` wrote, or one that the package can read (parquet, a folder of images)

An image column is needed; a label column and a caption column are taken where there are some. Images become (C, size, size) by
the rule of :mod:`warmflow.data.images`, from the bytes of their files.

Parts. A split called "test" is held out (else "validation", "valid", "val" or "dev"), at most 10,000 rows of it in an order of
their own; another of these names validates, at most 5,000 rows, else a tenth of "train" does; the rest of "train" trains.
Where there is one split alone, a quarter of it is held out and a tenth validates, at most as many. ``rows`` counts through the
splits that are used: train, the one that validates, the one held out.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from warmflow.data import DataSet, enough, part, peopled, suggest
from warmflow.data.arrays import labels_of
from warmflow.data.demand import HELDOUT, VALIDATION
from warmflow.data.images import FORMATS, MODES, from_uint8, read_image, reason
from warmflow.noise import permutation

VALIDATING = ("validation", "valid", "val", "dev")
LABELS = ("label", "labels", "class")
CAPTIONS = ("caption", "captions", "text", "prompt", "sentence")
LARGEST = 64
"""Square images up to this side keep their size unless another is asked for."""
USUAL = 32


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

    ``notes``: the columns that were read and the splits that the parts come from.

    Args:
        image: the column of images; "" for the first one.
        label: the column of classes; None for a ClassLabel column (called "label" where there are several), or a column of
            that name; "" for none. Names of a ClassLabel become ``classes``, other values theirs in sorted order.
        caption: the column of captions (texts, or lists of them, of which the first is taken); None for a column of
            texts called "caption", "text", "prompt" or the like; "" for none.
        size: the side of the square, at least 4; 0 for the first image's own where it is square and at most 64, else 32.
        mode: "RGB" or "L"; "" for L where the first image is grey.
        most: the largest number of training images, 0 for all; chosen by ``seed``.
        config: which of a data set's configurations.

    Raises:
        ValueError: no package ``datasets``, no such data set, no internet, no image column, columns that do not exist or
            hold something else, labels out of range, images that cannot be read, fewer than 200 rows.
    """
    what = f"hf:{name}"
    for word, value in (("size", size), ("most", most)):
        least = 4 if word == "size" else 1
        if isinstance(value, bool) or not isinstance(value, int) or (value and value < least):
            raise ValueError(f"{what}: {word} is {value!r}; give a whole number of at least {least}, or 0")
    if mode not in ("", *MODES):
        raise ValueError(f'{what}: mode "{mode}" is unknown; {suggest(str(mode), MODES)}')
    splits = _splits(opened(name, config), what)
    tables = [table for _, table in splits.values()]
    enough(sum(len(table) for table in tables), what)
    columns = _columns(tables[0], what, {"image": image, "label": label, "caption": caption})
    for _, table in splits.values():
        _agree(table, tables[0], what)
    rows = _rows({key: len(table) for key, (_, table) in splits.items()}, most, seed)
    classes, labels = _labels(splits, columns["label"], what)
    if labels is not None:
        peopled(what, classes, labels)
    images = _Images(splits, columns["image"], what)
    size, mode = images.as_asked(size, mode)
    parts = {}
    for key, mine in rows.items():
        x1 = from_uint8(images.read(mine, size, mode))
        parts[key] = part(x1, None if labels is None else labels[mine])
    used = {key: f"{split} ({len(table)} rows)" for key, (split, table) in splits.items()}
    notes = {"columns": {k: v for k, v in columns.items() if v}, "splits": used}
    captions = _captions(tables, columns["caption"]) if columns["caption"] else ()
    validation = parts["validation"] if len(parts["validation"]) else None
    return DataSet(
        what, "images", parts["train"], validation, parts["heldout"], classes, notes, rows, captions=captions
    )  # fmt: skip


def opened(name: str, config: str = "") -> Mapping[str, Any]:
    """The splits of a data set, by name; "train" where it has none.

    Raises:
        ValueError: no package ``datasets``, a path or name that leads nowhere, no internet.
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
        from datasets import load_dataset, load_from_disk  # an extra: nothing else needs it
    except ImportError:
        raise ValueError(
            f"{what} is read by the package datasets, which is not installed: pip install datasets"
        ) from None
    try:
        if any((path / file).is_file() for file in ("dataset_dict.json", "state.json")):
            found = load_from_disk(str(path))
        else:
            found = load_dataset(str(path) if path.is_dir() else name, config or None)
    except Exception as error:  # a hub client raises nearly anything; its first line says which
        remedy = "check the folder" if path.is_dir() else "check the name and the connection, or give hf:PATH"
        raise ValueError(f"{what} cannot be opened ({_short(error)}): {remedy}") from None
    return found if isinstance(found, Mapping) else {"train": found}


def _short(error: Exception, most: int = 150) -> str:
    first = (str(error) or type(error).__name__).split("\n")[0].strip().rstrip(".")
    return first if len(first) <= most else first[: most - 3] + "..."


def _splits(tables: Mapping[str, Any], what: str) -> dict[str, tuple[str, Any]]:
    """The splits that parts come from: train, validation where there is one of its own, heldout; (name, table) each."""
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


def _columns(table: Any, what: str, asked: Mapping[str, str | None]) -> dict[str, str]:
    """The columns of images, labels and captions by name; "" for none."""
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
        plain = [
            name for name in LABELS if str(getattr(kinds.get(name), "dtype", "")).startswith(("int", "uint", "string"))
        ]
        found["label"] = next((name for name in (*LABELS, *known) if name in known), (plain or [""])[0])
    if asked["caption"] is None:
        texts = [name for name in CAPTIONS if name in kinds and len(table) and _is_text(table[0:1][name][0])]
        found["caption"] = next((name for name in texts if name != found["label"]), "")
    elif found["caption"] and len(table) and not _is_text(table[0:1][found["caption"]][0]):
        raise ValueError(f'{what}: the column "{found["caption"]}" holds no texts; leave caption out, or name another')
    return found


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and bool(value) and isinstance(value[0], str))


def _agree(table: Any, first: Any, what: str) -> None:
    lost = [name for name in first.features if name not in table.features]
    if lost:
        raise ValueError(f'{what}: the splits differ, one has no column "{lost[0]}"; save them with the same columns')


def _rows(counts: Mapping[str, int], most: int, seed: int) -> dict[str, Tensor]:
    """The rows of each part, counted through the splits."""
    n = counts["train"]
    if "heldout" not in counts:
        order = permutation(seed, n, "data.split")
        held, valid = min(n // 4, HELDOUT), min(n // 10, VALIDATION)
        first, last = n - held - valid, n - held
        return {"train": order[:first][: most or None], "validation": order[first:last], "heldout": order[last:]}
    passed = n + counts.get("validation", 0)
    heldout = passed + permutation(0, counts["heldout"], "hub.heldout")[:HELDOUT]
    order = permutation(seed, n, "hub.train")
    if "validation" in counts:
        valid_rows = n + permutation(0, counts["validation"], "hub.validation")[:VALIDATION]
    else:
        first = n - min(n // 10, VALIDATION)
        order, valid_rows = order[:first], order[first:]
    return {"train": order[: most or None], "validation": valid_rows, "heldout": heldout}


def _labels(splits: Mapping[str, tuple[str, Any]], column: str, what: str) -> tuple[tuple[str, ...], Tensor | None]:
    """Class names, and (n,) int64 labels of all rows of the splits."""
    from datasets import ClassLabel

    if not column:
        return (), None
    values = [v for _, table in splits.values() for v in table[column][:]]
    if any(v is None for v in values):
        raise ValueError(
            f'{what}: {values.count(None)} rows have no "{column}"; fill them, or say label="" to go without'
        )
    if any(isinstance(v, list | dict) for v in values):
        raise ValueError(f'{what}: the column "{column}" holds several values a row; name another, or say label=""')
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
                '(-1 where labels are kept secret); mend it, or say label="" to go without'
            )
    return tuple(str(c) for c in kind.names), label


def _captions(tables: Sequence[Any], column: str) -> tuple[str, ...]:
    values = [value for table in tables for value in table[column][:]]
    return tuple(str(v[0] if isinstance(v, list) and v else v or "") for v in values)


class _Images:
    """The images of all splits, by their row counted through them, from the bytes of their files."""

    def __init__(self, splits: Mapping[str, tuple[str, Any]], column: str, what: str) -> None:
        from datasets import Image

        self.what, self.column = what, column
        self.splits = [(name, table.select_columns([column]).cast_column(column, Image(decode=False)))
                       for name, table in splits.values()]  # fmt: skip

    def _file(self, row: int) -> tuple[Any, str]:
        """What Pillow can open, and where it stands."""
        for name, table in self.splits:
            if row < len(table):
                found, where = table[row][self.column] or {}, f'row {row} of split "{name}"'
                if found.get("bytes") is not None:
                    return io.BytesIO(found["bytes"]), where
                return found.get("path"), where
            row -= len(table)
        raise IndexError(row)

    def _act(self, row: int, act: Any) -> Any:
        file, where = self._file(row)
        try:
            if file is None:
                raise ValueError("there is none")
            return act(file)
        except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
            why = reason(error).replace(repr(file), "it")
            raise ValueError(f"{self.what}: the image in {where} cannot be read ({why}); filter that row out") from None

    def as_asked(self, size: int, mode: str) -> tuple[int, str]:
        """The size and mode asked for, or those of the first image."""
        from PIL import Image

        def look(file: Any) -> tuple[int, str]:
            with Image.open(file, formats=FORMATS) as image:
                own = image.width if image.width == image.height and 4 <= image.width <= LARGEST else USUAL
                return own, "L" if image.mode in ("L", "1", "I", "I;16", "LA") else "RGB"

        own_size, own_mode = self._act(0, look)
        return size or own_size, mode or own_mode

    def read(self, rows: Tensor, size: int, mode: str) -> Tensor:
        """(n, C, size, size) uint8."""
        x = np.empty((len(rows), len(mode), size, size), np.uint8)
        for k, row in enumerate(rows.tolist()):
            x[k] = self._act(row, lambda file: read_image(file, size, mode))
        return torch.from_numpy(x)
