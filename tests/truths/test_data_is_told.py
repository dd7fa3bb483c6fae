"""What is read of a user's data, and what is not: told in one line, or refused with how to give it."""

import io
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

import warmflow
from warmflow.data import load
from warmflow.data.samples import read_all
from warmflow.data.text import drafts_of, text
from warmflow.data.text import read as read_text

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 2)).astype("f4")
PIXELS = RNG.integers(0, 256, (300, 8, 8, 3))
LATIN, RUSSIAN = "all is well and so it goes on " * 1500, "мама мыла раму вчера " * 2200
CHINESE = "".join(chr(0x4E00 + k) for k in range(2003)) * 23


def share(documents, **more):
    return [line for line in text(documents, length=16, **more).warnings if "%" in line]


# ---------------------------------------------------------------- texts


@pytest.mark.parametrize(
    "written", [LATIN, LATIN.upper(), "Été à la plage, çà et là. " * 1500, LATIN + "日" * 100], ids=range(4)
)
def test_a_text_that_is_kept_is_not_warned_about(written):
    assert not share({"a": written})


def test_letters_of_another_script_are_told():
    """34,500 Latin letters (23 of 30 symbols), and 37,400 Russian ones (17 of 21)."""
    (line,) = share({"a": LATIN + RUSSIAN})
    total = sum(c.isalpha() for c in LATIN + RUSSIAN)
    kept = sum(c.isalpha() for c in LATIN) / total
    assert f"{kept:.0%} of the {total:,} letters are in a .. z" in line and "give alphabet 'full'" in line
    assert not share({"a": LATIN + RUSSIAN}, alphabet="full")


@pytest.mark.parametrize("written", [RUSSIAN, CHINESE, "!? .,;" * 9000], ids=["Russian", "Chinese", "no letters"])
def test_a_text_of_which_nothing_is_kept_is_refused(written):
    with pytest.raises(ValueError, match="no symbol of the text is kept") as found:
        text({"a": written}, length=16)
    assert "\n" not in str(found.value) and ("full" in str(found.value)) == any(c.isalpha() for c in written)


def test_symbols_beyond_255_are_told():
    """2,003 symbols, each 23 times: 255 of them are 13 % of the text."""
    (line,) = share({"a": CHINESE}, alphabet="full")
    assert "13% of the 46,069 symbols are kept; 1,748 rare ones of 2,003 are replaced by one" in line


def test_a_text_too_short_because_of_what_is_left_out_says_so():
    with pytest.raises(ValueError, match="too few to tell: .*% of the .* letters are in a .. z"):
        text({"a": LATIN[:3000] + RUSSIAN}, length=64)


@pytest.fixture
def texts(tmp_path):
    """A folder with a suffix in capitals, a link, a linked folder, and files that are not to be read."""
    root, other = tmp_path / "texts", tmp_path / "other"
    for place in (root / "sub", other):
        place.mkdir(parents=True)
    for name, written in {"a.txt": "aaa", "B.TXT": "bbb", "sub/c.Txt": "ccc"}.items():
        (root / name).write_text(written, encoding="utf-8")
    (other / "d.txt").write_text("ddd", encoding="utf-8")
    (root / "link.txt").symlink_to(other / "d.txt")
    (root / "linked").symlink_to(other)
    (root / "._a.txt").write_bytes(b"\0\5\26\7")
    (root / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (root / "notes.md").write_text("no text of the data", encoding="utf-8")
    return root


def test_a_folder_of_texts_is_read_whole(texts):
    assert read_text(texts) == {
        "B.TXT": "bbb",
        "a.txt": "aaa",
        "link.txt": "ddd",
        "linked/d.txt": "ddd",
        "sub/c.Txt": "ccc",
    }


def test_files_of_a_folder_of_texts_that_are_not_read_are_told(texts):
    (texts / "long.txt").write_text(LATIN, encoding="utf-8")
    assert text(texts, length=16).warnings == (f"text.{texts}: 1 files that are not .txt are left out (notes.md)",)


def test_an_archive_of_texts_is_read_whole(tmp_path):
    path = tmp_path / "TEXTS.TAR"
    with tarfile.open(path, "w") as archive:
        for name, written in {"a.TXT": LATIN.encode(), "._a.txt": b"\0\5", "b.html": b"<p>"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(written)
            archive.addfile(member, io.BytesIO(written))
    data = text(path, length=16)
    assert data.notes["documents"] == 1 and "1 files that are not .txt are left out (b.html)" in data.warnings[0]


def test_empty_lines_among_drafts_and_samples_are_not_dropped(tmp_path):
    """A line that is dropped would move all later ones to other rows."""
    path = tmp_path / "a.txt"
    path.write_text("abcd\n\nabcd\n\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 2"):
        drafts_of(path, text({"a": LATIN}, length=16).codec, 4)
    path.write_text("abcd\n\n" * 200, encoding="utf-8")
    with pytest.raises(ValueError, match="line 1 has 4 symbols and line 2 0"):
        read_all(path, {})


# ---------------------------------------------------------------- images


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    for i in range(210):
        Image.fromarray(PIXELS[i].astype("u1")).save(root / f"{i}.{'PNG' if i % 2 else 'png'}", "PNG")
    return root


def test_hidden_files_of_a_folder_of_images_are_told(folder):
    assert load(f"folder:{folder}", size=8).warnings == ()
    for i in range(3):
        (folder / f"._{i}.png").write_bytes(b"\0\5\26\7")
    (folder / ".DS_Store").write_bytes(b"\0")
    (line,) = load(f"folder:{folder}", size=8).warnings
    assert line == f"folder:{folder}: 3 of 213 files are hidden and left out (._0.png)"


def test_links_of_a_folder_of_images_are_followed(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    Image.fromarray(PIXELS[250].astype("u1")).save(other / "x.png")
    (folder / "link.png").symlink_to(other / "x.png")
    (folder / "linked").symlink_to(other)
    (folder / "loop").symlink_to(folder)
    data = load(f"folder:{folder}", size=8)
    assert data.notes["read"] == 212 and not any("hidden" in line for line in data.warnings)


def test_files_that_are_no_images_beside_the_sets_of_an_evaluation_are_told(folder, tmp_path):
    (folder / "labels.json").write_text("{}", encoding="utf-8")
    (folder / "._0.png").write_bytes(b"\0")
    notes = read_all(folder, {}).notes
    assert (
        notes[0]
        == f"{folder}: 1 of 211 files are hidden and left out (._0.png); 1 of 211 files are no images and left out (labels.json)"
    )


GREYS = RNG.integers(0, 4096, (300, 8, 8))
REFUSED = [
    ("8 bits in int32", PIXELS.astype("i4"), "dtype int32 with values from 0 to 255; give uint8 .* astype"),
    ("8 bits in uint16", PIXELS.astype("u2"), "dtype uint16 with values from 0 to 255; give uint8 .* astype"),
    ("8 bits in floats", PIXELS.astype("f4"), r"values from 0 to 255 are outside \[-1, 1\]; give uint8"),
    (
        "12 bits in uint16",
        GREYS.astype("u2"),
        r"dtype uint16 .* to 4095; scale to \[-1, 1\], as by x / 2047.5 - 1 where 4095 is white",
    ),
    ("12 bits in a tensor", torch.from_numpy(GREYS.astype("u2")), "dtype uint16 .* x / 2047.5 - 1"),
    ("16 bits", GREYS.astype("i4") * 15, "x / 32767.5 - 1 where 65535 is white"),
    ("12 bits in floats", GREYS.astype("f8"), r"values from 0 to 4095 are outside .* x / 2047.5 - 1"),
    ("ones and zeros", PIXELS > 99, r"dtype bool with values from 0 to 1; give uint8 .* \(255 \* x\)"),
    ("below 0", PIXELS.astype("i2") - 128, r"values from -128 to 127; give uint8 \(0..255\), or scale"),
    ("complex images", torch.zeros(300, 1, 4, 4, dtype=torch.complex64), "dtype complex64; give real numbers"),
    ("complex points", X + 1j, "dtype complex64 is not a real number type"),
    ("objects", X.astype(object), "dtype object is not a real number type"),
    ("NaN", np.where(X > 2, np.nan, X), "NaN or infinite values in .* of 300 rows"),
    ("infinite images", np.where(PIXELS > 254, np.inf, 0.1), "NaN or infinite values in .* of 300 images"),
    ("masked", np.ma.masked_array(X, X > 2), "a masked array with masked values; remove these rows, or fill them"),
    ("mapping", {"x": X, "y": X}, "a dict of x, y; give the array, and labels=..."),
]


@pytest.mark.parametrize(("x", "said"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_does_not_fit_the_dtype_is_refused_with_how_to_give_it(x, said):
    with pytest.raises(ValueError, match=said) as found:
        load(x)
    assert "\n" not in str(found.value)


def test_images_are_right_after_the_advice():
    """The numbers of the advice bring black to -1 and white to 1."""
    data = load((GREYS / 2047.5 - 1).astype("f4"))
    assert data.kind == "images" and float(data.everything.min()) == -1 and float(data.everything.max()) == 1
    assert data.warnings == ()


TOLD = [
    (
        "0 and 1 in uint8",
        (PIXELS > 99).astype("u1"),
        "no value is above 1, and 255 is white; if 1 is white, scale them by 255",
    ),
    ("4 bits in uint8", (PIXELS // 16).astype("u1"), "no value is above 15, .* scale them by 17"),
    ("floats from 0 to 1", PIXELS / 255, "no value is below 0; if 0 means black"),
    ("narrow floats", PIXELS / 2550 - 0.05, r"values from -0.05 to 0.05 use little of \[-1, 1\]"),
    ("far points", X + 500, "has mean 500 and standard deviation .*: standardise, "),
    ("large points", X * 1000, "standardise"),
    ("tiny points", X * 1e-6, "standardise"),
    ("one coordinate of a thousand", np.c_[X, X[:, 0] * 1000], "coordinate 2 has mean .* far from order 1"),
    ("one coordinate of a thousandth", np.c_[X, X[:, 0] / 1000], "coordinate 2 has mean"),
    ("flat images", PIXELS.reshape(300, -1), "far from order 1"),
]


@pytest.mark.parametrize(("x", "said"), [row[1:] for row in TOLD], ids=[row[0] for row in TOLD])
def test_values_that_are_likely_another_scale_are_told(x, said):
    (line,) = load(x).warnings
    assert warmflow.data.load(x).notes["range"] in line
    import re

    assert re.search(said, line) and "\n" not in line


@pytest.mark.parametrize(
    "x", [X, X * 5, X / 5, np.c_[X, np.ones(300)], PIXELS.astype("u1"), PIXELS / 127.5 - 1], ids=range(6)
)
def test_values_of_order_one_are_not_warned_about(x):
    assert load(x).warnings == ()


def test_values_of_a_file_that_is_read_on_demand_are_told_too(tmp_path, folder):
    np.save(tmp_path / "far.npy", X + 500)
    np.save(tmp_path / "dark.npy", (PIXELS // 16).astype("u1"))
    assert "standardise" in " ".join(load(tmp_path / "far.npy", memory=2e-6).warnings)
    assert "no value is above 15" in " ".join(load(tmp_path / "dark.npy", memory=2e-4).warnings)
    for i in range(210):
        Image.fromarray((PIXELS[i] // 16).astype("u1")).save(folder / f"{i}.{'PNG' if i % 2 else 'png'}", "PNG")
    assert "no value is above 15" in " ".join(load(f"folder:{folder}", size=8, stream=True).warnings)


def test_16_bit_files_that_hold_12_bits_are_told(tmp_path):
    for i in range(200):
        Image.fromarray(GREYS[i].astype("u2")).save(tmp_path / f"{i}.png")
    (line,) = load(f"folder:{tmp_path}", size=8, mode="L").warnings
    assert "no value is above 16, and 255 is white" in line


# ---------------------------------------------------------------- torch Datasets


class Items(Dataset):
    """A user's Dataset, of what a function makes of each index."""

    def __init__(self, make, n=300):
        self.make, self.n = make, n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return self.make(i)


FLOATS = torch.from_numpy(PIXELS / 127.5 - 1).float().permute(0, 3, 1, 2)
POINTS = torch.from_numpy(X)
READ = [
    ("points", Items(lambda i: POINTS[i]), (2,), ()),
    ("points in arrays", Items(lambda i: X[i]), (2,), ()),
    ("points of 1-tuples", TensorDataset(POINTS), (2,), ()),
    ("points with labels", TensorDataset(POINTS, torch.arange(300) % 3), (2,), ("0", "1", "2")),
    ("points with names", Items(lambda i: (X[i], "ab"[i % 2])), (2,), ("a", "b")),
    ("images", Items(lambda i: FLOATS[i]), (3, 8, 8), ()),
    ("images with labels", Items(lambda i: (FLOATS[i], i % 2)), (3, 8, 8), ("0", "1")),
    (
        "Pillow's images with labels",
        Items(lambda i: (Image.fromarray(PIXELS[i].astype("u1")), i % 2)),
        (3, 8, 8),
        ("0", "1"),
    ),
    ("bytes", Items(lambda i: torch.from_numpy(PIXELS[i].astype("u1"))), (3, 8, 8), ()),
    ("a subset", Subset(TensorDataset(POINTS), range(300)), (2,), ()),
    ("a list of pairs", [(FLOATS[i], i % 2) for i in range(300)], (3, 8, 8), ("0", "1")),
    ("a list of tensors", list(POINTS), (2,), ()),
    ("a generator", (row for row in X), (2,), ()),
]


@pytest.mark.parametrize(("data", "shape", "classes"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_datasets_are_read_as_what_they_hold(data, shape, classes):
    found = load(data)
    assert found.shape == shape and found.classes == classes and found.total == 300
    truth = (POINTS if shape == (2,) else FLOATS)[found.rows["train"]]
    assert torch.allclose(found.train.x1, truth, atol=1e-6)
    if classes:
        assert found.train.condition["label"].tolist() == [i % len(classes) for i in found.rows["train"].tolist()]


class Endless(IterableDataset):
    def __iter__(self):
        return iter(POINTS)


NOT_READ = [
    (
        "pairs of arrays",
        TensorDataset(POINTS, POINTS),
        r"an item is a tuple of Tensor \(2,\), Tensor \(2,\); give an array of x, or a Dataset",
    ),
    ("three parts", TensorDataset(POINTS, POINTS, POINTS), "an item is a tuple of"),
    ("mappings", Items(lambda i: {"image": X[i], "label": 1}), "an item is a dict of image, label; give an array"),
    ("mixed", Items(lambda i: X[i] if i else (X[i], 1)), r"items are \(x, label\) and x; give"),
    (
        "sizes",
        Items(lambda i: torch.zeros(3, 8, 8 + i % 2)),
        r"items of the shapes \(3, 8, 8\) and \(3, 8, 9\); give every row the same shape",
    ),
    ("a loader", DataLoader(TensorDataset(POINTS), 32), "a DataLoader returns batches .* loader.dataset"),
    ("no length", Endless(), "has no length; give an array"),
    ("empty", Items(lambda i: X[i], 0), "items are missing"),
    ("few", Items(lambda i: X[i], 50), "too few to tell: 50 rows"),
]


@pytest.mark.parametrize(("data", "said"), [row[1:] for row in NOT_READ], ids=[row[0] for row in NOT_READ])
def test_datasets_that_cannot_be_understood_are_refused(data, said):
    with pytest.raises(ValueError, match=said) as found:
        load(data)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (TensorDataset(POINTS, POINTS), "an item is a tuple of"),
        (TensorDataset(POINTS, torch.arange(300)), r"x holds \(x, label\); give x alone, and labels apart"),
        (torch.from_numpy(PIXELS), "x holds images of int64; give uint8"),
        (GREYS.astype("u2"), "x holds images of uint16; scale to"),
        (np.ma.masked_array(X, X > 2), "masked values"),
    ],
    ids=["pairs", "labels", "int64", "uint16", "masked"],
)
def test_sets_of_pairs_and_evaluations_are_checked_alike(data, said):
    with pytest.raises(ValueError, match=said):
        warmflow.pair(data, rounds=1)
    with pytest.raises(ValueError, match=said.replace("x holds", "real holds")):
        warmflow.evaluate(data, baseline={"a": None}, candidates={"b": None})
