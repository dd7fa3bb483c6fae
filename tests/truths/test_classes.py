"""What labels mean: natural order, names that are kept, labels that are none, folders that are splits and not classes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from warmflow.data import DataSet, load
from warmflow.data.arrays import from_array
from warmflow.data.image_files import folder
from warmflow.data.labels import in_order, labels_of, natural, numbered
from warmflow.pairs import pair

N = 300
X = np.random.default_rng(0).integers(0, 255, (N, 8, 8)).astype("u1")


def images(root: Path, **counts: int) -> Path:
    """A folder of images; the green of an image is 20 times the number of its folder, "__" in a name is a slash."""
    for k, (name, count) in enumerate(counts.items()):
        place = root / name.replace("__", "/")
        place.mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.fromarray(np.full((8, 8, 3), (i, 20 * k, 7), np.uint8)).save(place / f"{i}.png")
    return root


def greens(x: torch.Tensor) -> list[int]:
    return ((x[:, 1, 4, 4] + 1) * 127.5 / 20).round().long().tolist()


def parts(data: DataSet) -> list[int]:
    return [0 if part is None else len(part) for part in (data.train, data.validation, data.heldout)]


# ---------------------------------------------------------------- order


def test_names_are_in_natural_order() -> None:
    assert in_order(["10", "2", "cat", "1", "11", "0", "cat", "²"]) == ["0", "1", "2", "10", "11", "cat", "²"]
    assert in_order(["a10", "a2", "01", "1", "b"]) == ["01", "1", "a2", "a10", "b"], "of equal numbers, by the text"
    assert natural("a2") < natural("a10") and natural("9") < natural("a")


def test_class_folders_are_in_natural_order_and_keep_their_images(tmp_path: Path) -> None:
    data = folder(images(tmp_path, **{str(c): 5 for c in range(12)}), size=8)
    assert data.classes == tuple(str(c) for c in range(12))
    assert data.train.condition["label"].tolist() == greens(data.train.x1)


def test_labels_of_arrays_are_in_natural_order() -> None:
    kinds = np.arange(N) % 12
    for labels in (kinds, kinds.astype(float), torch.from_numpy(kinds), [str(k) for k in kinds], kinds.astype("S2")):
        classes, label = labels_of(labels, N, "x")
        assert classes == tuple(str(c) for c in range(12)) and label is not None and label.tolist() == kinds.tolist()
    assert numbered(["cat", "dog"]) == "0 cat, 1 dog" and "(30 in all)" in numbered([f"c{k}" for k in range(30)])
    assert numbered(classes) == "0 .. 11"
    assert numbered(["a\x1b[2J\ud800"]) == r"0 a\x1b[2J\ud800", "nothing reaches the terminal that is not text"


# ---------------------------------------------------------------- labels of arrays


@pytest.mark.parametrize("labels", [
    np.array(["cat", "dog", "cow"] * 100, dtype=object), ["cat", "dog", "cow"] * 100, [b"cat", b"dog", b"cow"] * 100,
    np.array(["cat", "dog", "cow"] * 100)[:, None],
])  # fmt: skip
def test_texts_are_labels_in_any_array(labels: Any) -> None:
    data = from_array(X, labels=labels)
    assert data.classes == ("cat", "cow", "dog")
    assert data.train.condition["label"].tolist() == [(0, 2, 1)[row % 3] for row in data.rows["train"].tolist()]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (
            np.arange(N) % 3 - 1,
            r"100 of 300 rows have a label below 0 \(-1\), which means no label, the first is row 0",
        ),
        ([3, -100] * 150, r"150 of 300 rows have a label below 0 \(-100\).*row 1"),
        (torch.arange(N) % 3 - 1.0, "100 of 300 rows have a label below 0"),
        ([0.0, float("nan")] * 150, r"150 of 300 rows have no label \(NaN\)"),
        ([0.5, 1] * 150, r"labels hold 0.5 \(row 0\) and 149 more that are not whole numbers"),
        ([1e30, 1] * 150, r"labels hold 1e\+30 \(row 0\)"),
        ([float("inf"), 1] * 150, r"labels hold inf \(row 0\)"),
        ([10**30, 1] * 150, "labels of dtype object"),
        (["cat", None] * 150, r"150 of 300 rows have no label \(None or NaN\), the first is row 1"),
        (["cat", float("nan")] * 150, "150 of 300 rows have no label"),
        (np.array([1, np.nan] * 150, dtype=object), "150 of 300 rows have no label"),
        (np.array(["cat", np.nan] * 150), '150 of 300 rows have no label .*"nan"'),
        (["cat", ""] * 150, r"150 of 300 rows have no label \(empty text"),
        (["cat", 3] * 150, "labels of the types int, str; .*all of one type"),
        ([{}] * N, "labels of the types dict"),
        ([[1], [2, 3]] * 150, "labels differ in shape"),
        ([1j, 2] * 150, "labels of dtype complex128"),
    ],
)
def test_labels_that_are_none_are_one_clear_line(labels: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        load(X, labels=labels)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


@pytest.mark.parametrize("key", ["y", "label", "labels"])
def test_labels_of_an_archive_by_any_of_their_names(tmp_path: Path, key: str) -> None:
    for name in ("x", "images"):
        np.savez(tmp_path / "a.npz", **{name: X, key: np.arange(N) % 3})
        data = load(tmp_path / "a.npz")
        assert data.classes == ("0", "1", "2") and not data.warnings


def test_an_archive_names_its_classes(tmp_path: Path) -> None:
    names, labels = ["zebra", "ant", "owl"], np.arange(N) % 3
    np.savez(tmp_path / "a.npz", x=X, labels=labels, classes=names, calls=labels, seed=0)
    data = load(tmp_path / "a.npz")
    assert data.classes == ("zebra", "ant", "owl") and not data.warnings
    assert data.train.condition["label"].tolist() == labels[data.rows["train"]].tolist()
    np.savez(tmp_path / "b.npz", x=X, labels=labels, classes=names[:2])
    with pytest.raises(ValueError, match="a label is 2, and there are 2 classes"):
        load(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", x=X, classes=labels)
    assert load(tmp_path / "c.npz").warnings[0].endswith("not used: classes; labels are named y")
    np.savez(tmp_path / "d.npz", x=X, y=labels, classes=np.array(names)[labels])
    assert load(tmp_path / "d.npz").classes == ("0", "1", "2"), "a name for each row is no name of a class"


@pytest.mark.parametrize(
    ("labels", "says"), [(-1, "labels from -1 to 1, known 0 .. 1"), (1, "labels from 1 to 3, known")]
)
def test_labels_of_a_data_set_are_checked_where_it_is_made(labels: int, says: str) -> None:
    data = load(X, labels=np.arange(N) % 3)
    part = replace(data.train, condition={"label": torch.arange(len(data.train)) % 3 + labels})
    with pytest.raises(ValueError, match=says):
        replace(data, train=part, classes=("a", "b"))


@pytest.mark.parametrize("labels", [[-1, 0] * 100, torch.arange(200) % 2 - 1, ["a", "b"] * 100, [0.5] * 200])
def test_labels_of_pairs_are_whole_numbers_from_0(labels: Any) -> None:
    with pytest.raises(ValueError, match="give 200 whole numbers from 0"):
        pair(torch.randn(200, 2), labels=labels)


def test_an_archive_s_other_arrays_are_told_and_none_is_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", x=X, target=np.arange(N))
    assert load(tmp_path / "other.npz").warnings[0].endswith("other.npz: not used: target; labels are named y")
    np.savez(tmp_path / "two.npz", x=X, y=np.arange(N), labels=np.arange(N))
    np.savez(tmp_path / "objects.npz", x=X, labels=np.array(["a", "b"] * 150, dtype=object))
    for name, says in (
        ("two", "has labels as y and as labels; keep one"),
        ("objects", r"save labels as texts, labels.astype\(str\)"),
    ):
        with pytest.raises(ValueError, match=says):
            load(tmp_path / f"{name}.npz")


# ---------------------------------------------------------------- split folders


@pytest.mark.parametrize("stream", [False, True])
def test_split_folders_are_no_classes(tmp_path: Path, stream: bool) -> None:
    images(tmp_path, train__cat=40, train__dog=40, val__cat=20, val__dog=20)
    data = folder(tmp_path, size=8, stream=stream)
    assert data.classes == ("cat", "dog") and parts(data) == [72, 8, 40]
    assert set(greens(data.train.x1)) == {0, 1} and set(greens(data.heldout.x1)) == {2, 3}
    for part in (data.train, data.validation, data.heldout):
        assert part is not None and part.condition["label"].tolist() == [green % 2 for green in greens(part.x1)]
    told = "split folders are no classes: train (80 images) is trained on; val (40 images) is held out"
    assert data.warnings[0] == f"folder:{tmp_path}: {told}"
    files = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.png"))
    assert all(files[row].startswith("val") for row in data.rows["heldout"].tolist()), "rows number the sorted files"


def test_three_splits_and_what_is_not_used(tmp_path: Path) -> None:
    images(tmp_path, train__a=40, train__b=40, valid__a=10, valid__b=10, test__a=15, test__b=15, extra=3, **{".": 2})
    data = folder(tmp_path, size=8)
    assert data.classes == ("a", "b") and parts(data) == [80, 20, 30] and data.notes["read"] == 130
    assert "test (30 images) is held out; valid (20 images) is for validation; not used: " in data.warnings[0]
    assert "extra" in data.warnings[0] and "(5 images)" in data.warnings[0]


def test_a_split_without_classes_is_not_used(tmp_path: Path) -> None:
    data = folder(images(tmp_path, train__a=40, train__b=40, test=30), size=8)
    assert data.classes == ("a", "b") and sum(parts(data)) == 80 and set(greens(data.heldout.x1)) == {0, 1}
    assert "test (30 images) has images without a class and is not used" in data.warnings[0]


@pytest.mark.parametrize(
    ("counts", "classes"),
    [
        ({"seg_train__seg_train__a": 30, "seg_train__seg_train__b": 30, "seg_test__seg_test__a": 5, "seg_test__seg_test__b": 5},
         ("a", "b")),
        ({"data__Train2017__a": 30, "data__Train2017__b": 30, "data__Val2017__a": 9, "data__Val2017__b": 9}, ("a", "b")),
        ({"training__a": 30, "training__b": 30, "evaluation__a": 9, "evaluation__b": 9}, ("a", "b")),
        ({"train__images__a": 30, "train__images__b": 30, "test__images__a": 9, "test__images__b": 9}, ("a", "b")),
        ({"train__a": 30, "train__b": 30, "val__a__deep": 9}, ("a", "b")),
        ({"train": 30, "test": 30}, ()),
        ({"test": 60}, ()),
        ({"train__a": 30, "train__b": 30}, ("a", "b")),
        ({"photos__cat": 30, "photos__dog": 30}, ("cat", "dog")),
        ({"bus": 30, "car": 30, "train": 30}, ("bus", "car", "train")),
    ],
)  # fmt: skip
def test_splits_under_other_names_and_classes_that_are_no_splits(
    tmp_path: Path, counts: dict[str, int], classes: tuple[str, ...]
) -> None:
    data = folder(images(tmp_path, **counts), size=8)
    assert data.classes == classes and data.notes["read"] == sum(counts.values())
    if "car" in counts:
        assert "the folder train is a class like bus, not a split" in data.warnings[0]


def test_splits_without_one_to_train_on_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has the split folders test, val, none called train; name the folder"):
        folder(images(tmp_path, test__a=30, val__a=30), size=8)


def test_facts_about_splits_are_json(tmp_path: Path) -> None:
    data = folder(images(tmp_path, train__a=30, train__b=30, val__a=9, val__b=9), size=8)
    assert json.loads(json.dumps(dict(data.notes)))["parts"].startswith("split folders are no classes")
