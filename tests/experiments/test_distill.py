"""Distilling: a student is a run like any other, of one call, beside its teacher; bad teachers and options are named."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_runs import COLD, MOONS, SAMPLES, TINY, WARM, calls, copied, facts_of, quiet, roles, trained
from torch import Tensor, nn

import warmflow
from warmflow.checkpoints import load
from warmflow.evaluation import real
from warmflow.evaluation.record import read_study
from warmflow.experiments import distill as distilling
from warmflow.experiments.distill import distill
from warmflow.experiments.sample import sample_run
from warmflow.experiments.sample_options import LabelOptions
from warmflow.experiments.saved_runs import read_asked, read_run, teacher_of
from warmflow.experiments.train import train_run
from warmflow.methods.cold import Cold
from warmflow.methods.distillation import Distillation, diversity, why_not_distilled
from warmflow.methods.distillation import copied as copied_field
from warmflow.methods.learned_prior import LearnedPrior
from warmflow.methods.parts import Parts
from warmflow.methods.warm_start import WarmStart
from warmflow.noise import Noise
from warmflow.objectives import FlowGeneratorMatching
from warmflow.problems import problem_of
from warmflow.problems.restoration import SuperResolution

FEW: dict[str, Any] = {"updates": 4, "batch": 32, "progress": False}
SMALL = {"updates": 30, "batch": 32}


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("teachers")
    trained(root / "cold", COLD, **SMALL)
    trained(root / "warm", WARM, **SMALL)
    return root


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distilling, "REFLOW_ROWS", 200)
    monkeypatch.setattr(real, "RESAMPLES", 20)  # intervals are not tested here


@pytest.mark.long
@pytest.mark.parametrize("name", ["cold", "warm"])
def test_a_student_is_a_run_of_one_call_with_a_report(teachers: Path, tmp_path: Path, name: str) -> None:
    out, said = tmp_path / "student", list[str]()
    distill(
        teachers / name, out, **FEW, online_updates=2, alpha=0.5, calls=[1, 2, 8], samples=SAMPLES, echo=said.append
    )
    asked = read_asked(out)
    assert asked["method"]["class"] == "Distillation" and asked["method"]["alpha"] == 0.5 and asked["seed"] == 0
    assert (
        asked["method"]["teacher"] == read_asked(teachers / name)["method"]
        and asked["data"] == read_asked(teachers / name)["data"]
    )
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 12 and set(lines[-1]["gradient_norm"]) == {"online", "student"}
    facts, label = facts_of(out), {"cold": "cold", "warm": "warm-start"}[name]
    student, reflow = f"distilled-{label}", f"reflow-{label}"
    assert roles(facts) == {label: "baseline", student: "candidate", reflow: "shown"}
    assert calls(facts, student) == calls(facts, reflow) == [1] and len(calls(facts, label)) > 1
    assert (
        facts["candidates"][student]["outcome"] == "cannot tell"
        and said[-1] == facts["candidates"][student]["words"]["answer"]
    )
    assert "one training seed, distilled from a trained flow" in facts["candidates"][student]["words"]["text"]
    bills = {c["name"]: c["bill"] for c in facts["curves"]}
    teacher = read_run(teachers / name)
    assert bills[student] == {
        "teacher": teacher.seconds + sum(teacher.spent.values()),
        "distilling": read_run(out).seconds,
    }
    spent = {(t.method, t.steps): np.median(t.seconds) for t in read_study(out).times}
    assert {t for t in spent if t[0] != label} == {(student, 1), (reflow, 1)}
    last = max(r.steps for r in read_study(out).rows_of(label))
    saved, key = spent[label, last] - spent[student, 1], f"{max(calls(facts, label)):g}"
    assert facts["paid"][key] == (math.ceil(bills[student]["distilling"] / saved) if saved > 0 else None)
    assert set(facts["paid"]) == {f"{c:g}" for c in calls(facts, label)}
    assert read_asked(out / "reflow")["method"]["updates"] == 12, "as many as the student and the online flow together"
    config = json.loads((out / "config.json").read_text())
    assert config["kind"] == "run" and config["state"] == "complete" and config["training"]["diversity"] > 0
    sample_run(out, 20, tmp_path / "x.npz", progress=False)
    drawn = np.load(tmp_path / "x.npz")
    assert drawn["calls"].tolist() == [1] * 20 and int(drawn["steps"]) == 1
    with pytest.raises(
        ValueError, match=f"is itself distilled, of one call: distil its teacher {teachers / name} again"
    ):
        distill(out, tmp_path / "again", **FEW)
    assert not (tmp_path / "again").exists()


def test_a_student_begins_as_its_teachers_first_step_and_moves_away(teachers: Path, tmp_path: Path) -> None:
    """With a rate of nearly nothing it is the teacher's single step; with a real one it is not."""
    ends = [
        distill(teachers / "cold", tmp_path / str(rate), **FEW, learning_rate=rate, report=False)(50, seed=3).x
        for rate in (1e-12, 1e-2)
    ]
    first = load(teachers / "cold")(50, seed=3, steps=1).x
    assert torch.allclose(ends[0], first, atol=1e-5) and not torch.allclose(ends[1], first, atol=1e-2)


@pytest.mark.long
def test_a_distillation_cut_off_between_two_turns_continues_as_if_it_were_not(
    teachers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {"updates": 60, "batch": 32, "online_updates": 2, "report": False, "progress": False}
    whole = distill(teachers / "cold", tmp_path / "whole", **asked)
    real, count = FlowGeneratorMatching.loss, {"n": 0}

    def cut(self, turn, pair, *, noise):  # type: ignore[no-untyped-def]
        count["n"] += 1
        if count["n"] == 92:
            raise KeyboardInterrupt
        return real(self, turn, pair, noise=noise)

    monkeypatch.setattr(FlowGeneratorMatching, "loss", cut)
    with pytest.raises(KeyboardInterrupt):
        distill(teachers / "cold", tmp_path / "cut", **asked)
    assert not (tmp_path / "cut" / "model.json").exists() and (tmp_path / "cut" / "checkpoint.safetensors").exists()
    monkeypatch.setattr(FlowGeneratorMatching, "loss", real)
    again = distill(teachers / "cold", tmp_path / "cut", **asked)
    assert torch.equal(again(9).x, whole(9).x) and torch.equal(load(tmp_path / "cut")(9).x, whole(9).x)
    with pytest.raises(ValueError, match=r"other settings: method.alpha was 1.0, is now 0.5"):
        distill(teachers / "cold", tmp_path / "cut", alpha=0.5, **asked)


@pytest.mark.long
def test_a_divergence_keeps_the_last_good_student(
    teachers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, count = FlowGeneratorMatching.loss, {"student": 0}

    def spoiled(self, turn, pair, *, noise):  # type: ignore[no-untyped-def]
        loss, numbers = real(self, turn, pair, noise=noise)
        count["student"] += turn == "student"
        return (loss * float("nan") if count["student"] > 150 else loss), numbers

    monkeypatch.setattr(FlowGeneratorMatching, "loss", spoiled)
    out = tmp_path / "student"
    with pytest.raises(ValueError, match=r"diverged at step 302.*holds the sampler of step 301"):
        distill(teachers / "cold", out, updates=400, batch=32, progress=False)
    assert bool(torch.isfinite(load(out)(20).x).all()) and load(out).steps == 1
    assert json.loads((out / "config.json").read_text())["state"] == "started"


def test_a_student_that_has_lost_its_diversity_is_warned_of(teachers: Path) -> None:
    teacher = load(teachers / "cold")
    copy = copied_field(teacher.field)  # type: ignore[arg-type]
    student = warmflow.Sampler(teacher.source, copy, warmflow.Euler(), 1)
    found = diversity(student, teacher)
    with torch.no_grad():
        copy.network.out.weight.mul_(0.1)  # type: ignore[union-attr]
        copy.network.out.bias.mul_(0.1)  # type: ignore[union-attr]
    lost = diversity(student, teacher)
    assert lost["diversity"] < min(0.9, found["diversity"]) and "losing diversity" in lost["warning"]
    same = diversity(teacher, teacher)["diversity"]
    by_hand = [float(teacher(2000, seed=0, steps=k).x.double().var(0).sum()) for k in (1, 32)]
    assert same == pytest.approx(by_hand[0] / by_hand[1])


def test_teachers_that_cannot_be_distilled_are_named(teachers: Path, tmp_path: Path) -> None:
    trained(tmp_path / "blind", WARM, seen=False)
    trained(tmp_path / "bare", WARM, sigma=0.0)
    grid = problem_of("grid", train=400, heldout=400)
    trained(tmp_path / "tokens", COLD, problem=grid, heads=2, updates=3)
    copied(teachers / "cold", tmp_path / "version", warmflow="9.7.0")
    copied(teachers / "cold", tmp_path / "started", ["model.json", "model.safetensors"], state="started")
    (tmp_path / "compare").mkdir()
    config = json.loads((teachers / "cold" / "config.json").read_text()) | {"kind": "compare"}
    (tmp_path / "compare" / "config.json").write_text(json.dumps(config))
    for run, says in (
        (
            "blind",
            "does not see, so that fresh starts cannot be paired with samples: distil a flow that sees its draft",
        ),
        ("bare", "without noise of its own \\(sigma 0\\): one draft has one sample; distil a run whose start has some"),
        ("tokens", "has a TokenField; Flow Generator Matching distils flows of floats"),
        ("nowhere", "not a run folder"),
        ("version", "9.7.0.*install that version"),
        ("started", "run the same training command again"),
        ("compare", "is a compare, not a training run; name one of the runs in it"),
    ):
        with pytest.raises(ValueError, match=says):
            distill(tmp_path / run, tmp_path / "never", **FEW)
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"alpha": -1}, "alpha is -1"), ({"alpha": float("nan")}, "alpha is nan"), ({"online_updates": 0}, "at least 1"),
        ({"updates": 0}, "updates is 0; it must be at least 1"), ({"batch": -1}, "batch is -1"), ({"real": 2}, "real is 2"),
        ({"learning_rate": 0}, "learning_rate is 0; it must be greater than 0"), ({"beta": 1}, "beta is 1"),
        ({"ema": 1}, "ema is 1"), ({"times": "often"}, "times is 'often'"), ({"update": 3}, "did you mean 'updates'"),
        ({"alpha": "much"}, "it must be a number"), ({"device": "toaster"}, "use cpu"), ({"seed": 3}, "leave it"),
    ],
)  # fmt: skip
def test_impossible_options_are_named_and_nothing_is_written(
    teachers: Path, tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        distill(teachers / "cold", tmp_path / "never", **{**FEW, **options})
    assert not (tmp_path / "never").exists()


CENTRES = torch.tensor([[2.0, 0.0], [-2.0, 1.0], [0.0, -2.0]])


def spots(place: Path) -> Path:
    """Points around a centre for each of three named labels."""
    label = np.arange(900) % 3
    noise = Noise.of(0, 900).normal("x", 2).numpy()
    np.savez(place, x=CENTRES.numpy()[label] + 0.2 * noise, y=np.array(["ant", "bee", "cat"])[label])
    return place


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "options"),
    [("cold", {}), ("minibatch", {}), ("warm", {}), ("guided", {"guidance": 1.5})],
)  # fmt: skip
def test_a_student_of_a_conditional_flow_knows_every_label(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    """Each label's samples, by one call, are around the label's centre, as the teacher's are."""
    method = {"warm": WARM, "minibatch": Cold(pairing="minibatch")}.get(name, COLD)
    problem, out = problem_of(spots(tmp_path / "spots.npz")), tmp_path / "student"
    more = {"updates": 400, "batch": 128, "width": 32, "depth": 2, "conditional": True, **options}
    trained(tmp_path / "teacher", method, problem=problem, **more)
    student = distill(tmp_path / "teacher", out, updates=300, progress=False, report=False, learning_rate=2e-3)
    teacher = load(tmp_path / "teacher")
    for k, centre in enumerate(CENTRES):
        label = {"label": torch.full((400,), k)}
        theirs, mine = teacher(400, seed=1, steps=16, condition=label).x, student(400, seed=1, condition=label)
        assert set(mine.calls.tolist()) == {1}
        assert torch.allclose(theirs.mean(0), centre, atol=0.4) and torch.allclose(
            mine.x.mean(0), theirs.mean(0), atol=0.4
        )
        assert float(mine.x.std(0).max()) < 0.8
    drawn = student(900, seed=0).start.condition["label"]
    assert torch.bincount(drawn, minlength=3).min() > 200
    said = sample_run(out, 4, tmp_path / "x.npz", labels=LabelOptions(label="bee"), progress=False)
    assert "label 1 (bee)" in said and np.load(tmp_path / "x.npz")["classes"].tolist() == ["ant", "bee", "cat"]
    with pytest.raises(ValueError, match="guidance is 2.*one call"):
        sample_run(out, 4, tmp_path / "x.npz", labels=LabelOptions(guidance=2.0), progress=False)


@pytest.mark.long
def test_a_conditional_student_is_judged_beside_its_teacher_and_reflow(tmp_path: Path) -> None:
    problem = problem_of(spots(tmp_path / "spots.npz"))
    trained(tmp_path / "teacher", COLD, problem=problem, conditional=True)
    distill(tmp_path / "teacher", tmp_path / "student", **FEW, calls=[1, 2], samples=SAMPLES)
    assert roles(facts_of(tmp_path / "student")) == {
        "cold": "baseline", "distilled-cold": "candidate", "reflow-cold": "shown",
    }  # fmt: skip
    labels = load(tmp_path / "student" / "reflow")(300, seed=0).start.condition["label"]
    assert set(labels.tolist()) == {0, 1, 2}


def test_a_conditional_run_on_arrays_that_are_not_at_hand_is_distilled(tmp_path: Path) -> None:
    data = warmflow.data.load(
        CENTRES[torch.arange(900) % 3] + 0.2 * Noise.of(0, 900).normal("x", 2), labels=torch.arange(900) % 3
    )
    trained(tmp_path / "teacher", COLD, problem=data, conditional=True)
    student = distill(tmp_path / "teacher", tmp_path / "student", **FEW)
    assert set(student(200, seed=0).start.condition["label"].tolist()) == {0, 1, 2}


@pytest.mark.long
@pytest.mark.parametrize("method", [COLD, WarmStart(draft="regression")])
def test_a_restoration_is_distilled_on_the_inputs_of_the_training_data(tmp_path: Path, method: Any) -> None:
    problem = SuperResolution(images="digits", factor=2)
    trained(tmp_path / "teacher", method, problem=problem, updates=4)
    parts = Parts(read_run(tmp_path / "teacher").setup(), 0)
    data: Any = Distillation(teacher=method).data(parts, read_run(tmp_path / "teacher").sampler())
    assert torch.equal(data.condition["input"], parts.setup.data.train.condition["input"]) and not data.x1.any()
    student = distill(tmp_path / "teacher", tmp_path / "student", **FEW, report=False)
    asked = parts.setup.data.heldout.condition["input"][:5]
    assert torch.equal(student(5, condition={"input": asked}).start.condition["input"], asked)


def data_of(run: Path, **options: Any) -> Any:
    """The data of the online flow's updates."""
    saved = read_run(run)
    parts = Parts(saved.setup(), saved.seed)
    return Distillation(teacher=saved.method, **options).data(parts, saved.sampler())


def test_a_share_of_real_data_is_paired_as_the_teacher_was(teachers: Path, tmp_path: Path) -> None:
    setup = read_run(teachers / "cold").setup()
    assert torch.equal(data_of(teachers / "cold", real=0.5).x1, setup.data.train.x1)
    paired = data_of(teachers / "warm", real=0.5)
    near = (paired.start.x0 - paired.x1).square().sum(1).mean()
    assert float(near) < 0.5 * float((paired.start.x0.roll(1, 0) - paired.x1).square().sum(1).mean())
    assert not data_of(teachers / "cold").x1.any(), "no data unless it is asked for"
    student = distill(teachers / "warm", tmp_path / "s", **FEW, real=0.5, report=False)
    assert student(5).calls.tolist() == [1] * 5 and set(read_run(tmp_path / "s").spent) == {"teacher"}
    trained(tmp_path / "batches", WARM, pairing="minibatch")
    with pytest.raises(ValueError, match="paired batch by batch"):
        distill(tmp_path / "batches", tmp_path / "never", **FEW, real=0.5)
    assert not (tmp_path / "never").exists()


@pytest.mark.long
def test_real_images_come_with_the_latent_that_they_are_encoded_to(tmp_path: Path) -> None:
    method = LearnedPrior(auxiliary_updates=400, auxiliary_width=64, latent_updates=20, kl=0.005)
    trained(tmp_path / "t", method, problem="digits", updates=3, batch=32, network="mlp")
    saved = read_run(tmp_path / "t")
    parts = Parts(saved.setup(), 0, run=lambda _: saved.sampler())
    (stage,) = Distillation(teacher=saved.method, real=0.5, batch=32).stages(parts)
    objective, data = stage.make({})
    pair = objective.pair(data[torch.arange(len(data))], noise=Noise.of(0, len(data)))
    left = (pair.x1 - pair.start.condition["mean"]).square().mean()
    assert float(left) < 0.7 * float((pair.x1 - pair.x1.mean(0)).square().mean()), "a mean of another image"


def test_assigned_teachers_are_distilled_in_the_batches_they_were_assigned_in(
    teachers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path / "t", Cold(pairing="minibatch"), batch=32)
    with pytest.raises(
        ValueError, match="batch is 64, but the teacher's pairs were assigned over 32 rows: set it to 32"
    ):
        distill(tmp_path / "t", tmp_path / "n", **{**FEW, "batch": 64})
    distill(tmp_path / "t", tmp_path / "s", updates=4, report=False, progress=False)
    assert read_run(tmp_path / "s").config["training"]["batch"] == 32, "the teacher's own by default"
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="distil it on one process, not 2"):
        distill(tmp_path / "t", tmp_path / "n", **FEW)
    assert not (tmp_path / "n").exists()


def test_the_teacher_is_found_where_it_was_or_as_far_away(teachers: Path, tmp_path: Path) -> None:
    shutil.copytree(teachers / "cold", tmp_path / "t")
    distill(tmp_path / "t", tmp_path / "s", **FEW, report=False)
    assert teacher_of(tmp_path / "s") == tmp_path / "t"
    again = distill(teachers / "cold", tmp_path / "s", **FEW, report=False)
    assert teacher_of(tmp_path / "s") == teachers / "cold", "the same teacher by another path is no other setting"
    assert torch.equal(again(5).x, load(tmp_path / "s")(5).x)
    distill(tmp_path / "t", tmp_path / "s", **FEW, report=False)
    (tmp_path / "moved").mkdir()
    for name in ("t", "s"):
        shutil.copytree(tmp_path / name, tmp_path / "moved" / name)
    (tmp_path / "t").rename(tmp_path / "gone")
    assert teacher_of(tmp_path / "moved" / "s") == tmp_path / "moved" / "t"
    with pytest.raises(ValueError, match="t, which is not there: compare where it was distilled"):
        teacher_of(tmp_path / "s")


@pytest.mark.long
def test_runs_on_own_arrays_are_distilled_without_their_data_and_reported_with_them(tmp_path: Path) -> None:
    x = MOONS.load().train.x1
    train_run(x, COLD, tmp_path / "t", progress=False, echo=quiet, **TINY)
    distill(tmp_path / "t", tmp_path / "s", **FEW)
    assert not (tmp_path / "s" / "report.html").exists()
    assert read_asked(tmp_path / "s")["data"] == read_asked(tmp_path / "t")["data"]
    distill(tmp_path / "t", tmp_path / "s", **FEW, problem=x, calls=[1, 2], samples=SAMPLES, reflow=False)
    assert roles(facts_of(tmp_path / "s")) == {"distilled-cold": "candidate", "cold": "baseline"}
    with pytest.raises(ValueError, match="are not those that .* was trained on"):
        distill(tmp_path / "t", tmp_path / "n", **FEW, problem=x + 1)
    with pytest.raises(ValueError, match="real is 0.5, but the teacher's data are not at hand"):
        distill(tmp_path / "t", tmp_path / "n", **FEW, real=0.5)
    assert not (tmp_path / "n").exists()


# ---------------------------------------------------------------- any torch model


class Own(nn.Module):
    """The velocity of the straight path between N(0, I) and a point, exactly, with a weight that does nothing."""

    def __init__(self, predicts: str = "velocity") -> None:
        super().__init__()
        self.point = nn.Parameter(torch.tensor([2.0, -1.0]))
        self.drop = nn.Dropout(0.9)
        self.predicts = predicts

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        x1 = self.point + 0 * self.drop(x)
        return x1 if self.predicts == "x1" else (x1 - x) / (1 - t[:, None]).clamp(min=1e-3)


@pytest.mark.parametrize("predicts", ["velocity", "x1"])
def test_any_module_is_a_teacher(tmp_path: Path, predicts: str) -> None:
    """Of a flow to one point, a student whose weights hardly move is that point; the model itself is left alone."""
    model = Own(predicts)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    student = distill(model, tmp_path / "s", shape=(2,), predicts=predicts, learning_rate=1e-8, **FEW)
    drawn = student(6, seed=1)
    assert drawn.calls.tolist() == [1] * 6 and torch.allclose(drawn.x, model.point.detach().expand(6, 2), atol=1e-4)
    assert model.training and model.point.requires_grad and model.drop.p == 0.9
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    state = load_file(tmp_path / "s" / "state.safetensors")
    assert set(state) == {"point"} and torch.allclose(state["point"], model.point, atol=1e-4)
    again = load(tmp_path / "s", network=Own(predicts))
    assert torch.equal(again(6, seed=1).x, drawn.x)
    assert torch.equal(
        distill(model, tmp_path / "s", shape=(2,), predicts=predicts, learning_rate=1e-8, **FEW)(6, seed=1).x, drawn.x
    )
    with torch.no_grad():
        model.point += 1
    with pytest.raises(ValueError, match="teacher was"):
        distill(model, tmp_path / "s", shape=(2,), predicts=predicts, learning_rate=1e-8, **FEW)


def test_a_wrapped_model_is_a_teacher_of_its_own_convention(tmp_path: Path) -> None:
    """Time from 1000 at noise down to 0 at data."""
    forward = Own()

    class Descending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = forward

        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            return -self.inner(x, 1 - t / 1000)

    field = warmflow.wrap(Descending(), time="descending", scale=1000)
    student = distill(field, tmp_path / "s", shape=(2,), learning_rate=1e-8, **FEW)
    assert torch.allclose(student(4).x, forward.point.detach().expand(4, 2), atol=1e-4)


def test_models_that_cannot_be_teachers_are_named(tmp_path: Path) -> None:
    for make, says in (
        (lambda: distill(Own(), tmp_path / "n", **FEW), "shape is missing"),
        (lambda: distill(Own(), tmp_path / "n", shape=(2,), predicts="noise", **FEW), "predicts 'epsilon'"),
        (lambda: distill(Own(), tmp_path / "n", shape=(2,), predicts="epsilon", **FEW), "predicts 'epsilon'"),
        (
            lambda: distill(lambda x, t: x, tmp_path / "n", shape=(2,), **FEW),
            "the teacher is a function; give a run folder",
        ),
        (
            lambda: distill(warmflow.wrap(lambda x, t: x), tmp_path / "n", shape=(2,), **FEW),
            "network is a torch module",
        ),
        (lambda: distill(Own(), tmp_path / "n", shape=(2,), real=0.5, **FEW), "real is 0.5"),
    ):  # type: tuple[Callable[[], Any], str]
        with pytest.raises(ValueError, match=says):
            make()
    assert not (tmp_path / "n").exists()


def test_a_copy_has_the_weights_trainable_and_no_dropout() -> None:
    field = warmflow.wrap(Own())
    field.network.requires_grad_(False)  # type: ignore[attr-defined]
    made: Any = copied_field(field).network
    assert made is not field.network and torch.equal(made.point, field.network.point)  # type: ignore[attr-defined]
    assert made.drop.p == 0 and made.point.requires_grad
    sampler = warmflow.Sampler(warmflow.StandardNormal((2,)), field, warmflow.Euler(), 1)
    assert why_not_distilled(sampler) == ""
