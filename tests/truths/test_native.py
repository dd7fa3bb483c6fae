"""Images are read in their own size and mode, and every assumption about them is told in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import warmflow
from warmflow.data import load
from warmflow.data.image_files import folder
from warmflow.data.native import chosen_form
from warmflow.data.paired import paired_folders

Kind = tuple[int, int, int, str]


def images(root: Path, *kinds: Kind, suffix: str = "png") -> Path:
    """A folder of n images of each kind (n, height, width, mode)."""
    root.mkdir(parents=True, exist_ok=True)
    rng, k = np.random.default_rng(0), 0
    for n, height, width, mode in kinds:
        for _ in range(n):
            shape = (height, width) if mode == "L" else (height, width, len(mode))
            Image.fromarray(rng.integers(0, 255, shape, np.uint8)).save(root / f"{k:04d}.{suffix}")
            k += 1
    return root


@pytest.mark.parametrize(
    ("kinds", "shape"),
    [
        ([(220, 28, 28, "L")], (1, 28, 28)), ([(220, 20, 28, "RGB")], (3, 20, 28)), ([(220, 64, 64, "L")], (1, 64, 64)),
        ([(220, 9, 9, "RGBA")], (3, 9, 9)), ([(220, 4, 4, "L")], (1, 4, 4)),
    ],
)  # fmt: skip
def test_images_of_one_size_are_read_as_they_are(tmp_path: Path, kinds: list[Kind], shape: tuple[int, ...]) -> None:
    root = images(tmp_path / "own", *kinds)
    data = folder(root)
    assert data.shape == shape and data.warnings == ()
    first = np.asarray(Image.open(root / "0000.png").convert("L" if shape[0] == 1 else "RGBA"))
    if kinds[0][3] != "RGBA":
        row = int((warmflow_rows(data) == 0).nonzero()[0])
        seen = (data.everything[row] + 1) * 127.5
        mine = first[None] if first.ndim == 2 else first[..., :3].transpose(2, 0, 1)
        assert np.allclose(seen.numpy(), mine, atol=1e-3)


def warmflow_rows(data: warmflow.DataSet) -> Any:
    """The user's row of each row of ``everything``."""
    import torch

    return torch.cat([data.rows[k] for k in ("train", "validation", "heldout")])


@pytest.mark.parametrize(
    ("kinds", "shape", "told"),
    [
        ([(120, 32, 32, "L"), (60, 32, 40, "L"), (40, 28, 28, "L")], (1, 32, 32),
         ["images of 3 sizes: resized and cropped to 32 x 32, the most frequent"]),
        ([(210, 100, 150, "L")], (1, 64, 64), ["images of 150 x 100: resized and cropped to 64 x 64"]),
        ([(150, 80, 80, "L"), (100, 500, 90, "L")], (1, 64, 64), ["images of 2 sizes: resized and cropped to 64 x 64"]),
        ([(210, 10, 300, "L")], (1, 10, 10), ["images of 300 x 10: resized and cropped to 10 x 10"]),
        ([(210, 3, 3, "L")], (1, 4, 4), ["images of 3 x 3: resized and cropped to 4 x 4"]),
        ([(150, 8, 8, "RGB"), (70, 8, 8, "L")], (3, 8, 8), ["70 images are grey and 150 in colour: all are read as RGB"]),
        ([(150, 8, 8, "RGB"), (70, 9, 8, "L")], (3, 8, 8), ["images of 2 sizes", "70 images are grey"]),
    ],
)  # fmt: skip
def test_every_assumption_is_one_line(
    tmp_path: Path, kinds: list[Kind], shape: tuple[int, ...], told: list[str]
) -> None:
    data = folder(images(tmp_path / "mixed", *kinds))
    assert data.shape == shape and len(data.warnings) == len(told)
    for line, said in zip(data.warnings, told, strict=True):
        assert said in line and line.count("\n") == 0


def test_what_is_asked_for_is_no_assumption(tmp_path: Path) -> None:
    root = images(tmp_path / "mixed", (150, 8, 8, "RGB"), (70, 9, 12, "L"))
    data = folder(root, size=16, mode="L")
    assert data.shape == (1, 16, 16) and data.warnings == ()
    assert folder(root, size=16).shape == (3, 16, 16) and folder(root, mode="L").shape == (1, 8, 8)


def test_turned_photographs_have_the_size_that_is_seen(tmp_path: Path) -> None:
    root = images(tmp_path / "turned", (210, 12, 20, "L"), suffix="jpg")
    for file in root.iterdir():
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.open(file).save(file, exif=exif)
    assert folder(root).shape == (1, 20, 12)


@pytest.mark.parametrize("form", ["folder", "path", "stream", "problem"])
def test_every_way_to_a_folder_reads_it_alike(tmp_path: Path, form: str) -> None:
    root = images(tmp_path / "own", (220, 10, 14, "L"))
    given: dict[str, Any] = {
        "folder": lambda: load(f"folder:{root}"), "path": lambda: load(root), "stream": lambda: load(root, stream=True),
        "problem": lambda: warmflow.problem_of(root).load(),
    }  # fmt: skip
    assert given[form]().shape == (1, 10, 14)


def test_pairs_have_the_form_of_the_targets(tmp_path: Path) -> None:
    small, large = images(tmp_path / "in", (12, 6, 6, "L")), images(tmp_path / "out", (12, 12, 12, "L"))
    data = paired_folders(small, large)
    assert data.shape == (1, 12, 12) and data.train.condition["input"].shape[1:] == (1, 12, 12)
    colour = images(tmp_path / "colour", (12, 6, 6, "RGB"))
    assert paired_folders(colour, large).shape == paired_folders(large, colour, 12).shape == (3, 12, 12)


def test_the_most_frequent_form_is_chosen() -> None:
    grey, colour = "L", "RGB"
    assert chosen_form([((8, 8), grey)] * 3 + [((4, 9), grey)] * 2)[:2] == ((8, 8), "L")
    assert chosen_form([((8, 8), grey), ((4, 9), colour)])[:2] == ((4, 9), "RGB")  # of equal numbers the smaller
    assert chosen_form([]) == ((4, 4), "RGB", {}) and chosen_form([((8, 8), grey)], 16, "RGB") == ((16, 16), "RGB", {})


@pytest.mark.long
def test_a_flow_of_images_that_are_no_squares_is_trained_and_sampled(tmp_path: Path) -> None:
    from warmflow.experiments.train import train_run

    root = images(tmp_path / "own", (220, 9, 14, "L"))
    small = {"updates": 2, "width": 16, "depth": 1, "progress": False, "echo": lambda _: None}
    for method in ("cold", "warm-start"):
        flow = train_run(root, method, tmp_path / method, **small)
        assert flow(3, seed=0).x.shape == (3, 1, 9, 14)
    with pytest.raises(ValueError, match=r"network is 'dit'.*multiples of patch"):
        train_run(root, "cold", tmp_path / "dit", network="dit", **small)
