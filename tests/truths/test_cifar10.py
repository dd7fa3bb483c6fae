"""CIFAR-10 is the published one, pixel for pixel, in the official order and parts, from either form."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from warmflow.data import DataSet, cifar10, hub, load
from warmflow.data.cifar10 import BATCH, BATCHES, CLASSES, GRIDS, RECORD, cifar10_folder, read_batch, read_grid
from warmflow.problems import problem_of

pytestmark = pytest.mark.long

HERE = cifar10_folder()
needed = pytest.mark.skipif(HERE is None, reason="CIFAR-10 is not here: set WARMFLOW_DATA")


@pytest.fixture(scope="module")
def data() -> DataSet:
    return cifar10.cifar10()


def row(data: DataSet, k: int) -> tuple[torch.Tensor, int]:
    """The pixels (3, 32, 32) 0 .. 255 and the label of the k-th image in the official order."""
    for key, part in (("train", data.train), ("validation", data.validation), ("heldout", data.heldout)):
        found = (data.rows[key] == k).nonzero().flatten()
        if len(found) and part is not None:
            x = (part.x1[found[0]] + 1) * 127.5
            return x.round().to(torch.uint8), int(part.condition["label"][found[0]])
    raise AssertionError(f"row {k} is in no part")


@needed
def test_known_pixels_and_labels(data: DataSet) -> None:
    """The frog, the truck and the cat that every tutorial begins with."""
    frog, truck, cat = (row(data, k) for k in (0, 1, 50_000))
    assert frog[0][:, 0, 0].tolist() == [59, 62, 63] and frog[0][:, 0, 1].tolist() == [43, 46, 45]
    assert truck[0][:, 0, 0].tolist() == [154, 177, 187] and cat[0][:, 0, 0].tolist() == [158, 112, 49]
    assert [data.classes[k] for k in (frog[1], truck[1], cat[1])] == ["frog", "truck", "cat"]
    assert [row(data, k)[1] for k in range(10)] == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert [row(data, 50_000 + k)[1] for k in range(10)] == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]


@needed
def test_mean_colours_of_the_official_training_part(data: DataSet) -> None:
    """0.4914, 0.4822, 0.4465: the constants that this data set is standardised by everywhere."""
    assert data.validation is not None
    sums = sum(part.x1.double().sum((0, 2, 3)) for part in (data.train, data.validation))
    mean = (sums / (50_000 * 32 * 32) + 1) / 2
    assert torch.allclose(mean, torch.tensor([0.4914, 0.4822, 0.4465], dtype=torch.float64), atol=5e-5)


@needed
def test_parts_are_whole_balanced_and_the_same_for_good(data: DataSet) -> None:
    assert data.validation is not None
    assert (len(data.train), len(data.validation), len(data.heldout)) == (45_000, 5_000, 10_000)
    assert data.shape == (3, 32, 32) and data.classes == CLASSES and data.numbered == 60_000
    assert float(data.train.x1.min()) == -1 and float(data.train.x1.max()) == 1
    label = {k: p.condition["label"] for k, p in (("t", data.train), ("v", data.validation), ("h", data.heldout))}
    assert (torch.bincount(label["t"]) + torch.bincount(label["v"])).tolist() == [5000] * 10
    assert torch.bincount(label["h"]).tolist() == [1000] * 10
    assert data.rows["validation"].tolist() == list(range(45_000, 50_000))
    assert torch.bincount(label["v"]).tolist() == [493, 488, 479, 519, 475, 529, 488, 485, 532, 512]
    rows = torch.cat([data.rows[k] for k in ("train", "validation", "heldout")])
    assert torch.equal(rows.sort().values, torch.arange(60_000))
    share = torch.bincount(label["h"][:1000]) / 1000
    assert float((share - 0.1).abs().max()) < 0.05, "the first thousand are a fair sample"


@needed
def test_fewer_training_images_are_chosen_by_the_seed_alone(data: DataSet) -> None:
    few, other = load("cifar10", seed=3, most=2000), cifar10.cifar10(4, most=2000)
    assert len(few.train) == 2000 and not torch.equal(few.rows["train"], other.rows["train"])
    assert torch.equal(few.heldout.x1, data.heldout.x1) and torch.equal(other.heldout.x1, data.heldout.x1)
    for k in (0, 1999):
        assert torch.equal(row(few, int(few.rows["train"][k]))[0], row(data, int(few.rows["train"][k]))[0])
    assert int(few.rows["train"].max()) < 45_000


@needed
def test_a_comparison_finds_it_by_name(data: DataSet) -> None:
    setup = problem_of("cifar10", most=1000).setup()
    assert setup.name == "cifar10" and len(setup.data.train) == 1000
    assert torch.equal(setup.data.heldout.x1, data.heldout.x1)
    for name in ("cifar-10", "images.cifar10"):  # each problem has one name; others are told which
        with pytest.raises(ValueError, match=f"problem '{name}' is unknown; did you mean 'cifar10'"):
            problem_of(name)


@needed
def test_the_binary_version_is_the_same_data_set(data: DataSet, tmp_path: Path) -> None:
    if HERE is None or not (HERE / GRIDS[0]).is_file():
        pytest.skip("CIFAR-10 is here as batches only")
    labels = np.load(HERE / "labels.npy")
    for k, name in enumerate(BATCHES):  # five grids of 2,000 are a batch
        x = torch.cat([read_grid(HERE / grid) for grid in GRIDS[5 * k : 5 * k + 5]]).flatten(1).numpy()
        np.concatenate([labels[BATCH * k : BATCH * (k + 1), None], x], 1, dtype=np.uint8).tofile(tmp_path / name)
    same = cifar10.cifar10(folder=tmp_path)
    shutil.rmtree(tmp_path)
    assert torch.equal(same.train.x1, data.train.x1) and torch.equal(same.heldout.x1, data.heldout.x1)
    assert torch.equal(same.train.condition["label"], data.train.condition["label"])


def test_a_grid_is_read_row_by_row(tmp_path: Path) -> None:
    """Image k stands in row k // 50 and column k % 50, and upright."""
    cells = np.zeros((40, 32, 50, 32, 3), np.uint8)
    cells[..., 0], cells[..., 1] = np.arange(40)[:, None, None, None], np.arange(50)[None, None, :, None]
    cells[:, 2, :, 30, 2] = 255
    Image.fromarray(cells.reshape(1280, 1600, 3)).save(tmp_path / "g.webp", lossless=True)
    x = read_grid(tmp_path / "g.webp")
    assert x[:, 0, 0, 0].tolist() == [k // 50 for k in range(2000)]
    assert x[:, 1, 31, 31].tolist() == [k % 50 for k in range(2000)]
    assert bool((x[:, 2, 2, 30] == 255).all()) and int(x[:, 2].long().sum()) == 2000 * 255


def test_a_record_is_a_label_then_red_green_blue_row_by_row(tmp_path: Path) -> None:
    record = np.zeros(RECORD, np.uint8)
    record[0], record[1 + 2], record[1 + 1024 + 32], record[1 + 2048 + 1023] = 8, 10, 20, 30
    np.stack([record, record]).tofile(tmp_path / "b.bin")
    x, label = read_batch(tmp_path / "b.bin", rows=2)
    assert label.tolist() == [8, 8] and CLASSES[8] == "ship"
    assert (int(x[0, 0, 0, 2]), int(x[0, 1, 1, 0]), int(x[1, 2, 31, 31]), int(x.sum())) == (10, 20, 30, 120)


def test_from_the_hub_in_the_same_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blank = np.zeros((32, 32, 3), np.uint8)
    marked = blank.copy()
    marked[3, 5] = (1, 2, 3)
    tables = {
        "train": {"img": [blank] * 49_999 + [marked], "label": list(range(10)) * 5000},
        "test": {"img": [blank] * 10_000, "label": list(range(10)) * 1000},
    }
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WARMFLOW_DATA", str(tmp_path))
    monkeypatch.setattr(hub, "opened", lambda name, config="": tables)
    found = cifar10.cifar10(most=10)
    assert found.notes == {"folder": "uoft-cs/cifar10"} and found.validation is not None
    assert row(found, 49_999)[0][:, 3, 5].tolist() == [1, 2, 3] and row(found, 49_999)[1] == 9


def test_missing_data_are_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WARMFLOW_DATA", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    assert cifar10_folder() is None
    with pytest.raises(ValueError, match=r"set WARMFLOW_DATA .*pip install datasets"):
        load("cifar10")
    fake = SimpleNamespace(load_dataset=lambda *_: (_ for _ in ()).throw(ConnectionError("no route")), load_from_disk=0)
    monkeypatch.setitem(__import__("sys").modules, "datasets", fake)
    with pytest.raises(ValueError, match=r"set WARMFLOW_DATA .*uoft-cs/cifar10 cannot be opened \(no route\)"):
        load("cifar10")
    (tmp_path / "cifar-10-batches-bin").mkdir()
    (tmp_path / "cifar-10-batches-bin" / BATCHES[2]).write_bytes(b"")
    with pytest.raises(ValueError, match=r"has no data_batch_1.bin and 4 more of its files: it needs all 6 files"):
        load("cifar10")
