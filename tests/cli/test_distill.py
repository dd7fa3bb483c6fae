"""Distilling from the command line: a student is a run like any other, of one call, beside its teacher; bad ones are named."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_input import words
from test_commands import calls, ok, said, sound

import warmflow
from warmflow.checkpoints import load
from warmflow.cli import main
from warmflow.evaluation.record import read_study
from warmflow.experiments import distill as distilling
from warmflow.experiments.train_flows import read_asked
from warmflow.noise import Noise

TOY = words("--updates 30 --train 400 --samples 400 --rounds 1 --block 400 --width 16 --depth 1 --batch 32 --quiet")
FEW = words("--updates 4 --batch 32 --quiet")


def refused(*arguments) -> str:  # type: ignore[no-untyped-def]
    """The one line that an impossible command prints."""
    from click.testing import CliRunner

    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    return lines[0]


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("teachers")
    for arm in ("cold", "warm"):
        ok("train", "toy.moons", *TOY, "--arm", arm, "--out", root / arm)
    return root


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distilling, "REFLOW_ROWS", 200)


@pytest.mark.parametrize("arm", ["cold", "warm"])
def test_a_student_is_a_run_of_one_call_with_a_report(teachers: Path, tmp_path: Path, arm: str) -> None:
    out = tmp_path / "student"
    ok("distill", teachers / arm, *FEW, "--online-updates", "2", "--alpha", "0.5", "--out", out)
    asked = read_asked(out)
    assert asked["arm"] == "student" and asked["distillation"]["alpha"] == 0.5
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 12 and set(lines[-1]["gradient_norm"]) == {"online", "student"}
    facts = sound(out, [0])
    roles = {c["name"]: c["role"] for c in facts["curves"]}
    assert roles == {"teacher": "baseline", "student": "candidate", "reflow": "shown"}
    assert calls(facts, "student") == calls(facts, "reflow") == [1] and len(calls(facts, "teacher")) > 3
    assert facts["trained"] == "distilled" and facts["candidates"]["student"]["outcome"] == "cannot tell"
    words = facts["candidates"]["student"]["words"]
    assert words["question"] == "Does the student need fewer network calls than the teacher for the same quality?"
    assert "one training seed, distilled from the baseline" in words["text"]
    bills = {c["name"]: c["bill"] for c in facts["curves"]}
    assert bills["student"] == {"distilling": facts["bill"]["distilling"]} and bills["teacher"].keys() == {"training"}
    spent = {(t.method, t.steps): np.median(t.seconds) for t in read_study(out).times}
    assert {t for t in spent if t[0] != "teacher"} == {("student", 1), ("reflow", 1)}
    last = max(r.steps for r in read_study(out).rows_of("teacher"))
    saved = spent["teacher", last] - spent["student", 1]
    key = f"{max(calls(facts, 'teacher')):g}"
    assert facts["paid"][key] == (math.ceil(facts["bill"]["distilling"] / saved) if saved > 0 else None)
    assert set(facts["paid"]) == {f"{c:g}" for c in calls(facts, "teacher")}
    page = said(out)
    assert f"against {key} calls of the teacher" in page and "cold" not in words["text"]
    assert f"warmflow distill {teachers / arm}" in page and "Settings of the teacher" in page
    assert "reflow of the teacher" in page
    ok("sample", out, "-n", "20", "--quiet", "--out", tmp_path / "x.npz")
    drawn = np.load(tmp_path / "x.npz")
    assert drawn["calls"].tolist() == [1] * 20 and int(drawn["steps"]) == 1
    assert "student of one call" in refused("sample", out, "--steps", "4", "--out", tmp_path / "y.npz")
    assert "is itself distilled" in refused("distill", out, *FEW, "--out", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_student_begins_as_its_teachers_first_step_and_moves_away(teachers: Path, tmp_path: Path) -> None:
    """With a rate of nearly nothing it is the teacher's single step; with a real one it is not."""
    ends = []
    for rate in ("1e-12", "1e-2"):
        out = tmp_path / rate
        ok("distill", teachers / "cold", *FEW, "--learning-rate", rate, "--no-report", "--out", out)
        ends.append(load(out)(50, seed=3).x)
    first = load(teachers / "cold")(50, seed=3, steps=1).x
    assert torch.allclose(ends[0], first, atol=1e-5) and not torch.allclose(ends[1], first, atol=1e-2)


def test_a_distillation_cut_off_between_two_turns_continues_as_if_it_were_not(
    teachers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warmflow.objectives import FlowGeneratorMatching

    command = ["distill", teachers / "cold", *words("--updates 60 --batch 32 --quiet --no-report --online-updates 2")]
    ok(*command, "--out", tmp_path / "whole")
    real, calls = FlowGeneratorMatching.loss, {"n": 0}

    def cut(self, turn, pair, *, noise):  # type: ignore[no-untyped-def]
        calls["n"] += 1
        if calls["n"] == 92:
            raise KeyboardInterrupt
        return real(self, turn, pair, noise=noise)

    monkeypatch.setattr(FlowGeneratorMatching, "loss", cut)
    from click.testing import CliRunner

    assert CliRunner().invoke(main, [str(a) for a in (*command, "--out", tmp_path / "cut")]).exit_code != 0
    assert not (tmp_path / "cut" / "model.json").exists() and (tmp_path / "cut" / "checkpoint.safetensors").exists()
    monkeypatch.setattr(FlowGeneratorMatching, "loss", real)
    ok(*command, "--out", tmp_path / "cut")
    assert torch.equal(load(tmp_path / "cut")(9).x, load(tmp_path / "whole")(9).x)
    assert "other settings" in refused(*command, "--alpha", "0.5", "--out", tmp_path / "cut")


def test_students_of_several_seeds_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1):
        ok("train", "toy.moons", *TOY, "--arm", "cold", "--seed", str(seed), "--out", f"t{seed}")
        ok("distill", f"t{seed}", *FEW, "--no-report", "--out", f"s{seed}")
    ok("compare", "s0", "s1", "--calls", "1,2", "--quiet", "--out", "both")
    facts = sound(Path("both"), [0, 1])
    answer = facts["candidates"]["student"]["words"]["text"]
    assert (
        "the student" in answer.lower()
        and "two training seeds, distilled from the baseline" in answer
        and "cold" not in answer
    )
    assert calls(facts, "student") == [1] and set(calls(facts, "teacher")) <= {1, 2}
    assert "leave it out" in refused("compare", "s0", "t1", "--out", "mixed")
    ok("distill", "t1", *FEW, "--alpha", "0.5", "--no-report", "--out", "half")
    said = refused("compare", "s0", "half", "--out", "mixed")
    assert "distillation.alpha is 1.0 and 0.5" in said and "compare them apart" in said
    assert "both of seed 0" in refused("compare", "s0", "s0", "--out", "mixed")
    ok("train", "toy.moons", *TOY, "--arm", "warm", "--seed", "1", "--out", "w1")
    ok("distill", "w1", *FEW, "--no-report", "--out", "sw")
    assert "the teacher's arm is 'cold' and 'warm'" in refused("compare", "s0", "sw", "--out", "mixed")
    assert "--steps" in refused("compare", "s0", "s1", "--steps", "7", "--out", "mixed")
    ok(
        "distill", tmp_path / "t0", *FEW, "--no-report", "--out", "s0"
    )  # the same teacher by another path is no other setting
    Path("moved").mkdir()
    for name in ("t0", "s0"):
        shutil.copytree(name, Path("moved") / name)
    assert distilling.teacher_of(Path("moved/s0")) == tmp_path / "t0"
    ok("train", "toy.moons", *TOY, "--arm", "cold", "--seed", "7", "--out", "t7")
    Path("t0").rename("gone")
    assert "t0, which is not there" in refused("compare", "s0", "s1", "--out", "lost")
    assert distilling.teacher_of(Path("moved/s0")) == tmp_path / "moved" / "t0", (
        "found as far from the student as it was"
    )
    Path("t7").rename("t0")
    assert "trained again since" in refused("compare", "s0", "s1", "--out", "other")


def test_a_divergence_keeps_the_last_good_student(
    teachers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warmflow.objectives import FlowGeneratorMatching

    real = FlowGeneratorMatching.loss
    count = {"student": 0}

    def spoiled(self, turn, pair, *, noise):  # type: ignore[no-untyped-def]
        loss, numbers = real(self, turn, pair, noise=noise)
        count["student"] += turn == "student"
        return (loss * float("nan") if count["student"] > 150 else loss), numbers

    monkeypatch.setattr(FlowGeneratorMatching, "loss", spoiled)
    out = tmp_path / "student"
    said = refused("distill", teachers / "cold", "--updates", "400", "--batch", "32", "--quiet", "--out", out)
    assert "diverged at step 302" in said and "holds the student of step 301" in said
    assert bool(torch.isfinite(load(out)(20).x).all())
    assert json.loads((out / "config.json").read_text())["state"] == "started"


def test_a_student_that_has_lost_its_diversity_is_warned_of(teachers: Path) -> None:
    teacher = distilling.read_teacher(teachers / "cold")
    objective = distilling.objective_of(teacher, distilling.Distillation())
    found = distilling.diversity(teacher, objective.student.network, teacher.sampler)
    network = objective.student.network
    with torch.no_grad():
        network.out.weight.mul_(0.1)  # type: ignore[union-attr, operator]
        network.out.bias.mul_(0.1)  # type: ignore[union-attr, operator]
    lost = distilling.diversity(teacher, network, teacher.sampler)
    assert lost["diversity"] < found["diversity"] and lost["diversity"] < 0.9 and "losing diversity" in lost["warning"]


def test_teachers_that_cannot_be_distilled_are_named(teachers: Path, tmp_path: Path) -> None:
    blind, bare, tokens = tmp_path / "blind", tmp_path / "bare", tmp_path / "tokens"
    ok("train", "toy.moons", *TOY, "--no-seen", "--out", blind)
    ok("train", "toy.moons", *TOY, "--sigma", "0", "--out", bare)
    grid = words("--updates 3 --train 400 --samples 400 --rounds 1 --block 400 --width 16 --depth 1 --heads 2 --quiet")
    ok("train", "toy.grid", *grid, "--arm", "cold", "--out", tokens)
    cases = [
        ((blind,), "does not see, so that fresh starts cannot be paired"),
        ((bare,), "without noise of its own"),
        ((tokens,), "has a TokenField; Flow Generator Matching distils flows of floats"),
        ((tmp_path / "nowhere",), "not a run folder"),
        ((teachers / "cold", "--alpha", "-1"), "--alpha is -1"),
        ((teachers / "cold", "--online-updates", "0"), "--online-updates is 0"),
        ((teachers / "cold", "--real", "2"), "--real is 2"),
        ((teachers / "cold", "--times", "often"), "--times is 'often'"),
        ((teachers / "cold", "--learning-rate", "0"), "--learning-rate is 0"),
        ((teachers / "cold", "--beta", "1"), "--beta is 1"),
        ((teachers / "cold", "--device", "cuda:9"), "cuda:9"),
    ]
    for arguments, says in cases:
        assert says in refused("distill", *arguments, "--quiet", "--out", tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_a_share_of_real_data_is_the_recipes_paired_as_the_teacher_was(teachers: Path, tmp_path: Path) -> None:
    some = distilling.Distillation(real=0.5)
    cold, warm = (distilling.read_teacher(teachers / arm) for arm in ("cold", "warm"))
    plan = cold.plan()
    assert plan is not None
    assert torch.equal(distilling._data(cold, some).x1, plan.data.train.x1)
    paired = distilling._data(warm, some)
    assert paired.start is not None
    near = (paired.start.x0 - paired.x1).square().sum(1).mean()
    assert float(near) < 0.5 * float((paired.start.x0.roll(1, 0) - paired.x1).square().sum(1).mean())
    assert not distilling._data(cold, distilling.Distillation()).x1.any(), "nothing of the data unless it is asked for"
    ok("distill", teachers / "warm", *FEW, "--real", "0.5", "--no-report", "--out", tmp_path / "s")
    assert load(tmp_path / "s")(5).calls.tolist() == [1] * 5
    ok("train", "toy.moons", *TOY, "--pairing", "minibatch-assignment", "--out", tmp_path / "batches")
    assert "paired batch by batch" in refused(
        "distill", tmp_path / "batches", *FEW, "--real", "0.5", "--out", tmp_path / "n"
    )


def test_real_images_come_with_the_latent_that_they_are_encoded_to(tmp_path: Path) -> None:
    small = words("--updates 3 --rounds 1 --samples 400 --width 16 --depth 1 --batch 32 --auxiliary-updates 400 --quiet "
                  "--auxiliary-width 64 --latent-updates 20 --kl 0.005")  # fmt: skip
    ok("train", "lediflow.digits", *small, "--out", tmp_path / "t")
    teacher = distilling.read_teacher(tmp_path / "t")
    objective = distilling.objective_of(teacher, distilling.Distillation(real=0.5))
    data = distilling._data(teacher, distilling.Distillation(real=0.5))
    pair = objective.pair(data, noise=Noise.of(0, len(data)))
    left = (pair.x1 - pair.start.condition["mean"]).square().mean()
    assert float(left) < 0.7 * float((pair.x1 - pair.x1.mean(0)).square().mean()), "a mean of another image"


def test_assigned_teachers_are_distilled_in_the_batches_they_were_assigned_in(
    teachers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ok("train", "toy.moons", *TOY, "--arm", "cold_assigned", "--out", tmp_path / "t")
    assert "give --batch 32" in refused("distill", tmp_path / "t", "--batch", "64", "--quiet", "--out", tmp_path / "n")
    ok("distill", tmp_path / "t", *FEW, "--no-report", "--out", tmp_path / "s")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "on one process, not 2" in refused("distill", tmp_path / "t", *FEW, "--out", tmp_path / "n")
    assert not (tmp_path / "n").exists()


def test_the_python_entrance_names_what_is_wrong(teachers: Path, tmp_path: Path) -> None:
    for settings, says in (({"update": 3}, "did you mean 'updates'"), ({"alpha": "1"}, "a number, like 1.0"),
                           ({"device": "toaster"}, "toaster")):  # fmt: skip
        with pytest.raises(ValueError, match=says):
            warmflow.distill(teachers / "cold", tmp_path / "n", progress=False, **settings)
    assert not (tmp_path / "n").exists()
