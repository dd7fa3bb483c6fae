"""Rows read on demand are those a whole reading gives, bit for bit; memory holds what it was allowed to; training cannot tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from warmflow.contracts import Data, Player
from warmflow.couplings import Independent
from warmflow.data import DataSet, load
from warmflow.data.arrays import from_file
from warmflow.data.demand import OnDemand
from warmflow.data.image_files import folder
from warmflow.data.images import to_images
from warmflow.drafts.mixture import Gaussian
from warmflow.experiments.members import in_memory, members_of
from warmflow.fields import NetworkField
from warmflow.methods import Parts
from warmflow.methods.warm_start import WarmStart
from warmflow.networks import MLP, seeded
from warmflow.objectives import FlowMatching
from warmflow.paths import LinearPath
from warmflow.problems import problem_of
from warmflow.sources import StandardNormal
from warmflow.training import train

N, SIDE = 1000, 8
ROW = 4 * SIDE * SIDE
HALF = 500 * ROW / 1e9
"""GB for 500 rows of float32."""


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (N, SIDE, SIDE), np.uint8)


@pytest.fixture
def mapped(tmp_path: Path) -> DataSet:
    np.save(tmp_path / "x.npy", pixels())
    return load(tmp_path / "x.npy", labels=np.arange(N) % 7, memory=HALF)


def whole(data: DataSet) -> Data:
    assert data.whole is not None
    return data.whole


def test_a_file_is_mapped_exactly_where_its_float32_exceeds_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", pixels())
    np.savez(tmp_path / "x.npz", x=pixels())
    assert from_file(tmp_path / "x.npy", memory=N * ROW / 1e9).whole is None
    assert from_file(tmp_path / "x.npy", memory=(N * ROW - 1) / 1e9).whole is not None
    assert from_file(tmp_path / "x.npz", memory=HALF).whole is None


def test_the_parts_are_those_of_a_whole_reading(tmp_path: Path) -> None:
    """The last byte less of memory changes which rows are held, never which part a row belongs to."""
    np.save(tmp_path / "x.npy", pixels())
    read = from_file(tmp_path / "x.npy", labels=np.arange(N) % 7)
    some = from_file(tmp_path / "x.npy", labels=np.arange(N) % 7, memory=(N * ROW - 1) / 1e9)
    assert torch.equal(some.heldout.x1, read.heldout.x1[-249:]) and len(read.heldout) == 250  # a quarter of 999
    assert torch.equal(whole(some)[torch.arange(651)].x1[:650], read.train.x1)
    assert torch.equal(whole(some)[torch.arange(650)].condition["label"], read.train.condition["label"])


def test_memory_holds_no_more_rows_than_fit(mapped: DataSet) -> None:
    assert mapped.validation is not None
    held = [len(part) for part in (mapped.train, mapped.validation, mapped.heldout)]
    assert held == [325, 50, 125] and sum(held) == 500, "a quarter and a tenth of the room, the rest trains"
    assert len(whole(mapped)) == N - 50 - 125
    assert mapped.notes["whole"].startswith("825 training rows are read on demand; memory holds the first 325")
    rows = torch.cat([mapped.rows[k] for k in ("whole", "validation", "heldout")])
    assert torch.equal(rows.sort().values, torch.arange(N)) and mapped.numbered == N
    assert torch.equal(mapped.rows["train"], mapped.rows["whole"][:325])


def test_rows_come_as_asked_in_any_order_and_more_than_once(mapped: DataSet) -> None:
    x = to_images(pixels())
    asked = torch.tensor([700, 3, 3, 824, 0, 700])
    batch = whole(mapped)[asked]
    mine = mapped.rows["whole"][asked]
    assert torch.equal(batch.x1, x[mine])
    assert torch.equal(batch.condition["label"], mine % 7)
    assert batch.index is not None and torch.equal(batch.index, asked)
    assert torch.equal(whole(mapped)[torch.arange(325)].x1, mapped.train.x1)
    assert torch.equal(mapped.heldout.x1, x[mapped.rows["heldout"]])
    assert isinstance(mapped.whole, Data)


def test_only_the_rows_of_a_step_are_read() -> None:
    asked: list[int] = []

    def read(rows: torch.Tensor) -> torch.Tensor:
        asked.extend(rows.tolist())
        return rows[:, None].float()

    data = OnDemand(read, torch.arange(100, 200))
    assert data[torch.tensor([5, 2, 5])].x1.flatten().tolist() == [105.0, 102.0, 105.0]
    assert asked == [102, 105], "rising, and no row twice"


def test_training_on_demand_is_training_in_memory_bit_for_bit(mapped: DataSet) -> None:
    def weights(data: Data) -> list[torch.Tensor]:
        network = seeded(0, lambda: MLP((1, SIDE, SIDE), width=8, depth=1))
        field = NetworkField(network, LinearPath(0.0), "x1", ())
        objective = FlowMatching(field, StandardNormal((1, SIDE, SIDE)), Independent(), Player(network))
        return list(train(objective, data, steps=6, batch=200, seed=1).networks["flow"].state_dict().values())

    memory = whole(mapped)[torch.arange(len(whole(mapped)))]
    assert all(torch.equal(a, b) for a, b in zip(weights(whole(mapped)), weights(memory), strict=True))


def test_points_are_mapped_too_and_their_rows_checked_when_they_are_read(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(2000, 2)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    memory = 1000 * 8 / 1e9
    data = load(tmp_path / "x.npy", memory=memory)
    assert data.kind == "points" and torch.equal(data.train.x1, torch.from_numpy(x)[data.rows["train"]])
    late = int(data.rows["whole"][-1])  # not among the rows that memory holds
    x[late, 1] = np.nan
    np.save(tmp_path / "y.npy", x)
    spoiled = load(tmp_path / "y.npy", memory=memory)
    assert torch.equal(spoiled.train.x1, data.train.x1)
    with pytest.raises(ValueError, match=r"y\.npy: NaN or infinite values in 1 of 2 rows"):
        whole(spoiled)[torch.tensor([0, len(whole(spoiled)) - 1])]


@pytest.mark.parametrize("pairing", ["independent", "minibatch", "whole-set"])
def test_pairs_made_offline_are_of_the_rows_in_memory_and_all_else_reads_every_row(
    mapped: DataSet, pairing: str
) -> None:
    setup = problem_of(mapped).setup(width=8, depth=1)
    warm = WarmStart(draft=Gaussian(), pairing=pairing, rounds=1, block=400, passes=0)
    members = members_of(setup, [warm])
    used = in_memory(setup, members)
    parts = Parts(used, 0)
    rows = {m.name: len(m.method.stages(parts)[0].make({})[1]) for m in members}
    few, every = len(mapped.train), len(whole(mapped))
    both = few if pairing == "whole-set" else every
    assert rows == {
        "warm-start": both, "warm-start-from-noise": both, "cold": both, "cold-minibatch": both, "cold-whole-set": few,
    }  # fmt: skip
    said = " ".join(used.data.warnings)
    assert (f"on the {few} samples that fit into memory, of {every}" in said) == (pairing == "whole-set")


def images(path: Path, n: int = 250) -> Path:
    x = np.random.default_rng(1).integers(0, 256, (n, 9, 12, 3), np.uint8)
    for k in range(n):
        (path / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(x[k]).save(path / "ab"[k % 2] / f"{k:03d}.png")
    return path


def test_a_streamed_folder_is_the_folder(tmp_path: Path) -> None:
    images(tmp_path)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    read, streamed = folder(tmp_path, size=8), folder(tmp_path, size=8, stream=True)
    assert torch.equal(read.everything, streamed.everything) and read.classes == streamed.classes == ("a", "b")
    assert torch.equal(whole(streamed)[torch.arange(len(read.train))].x1, read.train.x1)
    assert {k: v for k, v in streamed.notes.items() if k != "whole"} == read.notes and read.notes["unreadable"] == 1
    room = 220 * 4 * 3 * 64
    less = folder(tmp_path, size=8, stream=True, memory=room / 1e9)
    assert len(less.everything) == 220 and len(whole(less)) + len(less.heldout) + 22 == 250
    assert torch.equal(whole(less)[torch.arange(len(less.train))].x1, less.train.x1)


def test_a_file_that_is_damaged_behind_its_head_is_named_when_it_is_read(tmp_path: Path) -> None:
    images(tmp_path)
    data = folder(tmp_path, size=8, stream=True, memory=220 * 4 * 3 * 64 / 1e9)
    last = len(whole(data)) - 1
    name = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.png"))[int(data.rows["whole"][last])]
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:150])
    again: Any = folder(tmp_path, size=8, stream=True, memory=220 * 4 * 3 * 64 / 1e9)
    with pytest.raises(ValueError, match=rf"{name}.*remove it, or leave stream out") as caught:
        again.whole[torch.tensor([0, last])]
    assert "\n" not in str(caught.value)
    assert folder(tmp_path, size=8).notes["unreadable_files"][0]["file"] == name, "a whole reading passes over it"
