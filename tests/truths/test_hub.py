"""Data sets of the Hugging Face library: the images, classes and captions of the rows that went in, and one line for all else."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from warmflow.data import DataSet, load
from warmflow.data.hub import hub

needed = pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None, reason="the package datasets is not installed"
)
N = 240
NAMES = ["owl", "ant", "cow"]


def picture(k: int, mode: str = "RGB", side: int = 8) -> Image.Image:
    """Its red is the number of its row."""
    return Image.new("RGB", (side, side), (k, 7, 9)).convert(mode)


def table(n: int = N, first: int = 0, **changes: Any) -> Any:
    """Rows first .. first + n - 1: a red of its own, the class k % 3, a caption that names the row."""
    import datasets

    rows = range(first, first + n)
    kinds: dict[str, Any] = {
        "caption": datasets.Value("string"), "label": datasets.ClassLabel(names=NAMES), "picture": datasets.Image()
    }  # fmt: skip
    columns: dict[str, Any] = {
        "caption": [f"row {k}" for k in rows], "label": [k % 3 for k in rows], "picture": [picture(k) for k in rows]
    }  # fmt: skip
    for name, (kind, values) in changes.items():
        kinds.pop(name, None), columns.pop(name, None)
        if kind is not None:
            kinds[name], columns[name] = kind, values
    return datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))


def saved(folder: Path, *tables: Any, names: tuple[str, ...] = ("train", "test", "validation")) -> str:
    import datasets

    whole = tables[0] if len(tables) == 1 else datasets.DatasetDict(dict(zip(names, tables, strict=False)))
    whole.save_to_disk(str(folder / "set"))
    return f"hf:{folder / 'set'}"


def parts(data: DataSet) -> dict[str, Any]:
    found = {"train": data.train, "validation": data.validation, "heldout": data.heldout}
    return {key: part for key, part in found.items() if part is not None}


def reds(x: torch.Tensor) -> list[int]:
    return ((x[:, 0, 3, 3] + 1) * 127.5).round().long().tolist()


@needed
def test_pixels_classes_and_captions_stay_together(tmp_path: Path) -> None:
    data = load(saved(tmp_path, table()))
    assert data.classes == ("owl", "ant", "cow"), "the order of the ClassLabel, not of the alphabet"
    assert data.shape == (3, 8, 8) and data.numbered == N
    assert data.notes["columns"] == {"image": "picture", "label": "label", "caption": "caption"}
    assert [len(part) for part in parts(data).values()] == [156, 24, 60]
    for key, part in parts(data).items():
        rows = data.rows[key].tolist()
        assert reds(part.x1) == rows
        assert part.condition["label"].tolist() == [k % 3 for k in rows]
        assert data.captions_of(key) == tuple(f"row {k}" for k in rows)
    rows = torch.cat([data.rows[key] for key in parts(data)])
    assert torch.equal(rows.sort().values, torch.arange(N))


@needed
def test_the_splits_of_a_data_set_are_kept(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir(), (tmp_path / "three").mkdir()
    two = load(saved(tmp_path / "two", table(150), table(60, 150)))
    assert [len(part) for part in parts(two).values()] == [135, 15, 60], "a tenth of train validates"
    assert sorted(reds(two.heldout.x1)) == list(range(150, 210))
    assert reds(two.heldout.x1) != list(range(150, 210)), "held out in an order of their own"
    name = saved(tmp_path / "three", table(150), table(60, 150), table(30, 210))
    three, few = load(name), load(name, most=120, seed=5)
    assert [len(part) for part in parts(three).values()] == [150, 30, 60]
    assert three.validation is not None and sorted(reds(three.validation.x1)) == list(range(210, 240))
    assert three.rows["validation"].min() == 150 and three.rows["heldout"].min() == 180, "train, validation, held out"
    for key, part in parts(three).items():
        assert three.captions_of(key) == tuple(f"row {k}" for k in reds(part.x1))
    assert len(few.train) == 120 and torch.equal(few.heldout.x1, three.heldout.x1)


@needed
def test_columns_sizes_and_modes_as_asked(tmp_path: Path) -> None:
    import datasets

    texts = [[f"first {k}", "second"] for k in range(N)]
    grey = [picture(k, "L", 8 + 4 * (k > 0)) for k in range(N)]
    made = table(
        caption=(None, None), picture=(datasets.Image(), grey), text=(datasets.Sequence(datasets.Value("string")), texts),
        kind=(datasets.Value("string"), [f"kind {9 - k % 4}" for k in range(N)]),
    )  # fmt: skip
    name = saved(tmp_path, made)
    data = load(name)
    assert data.shape == (1, 12, 12), "the size of most images, and their mode"
    assert data.captions[17] == "first 17"
    other = load(name, size=16, mode="RGB", label="kind", caption="")
    assert other.shape == (3, 16, 16) and other.captions == ()
    assert other.classes == ("kind 6", "kind 7", "kind 8", "kind 9"), "values in sorted order"
    assert other.train.condition["label"].tolist() == [3 - k % 4 for k in other.rows["train"].tolist()]
    assert load(name, label="").classes == () and not load(name, label="").train.condition


@needed
def test_what_it_cannot_use_is_one_clear_line(tmp_path: Path) -> None:
    import datasets

    number, image = datasets.Value("int64"), datasets.Image()
    secret = datasets.ClassLabel(names=NAMES)
    cases: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
        ((table(picture=(None, None)),), {}, r"no column holds images; it has caption \(Value\), label \(ClassLabel\)"),
        ((table(),), {"image": "label"}, 'column "label" holds no images'),
        ((table(),), {"image": "pictur"}, 'did you mean "picture"'),
        ((table(),), {"caption": "label"}, 'column "label" holds no texts'),
        ((table(),), {"size": 2}, "size is 2"),
        ((table(tags=(datasets.Sequence(number), [[1, 2]] * N)),), {"label": "tags"}, "several values per row"),
        ((table(),), {"mode": "rgb"}, "known: RGB, L"),
        ((table(),), {"most": -1}, "most is -1"),
        ((table(50),), {}, "too few to tell: 50 rows"),
        ((table(1),), {}, "too few to tell: 1 rows"),
        ((table(240), table(10, 240, label=(None, None))), {}, 'one has no column "label"'),
        ((table(200), table(50, 200, label=(secret, [-1] * 50))), {}, r'split "test" runs from -1 to -1.*label=""'),
        (
            (table(picture=(image, [None, *(picture(k) for k in range(1, N))])),),
            {},
            "the image in row 0 .*there is no image",
        ),
        ((table(label=(number, [None, *range(1, N)])),), {}, '1 rows have no "label"'),
        ((table(label=(number, [7] * (N - 1) + [8])),), {}, 'class "8" has one member'),
    ]
    for k, (tables, options, message) in enumerate(cases):
        (tmp_path / str(k)).mkdir()
        with pytest.raises(ValueError, match=message) as caught:
            load(saved(tmp_path / str(k), *tables), **options)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    (tmp_path / "names").mkdir()
    with pytest.raises(ValueError, match='has the splits left, right, none called "train"'):
        load(saved(tmp_path / "names", table(120), table(120), names=("left", "right")))


@needed
def test_a_damaged_image_is_named_by_its_row(tmp_path: Path) -> None:
    import io

    import datasets

    raw = []
    for k in range(N):
        file = io.BytesIO()
        noise = np.random.default_rng(k).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(noise).save(file, "PNG")
        raw.append({"bytes": file.getvalue(), "path": None})
    raw[31]["bytes"] = raw[31]["bytes"][:200]
    with pytest.raises(ValueError, match='the image in row 31 of split "train" cannot be read .*filter that row out'):
        load(saved(tmp_path, table(picture=(datasets.Image(), raw))))


def test_without_the_package_without_internet_and_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"hf:some/name is read by the package datasets, .*: pip install datasets"):
        load("hf:some/name")

    def unreachable(name: str, config: str | None = None) -> Any:
        raise ConnectionError(f"Couldn't reach '{name}' on the Hub (LocalEntryNotFoundError)\nand more lines")

    fake = SimpleNamespace(load_dataset=unreachable, load_from_disk=unreachable)
    monkeypatch.setitem(sys.modules, "datasets", fake)
    with pytest.raises(ValueError, match=r"Couldn't reach 'some/name' .*check the name and the connection") as caught:
        load("hf:some/name")
    assert "\n" not in str(caught.value)
    for name, message in (("", "the name is empty"), (str(tmp_path / "no"), "the path does not exist")):
        with pytest.raises(ValueError, match=message):
            hub(name)
