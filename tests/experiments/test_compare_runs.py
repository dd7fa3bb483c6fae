"""Finished runs in one report: which of them may be compared follows from what they were asked; errors name both runs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from small_runs import COLD, MOONS, SAMPLES, TINY, WARM, calls, copied, everything, facts_of, quiet, roles, trained

from warmflow.evaluation import real
from warmflow.evaluation.evaluate import Evaluation
from warmflow.evaluation.record import read_study, save_row, verdict_json
from warmflow.experiments import measure
from warmflow.experiments.comparable_runs import pools_of, with_teachers
from warmflow.experiments.compare_runs import compare_runs, paid_by
from warmflow.experiments.distill import distill
from warmflow.experiments.saved_runs import read_run
from warmflow.experiments.train import train_run
from warmflow.methods.cold import Cold
from warmflow.methods.learned_prior import LearnedPrior
from warmflow.methods.reflow import Reflow
from warmflow.options import changed
from warmflow.problems import problem_of

FEW: dict[str, Any] = {"updates": 4, "batch": 32, "progress": False, "report": False}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        trained(root / f"warm{seed}", WARM, seed)
        trained(root / f"cold{seed}", COLD, seed)
        distill(root / f"cold{seed}", root / f"student{seed}", **FEW)
    distill(root / "warm0", root / "warm_student0", **FEW)
    return root


@pytest.fixture(autouse=True)
def few_resamplings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals are not tested here."""
    monkeypatch.setattr(real, "RESAMPLES", 20)


def judged(out: Path, *names: Path, **more: Any) -> dict[str, Any]:
    compare_runs(names, out, **{"calls": [1, 2], "samples": SAMPLES, "progress": False, **more})
    return facts_of(out)


def refused(*names: Path) -> str:
    """Why these runs cannot be compared."""
    out = names[0].parent / "never"
    with pytest.raises(ValueError) as error:
        compare_runs(names, out, progress=False)
    assert not out.exists()
    return str(error.value)


@pytest.mark.long
def test_warm_and_cold_runs_in_one_report(runs: Path, tmp_path: Path) -> None:
    names = [runs / name for name in ("warm0", "warm1", "cold0", "cold1")]
    before = everything(*names)
    facts = judged(tmp_path / "c", *names)
    assert everything(*names) == before, "runs are read only"
    assert roles(facts) == {"warm-start": "candidate", "cold": "baseline", "warm-start-start": "start"}
    assert calls(facts, "warm-start-start") == [0] and facts["seeds"] == [0, 1]
    for name in ("warm-start", "cold"):  # a solver of two calls a step reaches one call only
        assert calls(facts, name) in ([1], [1, 2]), name
    assert set(facts["audit"]) == {"whole-set", "nearest-data", "nearest-draft", "independent"}
    bills = {c["name"]: c["bill"] for c in facts["curves"]}
    mean = sum(read_run(runs / f"warm{s}").spent["pairing"] for s in (0, 1)) / 2
    assert bills["warm-start"]["pairing"] == pytest.approx(mean) and set(bills["cold"]) == {"training"}
    assert "equal training, the cost of draft and pairing counted" in facts["candidates"]["warm-start"]["words"]["text"]
    again = json.loads(json.dumps(verdict_json(Evaluation.of(read_study(tmp_path / "c")))))
    assert facts["candidates"] == again["candidates"] and facts["curves"] == again["curves"]
    config = json.loads((tmp_path / "c" / "config.json").read_text())
    assert config["kind"] == "compare" and config["state"] == "complete"
    assert config["asked"] == {"runs": [str(n) for n in names], "calls": [1, 2]}
    assert (tmp_path / "c" / "report.html").exists() and not (tmp_path / "c" / "measured").exists()


@pytest.mark.long
def test_a_student_its_teacher_the_warm_flow_and_a_cold_one_in_one_report(runs: Path, tmp_path: Path) -> None:
    trained(tmp_path / "mini0", Cold(pairing="minibatch"))
    names = [*(runs / n for n in ("student0", "warm_student0", "warm0", "cold0")), tmp_path / "mini0"]
    facts = judged(tmp_path / "c", *names)
    assert roles(facts) == {
        "distilled-cold": "candidate", "distilled-warm-start": "candidate", "warm-start": "candidate", "cold": "baseline",
        "cold-minibatch": "baseline", "warm-start-start": "start",
    }  # fmt: skip
    assert calls(facts, "distilled-cold") == calls(facts, "distilled-warm-start") == [1]
    said = {name: found["words"]["text"] for name, found in facts["candidates"].items()}
    assert "equal training" in said["warm-start"] and "distilled from a trained flow" in said["distilled-warm-start"]
    assert set(facts["paid"]) == {f"{c:g}" for c in calls(facts, "cold")}, (
        "of the first student, against its own teacher"
    )


def test_students_alone_bring_their_teachers(runs: Path, tmp_path: Path) -> None:
    facts = judged(tmp_path / "c", runs / "student0", runs / "student1")
    assert roles(facts) == {"distilled-cold": "candidate", "cold": "baseline"} and facts["seeds"] == [0, 1]
    text = facts["candidates"]["distilled-cold"]["words"]["text"]
    assert "two training seeds, distilled from a trained flow" in text and calls(facts, "distilled-cold") == [1]


def members(*names: Path) -> dict[str, str]:
    found = with_teachers(pools_of([read_run(name) for name in names]))
    return {m.name: str(m.role) for m in found}


def test_roles_follow_from_the_methods(runs: Path, tmp_path: Path) -> None:
    """A teacher is a baseline only where the runs have none."""
    warm, student = runs / "warm0", runs / "warm_student0"
    assert members(student, warm) == {"distilled-warm-start": "candidate", "warm-start": "baseline"}
    assert members(student) == {"distilled-warm-start": "candidate", "warm-start": "baseline"}
    assert members(student, warm, runs / "cold0") == {
        "distilled-warm-start": "candidate", "warm-start": "candidate", "cold": "baseline"
    }  # fmt: skip
    trained(tmp_path / "reflow", Reflow(teacher=COLD, rows=200))
    assert members(tmp_path / "reflow", runs / "cold0") == {"reflow-cold": "candidate", "cold": "baseline"}


def test_methods_of_one_label_under_the_same_seeds_stand_beside_each_other(runs: Path, tmp_path: Path) -> None:
    trained(tmp_path / "wide0", WARM, sigma=0.4)
    assert members(runs / "warm0", tmp_path / "wide0", runs / "cold0") == {
        "warm-start": "candidate", "warm-start-2": "candidate", "cold": "baseline"
    }  # fmt: skip
    trained(tmp_path / "wide1", WARM, 1, sigma=0.4)
    both = [runs / "warm0", runs / "warm1", tmp_path / "wide0", tmp_path / "wide1", runs / "cold0", runs / "cold1"]
    assert members(*both) == {"warm-start": "candidate", "warm-start-2": "candidate", "cold": "baseline"}
    said = refused(runs / "warm0", tmp_path / "wide1", runs / "cold0", runs / "cold1")
    assert said == (
        f"{runs / 'warm0'} and {tmp_path / 'wide1'} cannot be judged as one method: sigma is 0.1 and 0.4; compare them apart"
    )


def test_flows_of_unequal_training_are_named_with_both_runs_and_the_option(runs: Path, tmp_path: Path) -> None:
    changes: tuple[tuple[str, Any, Any], ...] = (
        ("updates", 10, 12), ("width", 16, 24), ("batch", 64, 32), ("dtype", "float32", "bfloat16"), ("heads", 4, 2),
        ("predicts", "x1", "velocity"), ("learning_rate", 0.002, 0.001),
    )  # fmt: skip
    for name, was, now in changes:
        other = trained(tmp_path / name, COLD, **{name: now})
        assert refused(runs / "warm0", other) == (
            f"{runs / 'warm0'} and {other} are trained unequally: {name} is {was!r} and {now!r}; compare runs of equal training"
        )


def test_flows_with_and_without_labels_are_of_unequal_training(tmp_path: Path) -> None:
    small = {"updates": 2, "batch": 16, "network": "mlp"}
    plain = trained(tmp_path / "plain", COLD, problem="digits", **small)
    labelled = trained(tmp_path / "labelled", COLD, problem="digits", conditional=True, **small)
    assert "are trained unequally: conditional is False and True" in refused(plain, labelled)


def test_runs_of_different_data_are_named(runs: Path, tmp_path: Path) -> None:
    other = trained(tmp_path / "other", COLD, problem=problem_of("moons", train=400, heldout=400, data_seed=5))
    said = refused(runs / "warm0", other)
    assert (
        said
        == f"{runs / 'warm0'} and {other} are of different problems: data_seed is 0 and 5; compare runs of one data set"
    )
    odd = copied(runs / "cold0", tmp_path / "odd", asked={**asked(runs / "cold0"), "data": "0123456789abcdef"})
    assert "are of different data" in refused(runs / "warm0", odd)
    both = [
        copied(runs / name, tmp_path / name, asked={**asked(runs / name), "data": "0123456789abcdef"})
        for name in ("warm0", "cold0")
    ]
    assert f"are not those that {both[0]} was trained on" in refused(*both)


def asked(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "config.json").read_text())["asked"])


def test_sets_of_runs_that_make_no_comparison_are_named(runs: Path, tmp_path: Path) -> None:
    assert "a comparison needs a candidate and a baseline: train the other" in refused(runs / "warm0", runs / "warm1")
    assert "a comparison needs a candidate and a baseline" in refused(runs / "cold0", runs / "cold1")
    said = refused(runs / "warm0", runs / "warm1", runs / "cold0")
    assert said == "the methods have different seeds: warm-start has [0, 1], cold has [0]; train the missing ones"
    twice = copied(runs / "cold0", tmp_path / "twice")
    said = refused(runs / "cold0", twice, runs / "warm0")
    assert f"{runs / 'cold0'} and {twice} are both cold, seed 0; name each method and seed once" in said
    started = copied(runs / "cold0", tmp_path / "started", ["model.json", "model.safetensors"], state="started")
    assert f"{started} is not finished" in refused(runs / "warm0", started)
    assert "not a run folder" in refused(runs / "warm0", runs / "nowhere")
    with pytest.raises(ValueError, match="there are no runs"):
        compare_runs([], tmp_path / "never")
    for wrong, says in (([0], "calls holds 0"), ([], "calls is empty"), ([1.5], "calls holds 1.5")):
        with pytest.raises(ValueError, match=says):
            compare_runs([runs / "warm0", runs / "cold0"], tmp_path / "never", calls=wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "never").exists()


def test_students_that_may_not_be_pooled_are_named(runs: Path, tmp_path: Path) -> None:
    half = tmp_path / "half1"
    distill(runs / "cold1", half, **FEW, alpha=0.5)
    said = refused(runs / "student0", half)
    assert said == (
        f"{runs / 'student0'} and {half} cannot be judged as one method: alpha is 1.0 and 0.5; compare them apart"
    )
    longer = trained(tmp_path / "longer1", COLD, 1, updates=12)
    distill(longer, tmp_path / "of_longer1", **FEW)
    said = refused(runs / "student0", tmp_path / "of_longer1")
    assert f"{tmp_path / 'of_longer1'} are trained unequally: updates is 10 and 12" in said
    warm1 = tmp_path / "warm_student1"
    distill(runs / "warm1", warm1, **FEW)
    said = refused(runs / "student0", warm1)
    assert "distilled-cold has [0], distilled-warm-start has [1]" in said, "teachers of two methods are two methods"


def test_a_teacher_that_is_gone_or_was_trained_again_is_named(runs: Path, tmp_path: Path) -> None:
    teacher = copied(runs / "cold0", tmp_path / "t")
    distill(teacher, tmp_path / "s", **FEW)
    other = trained(tmp_path / "other", COLD, 7)
    teacher.rename(tmp_path / "gone")
    assert f"{tmp_path / 's'} is the student of {teacher}, which is not there" in refused(tmp_path / "s")
    assert members(tmp_path / "s", runs / "cold0") == {"distilled-cold": "candidate", "cold": "baseline"}, (
        "it is not needed"
    )
    other.rename(teacher)
    assert f"{teacher} was trained again since {tmp_path / 's'} was distilled from it: distil it again" in refused(
        tmp_path / "s"
    )


def test_a_student_in_a_comparison_finds_its_teacher_beside_it(runs: Path, tmp_path: Path) -> None:
    """As a comparison leaves them: seeds/SEED/METHOD, where nobody noted a path."""
    seed = tmp_path / "seeds" / "0"
    for name, run in (("cold", "cold0"), ("warm-start", "warm0"), ("distilled-cold", "student0")):
        copied(runs / run, seed / name)
    config = json.loads((seed / "distilled-cold" / "config.json").read_text())
    del config["teacher"]
    (seed / "distilled-cold" / "config.json").write_text(json.dumps(config))
    (found,) = [m for m in with_teachers(pools_of([read_run(seed / "distilled-cold")])) if m.name == "cold"]
    assert found.runs[0].folder == seed / "cold"


@pytest.mark.long
def test_learned_priors_start_from_their_prior(tmp_path: Path) -> None:
    small = LearnedPrior(auxiliary_updates=20, auxiliary_width=32, latent_updates=5, latent_width=16)
    prior, cold = trained(tmp_path / "p", small), trained(tmp_path / "c", COLD)
    facts = judged(tmp_path / "out", prior, cold, calls=[1])
    starts = {c["name"]: (c["role"], c["title"]) for c in facts["curves"]}
    assert starts["learned-prior-start"] == ("start", "the learned prior alone")
    bill = next(c["bill"] for c in facts["curves"] if c["name"] == "learned-prior")
    assert {"auxiliary model", "latent sampler", "training"} == set(bill)
    assert (
        "equal training of the flows, the cost of prior counted"
        in facts["candidates"]["learned-prior"]["words"]["text"]
    )


@pytest.mark.long
def test_runs_on_own_arrays_are_compared_with_their_data_given_again(tmp_path: Path) -> None:
    x = MOONS.load().train.x1
    for name, method in (("cold", COLD), ("warm", WARM)):
        train_run(x, changed(method, {"draft": "gaussian"}) if name == "warm" else method, tmp_path / name,
                  progress=False, echo=quiet, **TINY)  # fmt: skip
    with pytest.raises(ValueError, match=re.escape("arrays that its folder does not hold")):
        compare_runs([tmp_path / "cold", tmp_path / "warm"], tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
    facts = judged(tmp_path / "out", tmp_path / "cold", tmp_path / "warm", calls=[1], problem=x)
    assert roles(facts)["warm-start"] == "candidate"


@pytest.mark.long
def test_a_draft_of_your_own_is_given_again(tmp_path: Path) -> None:
    import torch

    from warmflow.drafts import Own

    def draft(n: int, seed: int) -> torch.Tensor:
        return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))

    trained(tmp_path / "cold", COLD)
    trained(tmp_path / "warm", changed(WARM, {"draft": Own(samples=draft)}))
    with pytest.raises(ValueError, match="draft of your own: pass it again, draft="):
        compare_runs(
            [tmp_path / "cold", tmp_path / "warm"], tmp_path / "no", samples=SAMPLES, calls=[1], progress=False
        )
    facts = judged(tmp_path / "out", tmp_path / "cold", tmp_path / "warm", calls=[1], draft=draft)
    assert "given this draft" in facts["candidates"]["warm-start"]["words"]["text"]


def count_rows(monkeypatch: pytest.MonkeyPatch, stop_after: int = -1) -> list[str]:
    """The rows that are measured from now on, by name; Ctrl-C after so many of them."""
    found: list[str] = []

    def keep(folder: Path, row: Any) -> None:
        save_row(folder, row)
        found.append(f"{row.method} {row.steps} {row.seed}")
        if len(found) == stop_after:
            raise KeyboardInterrupt

    monkeypatch.setattr(measure, "save_row", keep)
    return found


@pytest.mark.long
def test_rows_of_other_runs_are_not_taken_for_these(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comparison that is cut off leaves its rows; other runs into the same folder are measured anew, the same ones are not."""
    warm = copied(runs / "warm0", tmp_path / "warm0")
    rows = count_rows(monkeypatch, stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        judged(tmp_path / "c", runs / "cold0", warm)
    assert len(rows) == len(list((tmp_path / "c" / "measured").glob("*/*/row.json"))) == 2
    shutil.copytree(tmp_path / "c", tmp_path / "d")
    rows = count_rows(monkeypatch)
    facts = judged(tmp_path / "c", runs / "cold0", warm)
    assert len(rows) == sum(len(calls(facts, name)) for name in roles(facts)) - 2
    shutil.copy(runs / "warm0" / "raw.safetensors", warm / "model.safetensors")  # other weights
    rows = count_rows(monkeypatch)
    facts = judged(tmp_path / "d", runs / "cold0", warm)
    assert len(rows) == sum(len(calls(facts, name)) for name in roles(facts))


def test_nothing_is_paid_back_where_the_teacher_is_not_measured(runs: Path) -> None:
    found = with_teachers(pools_of([read_run(runs / n) for n in ("warm_student0", "cold0")]))
    assert [m.name for m in found] == ["distilled-warm-start", "cold"]
    assert paid_by(found)(None) == {}  # type: ignore[arg-type]
