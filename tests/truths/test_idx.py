"""IDX files are read as they were written, damaged ones are named; Fashion-MNIST is whole, balanced and divided for good."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from warmflow.data import idx
from warmflow.data.idx import fashion, fashion_folder, read_idx


def written(x: np.ndarray, kind: int = 8) -> bytes:
    return bytes([0, 0, kind, x.ndim]) + struct.pack(f">{x.ndim}I", *x.shape) + x.tobytes()


@pytest.mark.parametrize("zipped", [False, True])
def test_an_array_is_read_as_it_was_written(tmp_path: Path, zipped: bool) -> None:
    x = np.random.default_rng(0).integers(0, 256, (5, 3, 4), np.uint8)
    raw = written(x)
    (tmp_path / "x").write_bytes(gzip.compress(raw) if zipped else raw)
    assert np.array_equal(read_idx(tmp_path / "x"), x)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "not an IDX file"),
        (b"PK\x03\x04 a zip", "not an IDX file"),
        (written(np.zeros((2, 2), np.uint8), 13), "IDX type 13"),
        (written(np.zeros((2, 2), np.uint8))[:-1], r"holds 3 bytes, its header says \(2, 2\)"),
        (written(np.zeros((2, 2), np.uint8)) + b"x", "holds 5 bytes"),
        (b"\x00\x00\x08\x03\x00\x00", "ends within its header"),
        (gzip.compress(written(np.zeros((9, 9), np.uint8)), mtime=0)[:-6], "cannot be read"),
    ],
    ids=["empty", "zip", "type", "short", "long", "header", "gzip"],
)
def test_damaged_files_are_named(tmp_path: Path, raw: bytes, says: str) -> None:
    (tmp_path / "x").write_bytes(raw)
    with pytest.raises(ValueError, match=says):
        read_idx(tmp_path / "x")


def test_missing_data_are_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WARMFLOW_DATA", str(tmp_path))
    monkeypatch.setattr(idx, "DEBIAN", tmp_path / "debian")
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    assert fashion_folder() is None
    with pytest.raises(ValueError, match=r"WARMFLOW_DATA.*dataset-fashion-mnist.*pip install datasets"):
        fashion()
    (tmp_path / "debian").mkdir()
    (tmp_path / "debian" / "train-images-idx3-ubyte").write_bytes(written(np.zeros((3, 28, 28), np.uint8)))
    with pytest.raises(ValueError, match=r"has no train-labels-idx1-ubyte"):
        fashion()


HERE = "WARMFLOW_DATA" in os.environ or (Path(__file__).parents[3] / "shared" / "data").is_dir()


@pytest.mark.skipif(not HERE, reason="Fashion-MNIST is not here: set WARMFLOW_DATA")
def test_fashion_mnist_is_whole_and_divided_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    if "WARMFLOW_DATA" not in os.environ:
        monkeypatch.setenv("WARMFLOW_DATA", str(Path(__file__).parents[3] / "shared" / "data"))
    if fashion_folder() is None:
        pytest.skip("Fashion-MNIST is not below WARMFLOW_DATA")
    data = fashion()
    assert data.validation is not None
    assert (len(data.train), len(data.validation), len(data.heldout)) == (55_000, 5_000, 10_000)
    assert data.shape == (1, 28, 28) and len(data.classes) == 10
    assert float(data.train.x1.min()) == -1 and float(data.train.x1.max()) == 1
    rows = torch.cat([data.rows[part] for part in ("train", "validation", "heldout")])
    assert torch.equal(rows.sort().values, torch.arange(70_000)) and int(data.rows["heldout"].min()) == 60_000
    assert torch.bincount(data.heldout.condition["label"]).tolist() == [1000] * 10
    both = torch.bincount(data.train.condition["label"]) + torch.bincount(data.validation.condition["label"])
    assert both.tolist() == [6000] * 10
    few, other = fashion(seed=3, most=2000), fashion(seed=4, most=2000)
    assert len(few.train) == 2000 and not torch.equal(few.train.x1, other.train.x1)
    assert torch.equal(few.heldout.x1, data.heldout.x1), "held-out images are the same under every seed"
    first = torch.bincount(data.heldout.condition["label"][:1000]) / 1000
    assert float((first - 0.1).abs().max()) < 0.05, "the first thousand are a fair sample"
