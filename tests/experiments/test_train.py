"""One method trained into a run folder: resumed bit for bit, fine-tuned from a cold run, tried before it is trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import COLD, MOONS, TINY, WARM, copied, everything, quiet, trained

from warmflow.checkpoints import load
from warmflow.experiments.saved_runs import read_run, teacher_of
from warmflow.experiments.train import dry_run, train_run
from warmflow.methods.cold import Cold
from warmflow.methods.distillation import Distillation
from warmflow.methods.learned_prior import LearnedPrior
from warmflow.methods.reflow import Reflow
from warmflow.methods.warm_start import WarmStart
from warmflow.objectives import FlowMatching
from warmflow.options import changed
from warmflow.problems import problem_of
from warmflow.setup import Training


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    trained(root / "warm", WARM)
    trained(root / "cold", COLD)
    return root


def test_a_finished_run_is_read_and_nothing_is_written(runs: Path) -> None:
    before = everything(runs / "warm")
    said: list[str] = []
    again = train_run(MOONS, WARM, runs / "warm", progress=False, echo=said.append, **TINY)
    assert everything(runs / "warm") == before
    assert torch.equal(again(5).x, load(runs / "warm")(5).x)
    assert said == [
        f"{runs / 'warm'} is complete. Look at samples: warmflow sample {runs / 'warm'} --out {runs / 'warm'}/samples.png"
    ]


def test_a_run_says_what_it_is_and_what_it_cost(runs: Path) -> None:
    found = {p.name for p in (runs / "warm").iterdir()}
    assert found >= {
        "config.json",
        "checkpoint.safetensors",
        "model.json",
        "model.safetensors",
        "log.jsonl",
        "README.md",
        "parts",
    }
    run = read_run(runs / "warm")
    assert run.complete and run.seed == 0 and run.seconds > 0
    assert set(run.spent) == {"draft", "pairing"} and run.spent["pairing"] > 0
    assert run.method == changed(WARM, {"pairing": "whole-set", "passes": 0, "sigma": 0.1, "draft": "jittered"})
    assert run.asked["training"]["updates"] == 10 and "compile" not in run.asked["training"]
    assert run.setup().asked == MOONS.asked()


def test_a_run_that_was_cut_off_continues_to_the_same_weights(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, count = FlowMatching.loss, {"n": 0}

    def cut(self, turn, pair, *, noise):  # type: ignore[no-untyped-def]
        count["n"] += 1
        if count["n"] == 7:
            raise KeyboardInterrupt
        return real(self, turn, pair, noise=noise)

    monkeypatch.setattr(FlowMatching, "loss", cut)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "warm", WARM)
    assert not (tmp_path / "warm" / "model.json").exists()
    trained(tmp_path / "warm", WARM)
    same = [(root / "warm" / "model.safetensors").read_bytes() for root in (runs, tmp_path)]
    assert same[0] == same[1]


def test_another_run_in_the_folder_is_named(runs: Path) -> None:
    with pytest.raises(ValueError, match=r"method.sigma was 0.1, is now 0.2"):
        trained(runs / "warm", WARM, sigma=0.2)
    with pytest.raises(ValueError, match=r"holds a run of 10 updates, more than 9: ask for 10 or more"):
        trained(runs / "warm", WARM, updates=9)


def test_options_of_training_are_those_given_some_changed(tmp_path: Path) -> None:
    given = Training(**{**TINY, "learning_rate": 5e-4})
    train_run(MOONS, COLD, tmp_path / "r", training=given, progress=False, echo=quiet, updates=3)
    asked = read_run(tmp_path / "r").asked["training"]
    assert (asked["learning_rate"], asked["updates"], asked["batch"]) == (5e-4, 3, 64)


def test_a_warm_start_begins_with_what_the_cold_run_knows(tmp_path: Path) -> None:
    """Its first loss is below that of an untrained one."""
    trained(tmp_path / "cold", COLD, updates=200, width=32)
    losses = {}
    for name, begin in (("fresh", None), ("tuned", tmp_path / "cold")):
        more = {**TINY, "updates": 1, "width": 32}
        train_run(
            MOONS, changed(WARM, {"sigma": 0.3}), tmp_path / name, begin=begin, progress=False, echo=quiet, **more
        )
        losses[name] = json.loads((tmp_path / name / "log.jsonl").read_text().splitlines()[0])["loss"]
    assert losses["tuned"] < 0.8 * losses["fresh"]
    spent = read_run(tmp_path / "tuned").spent
    assert spent["training of the cold flow"] == read_run(tmp_path / "cold").seconds
    with pytest.raises(ValueError, match="begin was"):  # the same folder, begun otherwise
        train_run(MOONS, changed(WARM, {"sigma": 0.3}), tmp_path / "tuned", progress=False, echo=quiet,
                  **{**TINY, "updates": 1, "width": 32})  # fmt: skip


def test_impossible_beginnings_are_named_and_nothing_is_written(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "never"
    for method, begin, more, says in (
        (COLD, runs / "cold", {}, "fine-tunes a warm start; the method is 'cold'"),
        (WARM, runs / "warm", {}, "a run of WarmStart: fine-tuning starts from a cold run"),
        (WARM, tmp_path / "no", {}, "not a run folder"),
        (WARM, runs / "cold", {"width": 24}, "use the same width and depth"),
    ):
        with pytest.raises(ValueError, match=says):
            train_run(MOONS, method, out, begin=begin, progress=False, echo=quiet, **{**TINY, **more})
    assert not out.exists()


def test_bad_input_is_named_before_anything_is_written(tmp_path: Path) -> None:
    for call, says in (
        (lambda out: train_run(MOONS, "colt", out), "did you mean 'cold'"),
        (lambda out: train_run("moon", COLD, out), "did you mean 'moons'"),
        (lambda out: train_run(MOONS, COLD, out, device="toaster"), "toaster"),
        (lambda out: train_run(MOONS, COLD, out, update=3), "did you mean 'updates'"),
        (lambda out: train_run(MOONS, COLD, out, updates=0), "updates is 0; it must be at least 1"),
        (lambda out: train_run(MOONS, Cold(start="mask"), out), "is of floats"),
    ):
        with pytest.raises(ValueError, match=says):
            call(tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_a_student_is_trained_with_its_teacher_beside_it(tmp_path: Path) -> None:
    method = Distillation(teacher=COLD, updates=4, batch=32)
    said: list[str] = []
    sampler = train_run(MOONS, method, tmp_path / "s", progress=False, echo=said.append, **TINY)
    assert sampler(5).calls.tolist() == [1] * 5
    teacher = tmp_path / "s" / "teacher"
    assert teacher_of(tmp_path / "s") == teacher
    alone = load(trained(tmp_path / "cold", COLD))
    assert torch.equal(load(teacher)(5).x, alone(5).x), "the same run as one trained by itself"
    run = read_run(tmp_path / "s")
    assert run.spent["teacher"] == read_run(teacher).seconds
    assert run.config["training"]["diversity"] > 0
    assert any("losing diversity" in line for line in said) == (run.config["training"]["diversity"] < 0.9)


@pytest.mark.parametrize("draft", ["jittered", "vae"])
def test_a_dry_run_prints_json_and_writes_nothing(draft: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    found = dry_run(MOONS, changed(WARM, {"t0": 0.5, "draft": draft}), echo=said.append, **TINY)
    assert json.loads(said[0]) == found
    assert (
        found["method"]["t0"] == 0.5 and found["method"]["draft"] == draft and found["method"]["pairing"] == "whole-set"
    )
    assert found["parameters"] > 0 and found["calls_per_second_at_batch_64"] > 0 and found["training_minutes"] >= 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("problem", "method", "training"),
    [
        (MOONS, LearnedPrior(), TINY),
        ("digits", WarmStart(draft="gan"), {"conditional": True, "guidance": 2.0, "width": 16, "depth": 1, "batch": 16}),
        ("digits", Cold(pairing="whole-set"), {"width": 16, "depth": 1, "batch": 16}),
        (MOONS, Distillation(teacher=WARM), TINY),
        (MOONS, Reflow(teacher=COLD), TINY),
        ("grid", WarmStart(), {"width": 16, "depth": 1, "heads": 2, "batch": 16}),
    ],
)  # fmt: skip
def test_a_dry_run_of_every_kind_of_method(problem, method, training) -> None:  # type: ignore[no-untyped-def]
    assert dry_run(problem, method, echo=quiet, **training)["parameters"] > 0


def test_odd_data_are_warned_of(tmp_path: Path) -> None:
    """A file that cannot be read, of a folder of images."""
    from PIL import Image

    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for k in range(240):
        Image.fromarray(rng.integers(0, 255, (6, 6, 3)).astype(np.uint8)).save(tmp_path / "photos" / f"{k}.png")
    (tmp_path / "photos" / "broken.png").write_bytes(b"not a picture")
    said: list[str] = []
    photos = problem_of(f"folder:{tmp_path / 'photos'}", size=6)
    train_run(photos, COLD, tmp_path / "r", progress=False, echo=said.append, **{**TINY, "network": "mlp"})
    assert said[0].startswith("warning: ") and "broken.png" in said[0]


def test_an_incomplete_copy_is_finished(runs: Path, tmp_path: Path) -> None:
    part = copied(runs / "warm", tmp_path / "warm", ["model.json", "model.safetensors"], state="started")
    trained(part, WARM)
    assert (part / "model.safetensors").read_bytes() == (runs / "warm" / "model.safetensors").read_bytes()
