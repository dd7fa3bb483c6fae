"""Runs are judged, continued and distilled on the data that they were trained on, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import COLD, WARM, copied, everything, trained

from warmflow.drafts import draft_of
from warmflow.experiments.compare import compare
from warmflow.experiments.compare_runs import compare_runs
from warmflow.experiments.distill import distill
from warmflow.experiments.train import train_run
from warmflow.methods.warm_start import WarmStart
from warmflow.problems import problem_of

HOW: dict[str, Any] = {"calls": [1], "samples": 200, "progress": False}
TINY: dict[str, Any] = {"updates": 5, "batch": 64, "width": 16, "depth": 1}
Change = Callable[[dict[str, np.ndarray], dict[str, Any]], None]


def points(path: Path, change: Change | None = None, rows: dict[str, Any] | None = None) -> Path:
    """A file of 600 labelled points, some of them changed; ``rows`` are those of each part."""
    draw = np.random.default_rng(0)
    found = {"x": draw.normal(size=(600, 2)).astype(np.float32), "labels": np.repeat([0, 1, 2], 200)}
    if change is not None:
        change(found, rows or {})
    np.savez(path, **found)
    return path


def one_of(part: str) -> Change:
    """Moves the first point of a part."""

    def change(found: dict[str, np.ndarray], rows: dict[str, Any]) -> None:
        found["x"][int(rows[part][0])] += 0.5

    return change


def a_label(found: dict[str, np.ndarray], rows: dict[str, Any]) -> None:
    found["labels"][5] = 2


def another(found: dict[str, np.ndarray], rows: dict[str, Any]) -> None:
    found["x"] = np.random.default_rng(1).normal(size=(900, 2)).astype(np.float32)
    found["labels"] = np.repeat([0, 1, 2], 300)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Two runs on a file, and the rows of its parts."""
    root = tmp_path_factory.mktemp("made")
    problem = problem_of(str(points(root / "data.npz")))
    for name, method in (("warm", WARM), ("cold", COLD)):
        trained(root / name, method, problem=problem, **TINY)
    return root, dict(problem.setup().data.rows)


CHANGES = [
    (one_of("train"), "are not those that"), (one_of("heldout"), "the held-out data or the labels"),
    (one_of("validation"), "the held-out data or the labels"), (a_label, "the held-out data or the labels"),
    (another, "are not those that"),
]  # fmt: skip
IDS = ["train", "heldout", "validation", "label", "another"]


@pytest.mark.parametrize(("change", "says"), CHANGES, ids=IDS)
def test_runs_are_not_compared_after_their_data_changed(
    change: Change, says: str, made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    root, rows = made
    before = everything(root / "warm", root / "cold")
    try:
        points(root / "data.npz", change, rows)
        with pytest.raises(ValueError) as caught:
            compare_runs([root / "warm", root / "cold"], tmp_path / "out", **HOW)
    finally:
        points(root / "data.npz")
    said = str(caught.value)
    assert says in said and str(root / "warm") in said and "data.npz" in said and "restore" in said and "\n" not in said
    assert not (tmp_path / "out").exists() and everything(root / "warm", root / "cold") == before


@pytest.mark.parametrize(("change", "says"), CHANGES, ids=IDS)
def test_a_run_is_not_distilled_after_its_data_changed(
    change: Change, says: str, made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    root, rows = made
    try:
        points(root / "data.npz", change, rows)
        with pytest.raises(ValueError, match=says):
            distill(root / "cold", tmp_path / "student", updates=2, progress=False)
    finally:
        points(root / "data.npz")
    assert not (tmp_path / "student").exists()


@pytest.mark.parametrize("change", [one_of("train"), another], ids=["train", "another"])
def test_training_does_not_go_on_or_begin_from_a_run_after_the_data_changed(
    change: Change, made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    root, rows = made
    try:
        problem = problem_of(str(points(root / "data.npz", change, rows)))
        with pytest.raises(ValueError, match=r"cold holds a run with other settings: data was"):
            trained(root / "cold", COLD, problem=problem, **TINY)
        with pytest.raises(ValueError, match=r"data.npz are not those that .*cold was trained on"):
            train_run(problem, WARM, tmp_path / "tuned", begin=root / "cold", progress=False, **TINY)
    finally:
        points(root / "data.npz")
    assert not (tmp_path / "tuned").exists()


def test_each_run_is_checked_and_older_ones_by_what_they_tell(
    made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    root, _ = made
    other = copied(root / "cold", tmp_path / "other", heldout="0" * 16)
    with pytest.raises(ValueError, match=rf"not those of the time when {other} was trained"):
        compare_runs([root / "warm", other], tmp_path / "out", **HOW)
    old = copied(root / "cold", tmp_path / "old")
    config = json.loads((old / "config.json").read_text())
    del config["heldout"]
    (old / "config.json").write_text(json.dumps(config))
    compare_runs([root / "warm", old], tmp_path / "out", **HOW)


@pytest.mark.long
def test_a_comparison_is_measured_anew_after_its_held_out_data_changed(tmp_path: Path) -> None:
    """The flows are the same, so no other training is needed; nothing that was measured before is used."""
    file = points(tmp_path / "data.npz")
    asked: dict[str, Any] = {**HOW, **TINY, "out": tmp_path / "out", "seeds": [0, 1]}
    rows = dict(problem_of(str(file)).setup().data.rows)
    compare(str(file), **asked)
    before = json.loads((tmp_path / "out" / "verdict.json").read_text())
    points(file, one_of("heldout"), rows)
    compare(str(file), **asked)
    after = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert before["curves"] != after["curves"]
    points(file, one_of("train"), rows)
    with pytest.raises(ValueError, match="holds a run with other settings: data was"):
        compare(str(file), **asked)


def test_runs_are_not_compared_after_the_file_of_their_drafts_changed(tmp_path: Path) -> None:
    file, draw = tmp_path / "drafts.npy", np.random.default_rng(0)
    np.save(file, draw.normal(size=(800, 2)).astype(np.float32))
    data = points(tmp_path / "data.npz")
    method = WarmStart(draft=draft_of(str(file)), rounds=1, block=400)
    trained(tmp_path / "warm", method, problem=problem_of(str(data)), **TINY)
    trained(tmp_path / "cold", COLD, problem=problem_of(str(data)), **TINY)
    np.save(file, draw.normal(size=(800, 2)).astype(np.float32))
    with pytest.raises(
        ValueError, match=r"the files of draft are not those that .*warm was trained with: restore them"
    ):
        compare_runs([tmp_path / "warm", tmp_path / "cold"], tmp_path / "out", **HOW)
