"""Emoji carry their captions and categories with them, through every split."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from warmflow.data import DataSet, load, roots
from warmflow.data.emoji import FILE, caption, emoji
from warmflow.problems import problem_of

pytestmark = pytest.mark.long

HERE = any((root / FILE).is_file() for root in roots())
needed = pytest.mark.skipif(not HERE, reason="the emoji are not here: set WARMFLOW_DATA")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("1F680", "rocket"),
        ("0023-FE0F-20E3", "number sign, combining enclosing keycap"),
        ("1F1EB-1F1F7", "flag fr"),
        ("1F3F4-E0067-E0062-E0065-E006E-E0067-E007F", "waving black flag, flag gbeng"),
        ("1F469-1F3FE-200D-1F4BB", "woman, emoji modifier fitzpatrick type-5, personal computer"),
        ("10FFFF", "u+10ffff"),
    ],
)
def test_captions_are_the_names_of_the_code_points(code: str, says: str) -> None:
    assert caption([int(point, 16) for point in code.split("-")]) == says


def test_captions_categories_and_pictures_stay_together(tmp_path: Path) -> None:
    """Pictures whose red is their row, with letters for code points."""
    n = 240
    x = np.zeros((n, 64, 64, 3), np.uint8)
    x[..., 0] = np.arange(n)[:, None, None]
    code = np.array([f"{0x4E00 + k:X}" for k in range(n)])
    np.savez(tmp_path / "e.npz", x=x, y=np.arange(n) % 3, code=code, categories=np.array(["a", "b", "c"]))
    data = emoji(size=8, file=tmp_path / "e.npz")
    assert data.validation is not None and data.classes == ("a", "b", "c")
    for key, part in (("train", data.train), ("validation", data.validation), ("heldout", data.heldout)):
        rows = ((part.x1[:, 0, 5, 2] + 1) * 127.5).round().long()
        assert torch.equal(rows, data.rows[key]) and torch.equal(part.condition["label"], rows % 3)
        assert data.captions_of(key) == tuple(f"cjk unified ideograph-{0x4E00 + k:x}" for k in rows.tolist())
    with pytest.raises(ValueError, match='part "test" is unknown'):
        data.captions_of("test")


@pytest.fixture(scope="module")
def data() -> DataSet:
    return load("emoji")


@needed
def test_emoji_are_whole_and_captions_stay_with_their_pictures(data: DataSet) -> None:
    assert data.validation is not None and data.shape == (3, 64, 64)
    assert (len(data.train), len(data.validation), len(data.heldout)) == (2462, 378, 946)
    parts = {"train": data.train, "validation": data.validation, "heldout": data.heldout}
    label = torch.cat([part.condition["label"] for part in parts.values()])
    assert torch.bincount(label).tolist() == [85, 159, 5, 270, 131, 264, 2261, 169, 224, 218]
    assert len(data.captions) == 3786 == len(set(data.captions)), "every emoji has a caption of its own"
    flags = 0
    for key, part in parts.items():
        for text, k in zip(data.captions_of(key), part.condition["label"].tolist(), strict=True):
            if re.fullmatch("flag [a-z]{2}", text):
                flags += 1
                assert data.classes[k] == "Flags"
    assert flags == 259
    assert data.notes["unnamed"] == sum("u+" in text for text in data.captions)


@needed
def test_a_caption_names_the_picture_it_stands_beside(data: DataSet) -> None:
    """Japan's flag is a red disc on white; Ukraine's is blue over yellow."""
    for key, part in (("train", data.train), ("heldout", data.heldout), ("validation", data.validation)):
        assert part is not None
        for text, x in zip(data.captions_of(key), part.x1, strict=True):
            middle, above, below = x[:, 32, 32], x[:, 20, 32], x[:, 44, 32]
            if text == "flag jp":
                assert middle[0] > 0.5 > 0 > middle[1] and float(x[:, 20, 8].min()) > 0.8
            if text == "flag ua":
                assert above[2] > above[0] and below[0] > below[2]


@needed
def test_a_comparison_finds_them_by_name(data: DataSet) -> None:
    setup = problem_of("emoji", size=64).setup()
    assert setup.name == "emoji" and setup.asked == {"name": "emoji", "size": 64, "data_seed": 0}
    assert torch.equal(setup.data.heldout.x1, data.heldout.x1) and setup.data.captions == data.captions
    assert problem_of("emoji").setup().shape == (3, 32, 32)


@needed
def test_smaller_pictures_are_means(data: DataSet) -> None:
    small = emoji(size=16)
    assert torch.equal(small.rows["train"], data.rows["train"]) and small.captions == data.captions
    assert torch.allclose(small.train.x1[:50], torch.nn.functional.avg_pool2d(data.train.x1[:50], 4), atol=1e-6)


def test_unknown_parts_and_missing_captions_are_named() -> None:
    plain = load("digits")
    with pytest.raises(ValueError, match="digits has no captions"):
        plain.captions_of("train")


def test_missing_emoji_are_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WARMFLOW_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"set WARMFLOW_DATA to a folder with images/emoji/emoji_twitter_64.npz"):
        load("emoji")
    (tmp_path / FILE).parent.mkdir(parents=True)
    np.savez(tmp_path / FILE, x=np.zeros((3, 64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="has no array 'y'"):
        load("emoji")
