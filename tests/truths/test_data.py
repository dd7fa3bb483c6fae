"""Data: the laws of the toys, the splits, the rule for images, and one clear line for everything that is wrong."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from warmflow.data import DataSet, load
from warmflow.data.arrays import from_array, from_file
from warmflow.data.image_files import folder, read_image
from warmflow.data.images import digits, to_images
from warmflow.data.toy import TOYS, draw, draw_labelled, toy
from warmflow.noise import Noise


def points(n: int = 400, d: int = 2) -> torch.Tensor:
    return Noise.of(7, n).normal("points", d)


def parts(data: DataSet) -> list[Any]:
    return [part for part in (data.train, data.validation, data.heldout) if part is not None]


# toys


@pytest.mark.parametrize("name", TOYS)
def test_toys_have_zero_mean_and_unit_variance(name: str) -> None:
    n = 200_000
    x, label = draw_labelled(name, n, Noise.of(0, n))
    assert x.shape == (n, 2) and x.dtype == torch.float32
    assert x.mean(0).abs().max() < 4 / math.sqrt(n)
    # the variance of a squared unit variable is at most 2 here (lighter tails than a Gaussian's)
    assert (x.var(0) - 1).abs().max() < 4 * math.sqrt(2 / n)
    share = torch.bincount(label).double() / n
    assert len(share) == len(TOYS[name].classes)
    assert (share - 1 / len(share)).abs().max() < 4 * math.sqrt(0.25 / n)


def test_moons_lie_on_their_half_circles() -> None:
    x, label = draw_labelled("moons", 5_000, Noise.of(1, 5_000))
    law = TOYS["moons"]
    raw = x.double() * torch.tensor(law.variance).double().sqrt() + torch.tensor(law.mean).double()
    centre = torch.where(label[:, None] == 0, torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.5]))
    radius = (raw - centre).norm(dim=1)
    assert abs(float(radius.mean()) - 1) < 0.02 and abs(float(radius.std()) - 0.1) < 0.01


def test_checkerboard_fills_even_cells_only() -> None:
    raw = draw("checkerboard", 20_000, Noise.of(2, 20_000)).double() * math.sqrt(4 / 3)
    assert raw.abs().max() <= 2 + 1e-6
    cell = (raw.clamp(-1.999999, 1.999999)).floor().long()
    assert (cell.sum(1) % 2 == 0).double().mean() > 0.9999  # float32 may land a hair across an edge
    assert len(torch.unique(cell, dim=0)) == 8


def test_eight_gaussians_are_eight() -> None:
    x, label = draw_labelled("eight_gaussians", 20_000, Noise.of(3, 20_000))
    scale = math.sqrt(8.25)
    for k in range(8):
        own = x[label == k] * scale
        centre = 4 * torch.tensor([math.cos(k * math.pi / 4), math.sin(k * math.pi / 4)])
        assert (own.mean(0) - centre).abs().max() < 0.05 and (own.std(0) - 0.5).abs().max() < 0.03


@pytest.mark.parametrize("name", TOYS)
def test_a_draw_depends_on_its_own_stream_only(name: str) -> None:
    noise = Noise.of(0, 50)
    assert torch.equal(draw(name, 50, noise)[10:20], draw(name, 10, noise[10:20]))


def test_toy_parts_are_independent_of_each_others_size() -> None:
    small, large = toy("moons", train=300, heldout=200), toy("moons", train=500, heldout=100)
    assert torch.equal(small.train.x1, large.train.x1[:300])
    assert torch.equal(small.heldout.x1[:100], large.heldout.x1)
    assert not torch.equal(small.train.x1[:100], small.heldout.x1[:100])
    assert small.validation is None and small.bounds is None and small.shape == (2,)
    assert small.everything.shape == (500, 2)
    assert not torch.equal(toy("moons", train=300, seed=1).train.x1, small.train.x1)


# digits


def test_digits_are_split_997_300_500() -> None:
    data = digits()
    assert [len(part) for part in parts(data)] == [997, 300, 500]
    assert data.shape == (1, 8, 8) and data.bounds == (-1.0, 1.0)
    rows = torch.cat(list(data.rows.values()))
    assert torch.equal(rows.sort().values, torch.arange(1797))
    raw = load_digits()
    assert torch.equal(data.everything, torch.from_numpy(raw.images[rows.numpy()]).float()[:, None] / 8 - 1)
    assert torch.equal(torch.cat([p.condition["label"] for p in parts(data)]), torch.from_numpy(raw.target)[rows])
    assert torch.equal(digits().train.x1, data.train.x1) and not torch.equal(digits(1).train.x1, data.train.x1)


@pytest.mark.parametrize("data", [toy("checkerboard", train=300, heldout=50), digits(), from_array(points())])
def test_index_numbers_the_rows_of_its_part(data: DataSet) -> None:
    for part in parts(data):
        assert torch.equal(part[part.index].x1, part.x1)


# arrays


def test_points_keep_their_units_and_rows() -> None:
    x = 50 * points() + 7
    data = from_array(x, labels=["b", "a"] * 200)
    assert [len(part) for part in parts(data)] == [260, 40, 100] and data.kind == "points"
    assert torch.equal(data.everything, x[torch.cat(list(data.rows.values()))])
    assert data.classes == ("a", "b")
    for key, part in zip(("train", "validation", "heldout"), parts(data), strict=True):
        assert torch.equal(part.condition["label"], 1 - data.rows[key] % 2)
    again = from_array(x.double().numpy(), seed=1)
    assert again.train.x1.dtype == torch.float32 and not torch.equal(again.rows["train"], data.rows["train"])


def test_labels_become_consecutive() -> None:
    data = from_array(points(), labels=np.array([30.0, 2.0] * 200))
    assert data.classes == ("2", "30")


def test_the_layouts_of_uint8_images() -> None:
    first = torch.randint(0, 256, (5, 3, 8, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = first.float() / 127.5 - 1
    assert torch.equal(to_images(first), expected)
    assert torch.equal(to_images(first.permute(0, 2, 3, 1).numpy()), expected)
    assert torch.equal(to_images(first[:, 0]), expected[:, :1])
    assert torch.equal(to_images(expected.double()), expected)
    assert expected.min() >= -1 and expected.max() <= 1


def test_images_from_zero_to_one_are_noted() -> None:
    x = Noise.of(0, 200).uniform("x", 1, 4, 4)
    assert "range" in from_array(x).notes and "range" not in from_array(2 * x - 1).notes


def test_files_of_arrays(tmp_path: Path) -> None:
    x, y = points().numpy(), np.arange(400) % 3
    np.save(tmp_path / "a.npy", x.astype(">f8"))
    np.savez(tmp_path / "b.npz", x=x, y=y, other=y)
    np.savez(tmp_path / "c.npz", whatever=x, y=y)
    for name, classes in (("a.npy", 0), ("b.npz", 3), ("c.npz", 3)):
        data = load(str(tmp_path / name))
        assert torch.equal(data.train.x1, from_array(x).train.x1) and len(data.classes) == classes
        assert torch.equal(load(tmp_path / name).heldout.x1, data.heldout.x1)


# folders


def save(path: Path, array: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def grey(value: int, side: int = 8, *rest: int) -> np.ndarray:
    return np.full((side, side, *rest), value, np.uint8)


def test_folder_counts_what_it_cannot_read_and_takes_subfolders_as_classes(tmp_path: Path) -> None:
    for k in range(10):
        save(tmp_path / "cats" / "deep" / f"{k}.png", grey(k))
        save(tmp_path / "dogs" / f"{k}.JPG", grey(100 + k, 20, 3), quality=95)
    (tmp_path / "dogs" / "broken.png").write_bytes((tmp_path / "dogs" / "0.JPG").read_bytes()[:200])
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "dogs" / ".hidden").write_text("passed over")
    os.symlink(tmp_path / "gone.png", tmp_path / "dogs" / "link.png")
    os.symlink(tmp_path, tmp_path / "dogs" / "loop")
    data = folder(tmp_path, size=8)
    assert data.classes == ("cats", "dogs") and data.shape == (3, 8, 8) and data.kind == "images"
    assert data.notes["read"] == 20 and data.notes["unreadable"] == 3
    assert data.warnings[0].startswith(f"folder:{tmp_path}: 3 files could not be read and are left out (")
    assert {f["file"] for f in data.notes["unreadable_files"]} == {"notes.txt", "dogs/broken.png", "dogs/link.png"}
    assert [len(part) for part in parts(data)] == [14, 2, 4]
    for part in parts(data):
        assert torch.equal(part.condition["label"], (part.x1.mean((1, 2, 3)) > -0.5).long())


def test_folder_order_is_that_of_names(tmp_path: Path) -> None:
    values = [5, 3, 9, 1, 7, 2]
    for one, order in (("one", values), ("two", sorted(values))):
        for value in order:
            save(tmp_path / one / f"{value}.png", grey(10 * value))
    first, second = folder(tmp_path / "one", size=4), folder(tmp_path / "two", size=4)
    assert torch.equal(first.everything, second.everything)
    rows = torch.cat(list(first.rows.values()))
    expected = torch.tensor(sorted(values)).float()[rows] * 10 / 127.5 - 1
    assert torch.allclose(first.everything[:, 0, 0, 0], expected)
    assert first.classes == () and not first.train.condition


def test_images_beside_subfolders_have_no_classes_and_a_note(tmp_path: Path) -> None:
    for k in range(3):
        save(tmp_path / f"{k}.png", grey(k))
        save(tmp_path / "sub" / f"{k}.png", grey(k))
    data = folder(tmp_path, size=8)
    assert data.classes == () and not data.train.condition and "outside of the subfolders" in data.notes["classes"]


def test_every_kind_of_file_becomes_eight_bits(tmp_path: Path) -> None:
    clear = np.zeros((8, 8, 4), np.uint8)
    save(tmp_path / "clear.png", clear)
    assert (read_image(tmp_path / "clear.png", (8, 8)) == 255).all()
    save(tmp_path / "sixteen.png", np.full((8, 8), 32896, np.uint16))
    assert (read_image(tmp_path / "sixteen.png", (8, 8)) == 128).all()
    Image.new("P", (8, 8), 1).save(tmp_path / "palette.gif")
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.save(tmp_path / "palette.png")
    assert read_image(tmp_path / "palette.png", (8, 8))[:, 0, 0].tolist() == [10, 20, 30]
    palette.save(tmp_path / "hole.png", transparency=1)
    assert (read_image(tmp_path / "hole.png", (8, 8)) == 255).all()
    Image.new("1", (8, 8), 1).save(tmp_path / "bit.png")
    assert (read_image(tmp_path / "bit.png", (8, 8), "L") == 255).all()
    Image.new("CMYK", (8, 8), (0, 0, 0, 0)).save(tmp_path / "print.jpg")
    assert read_image(tmp_path / "print.jpg", (8, 8)).shape == (3, 8, 8)
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(tmp_path / "float.tif")
    assert (read_image(tmp_path / "float.tif", (8, 8), "L") == 128).all()
    Image.fromarray(np.full((8, 8), 7.5, np.float32)).save(tmp_path / "wild.tif")
    with pytest.raises(ValueError, match="no known scale"):
        read_image(tmp_path / "wild.tif", (8, 8))


def test_exif_orientation_is_honoured(tmp_path: Path) -> None:
    array = np.zeros((8, 8), np.uint8)
    array[:, 4:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    save(tmp_path / "turned.png", array, exif=exif)
    assert np.array_equal(read_image(tmp_path / "turned.png", (8, 8), "L")[0], np.rot90(array, -1))


def test_resized_by_the_shorter_side_and_cropped_at_the_centre(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 90).astype(np.uint8), (40, 1))
    save(tmp_path / "wide.png", ramp)
    whole = Image.fromarray(ramp).resize((18, 8), Image.Resampling.BICUBIC)
    found = read_image(tmp_path / "wide.png", (8, 8), "L")[0].astype(int)
    assert np.abs(found - np.asarray(whole).astype(int)[:, 5:13]).max() <= 1
    # antialiased: stripes one pixel wide become their mean
    save(tmp_path / "stripes.png", np.tile(np.array([0, 255], np.uint8), (64, 32)))
    assert np.abs(read_image(tmp_path / "stripes.png", (8, 8), "L").astype(int)[0, :, 1:-1] - 127).max() <= 4


# one entrance


def test_load_knows_names_paths_arrays_and_data_sets(tmp_path: Path) -> None:
    moons = load("moons", train=300, heldout=100)
    assert moons.name == "toy.moons" and len(moons.train) == 300
    assert load(moons) is moons
    assert load("toy.checkerboard", train=200).name == "toy.checkerboard"
    assert load("digits").shape == load("images.digits").shape == (1, 8, 8)
    assert load(points().tolist()).shape == (2,)
    for k in range(200):
        save(tmp_path / f"{k}.png", grey(k))
    assert load(f"folder:{tmp_path}", size=4, mode="L").shape == load(tmp_path, size=4, mode="L").shape == (1, 4, 4)


BAD: list[tuple[str, Any, dict[str, Any], str]] = [
    ("near name", "moon", {}, 'did you mean "moons"'),
    ("far name", "imagenet-22k", {}, "known: toy.moons"),
    ("empty name", "", {}, "unknown"),
    ("option", "moons", {"trian": 5}, 'did you mean "train"'),
    ("option of a set", from_array(points()), {"seed": 1}, "takes none"),
    ("no toy rows", "moons", {"train": 0}, "train is 0"),
    ("few toy rows", "moons", {"train": 50, "heldout": 50}, "too few to tell: 100 rows"),
    ("missing file", "nowhere/x.npy", {}, "does not exist"),
    ("missing folder", "folder:nowhere/at/all", {}, "does not exist"),
    ("empty folder name", "folder:", {}, "path is empty"),
    ("few rows", points(150), {}, "too few to tell: 150 rows; a verdict needs at least 200"),
    ("no rows", torch.zeros(0, 2), {}, "empty"),
    ("no columns", torch.zeros(300, 0), {}, "empty"),
    ("empty list", [], {}, "empty"),
    ("one axis", torch.zeros(300), {}, r"reshape to \(N, 1\)"),
    ("five axes", torch.zeros(300, 1, 1, 2, 2), {}, "5 dimensions"),
    ("objects", np.array([None] * 300, dtype=object), {}, "dtype object"),
    ("none", None, {}, "dtype object"),
    ("strings", np.array([["a", "b"]] * 300), {}, "dtype <U1"),
    ("ragged", [[1.0, 2.0]] * 299 + [[1.0]], {}, "rows of different shapes"),
    ("complex", torch.zeros(300, 2, dtype=torch.complex64), {}, "real numbers"),
    ("nan", torch.cat([points(), torch.tensor([[math.nan, 0]])]), {}, "NaN or infinite values in 1 of 401"),
    ("infinite", torch.cat([points(), torch.tensor([[math.inf, 0]])]), {}, "NaN or infinite"),
    ("far points", points() * 1e5, {}, "standardise"),
    ("constant", torch.ones(300, 2), {}, "the same"),
    ("kind", points(), {"kind": "image"}, 'did you mean "images"'),
    ("points as images", points(), {"kind": "images"}, r"give \(N, H, W\)"),
    ("images as points", torch.zeros(300, 1, 4, 4), {"kind": "points"}, 'kind="images"'),
    ("images to 255", torch.full((300, 1, 4, 4), 255.0), {}, "outside"),
    ("integer images", torch.zeros(300, 1, 4, 4, dtype=torch.int64), {}, "dtype int64"),
    ("boolean images", torch.zeros(300, 4, 4, dtype=torch.bool), {}, "dtype bool"),
    ("nan images", torch.full((300, 1, 4, 4), math.nan), {}, "300 of 300"),
    ("four channels", torch.zeros(300, 4, 8, 8, dtype=torch.uint8), {}, "composite transparency"),
    ("label shape", points(), {"labels": [1, 2]}, "2"),
    ("label nan", points(), {"labels": [math.nan] * 400}, r"400 of 400 rows have no label \(NaN\)"),
]


@pytest.mark.parametrize(("what", "options", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_data_is_one_clear_line(what: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load(what, **options)
    assert "\n" not in str(caught.value)


def test_bad_files_are_one_clear_line(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}] * 300, dtype=object), allow_pickle=True)
    np.savez(tmp_path / "objects.npz", x=np.array([{}] * 300, dtype=object))
    np.savez(tmp_path / "two.npz", a=points().numpy(), b=points().numpy())
    np.savez(tmp_path / "none.npz")
    (tmp_path / "text.npy").write_text("hello")
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npy").write_bytes(b"")
    np.save(tmp_path / "whole.npy", points().numpy())
    (tmp_path / "cut.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:-100])
    (tmp_path / "table.csv").write_text("1,2")
    cases = {"objects.npy": "never unpickled", "objects.npz": "never unpickled", "two.npz": "arrays a, b"}
    cases |= {"none.npz": r"\(none\)", "table.csv": "not a .npy or .npz"}
    cases |= dict.fromkeys(["text.npy", "text.npz", "empty.npy", "cut.npy"], "cannot be read")
    for name, message in cases.items():
        with pytest.raises(ValueError, match=message) as caught:
            load(str(tmp_path / name))
        assert "\n" not in str(caught.value) and name in str(caught.value)
    with pytest.raises(ValueError, match='give "folder:'):
        load(str(tmp_path))
    with pytest.raises(ValueError, match="is a folder"):
        from_file(tmp_path)


def test_bad_folders_are_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("hello")
    save(tmp_path / "one" / "a.png", grey(1))
    for k in range(5):
        save(tmp_path / "few" / f"{k}.png", grey(k))
    few = tmp_path / "few"
    cases: list[tuple[Path, dict[str, Any], str]] = [
        (tmp_path / "empty", {}, "holds no images"),
        (tmp_path / "text", {}, "1 files tried; a.txt: not an image"),
        (tmp_path / "one", {}, "at least two"),
        (tmp_path / "one" / "a.png", {}, "is a file"),
        (few, {"size": 3}, "size is 3"),
        (few, {"size": 8.5}, "size is 8.5"),
        (few, {"mode": "rgb"}, "known: RGB, L"),
        (few, {"heldout": 1.0}, "heldout is 1.0"),
    ]
    for path, options, message in cases:
        with pytest.raises(ValueError, match=message) as caught:
            folder(path, **options)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="too few to tell: 5 rows"):
        load(f"folder:{few}")
