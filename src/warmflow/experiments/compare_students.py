"""What a student is worth: beside the teacher it comes of, at the teacher's calls, and beside the teacher's reflow.

    folder/study.*, verdict.json    teacher, student and reflow measured; report.html

The report needs the recipe's data. ``distill`` is the whole of it: train the student, then say what it is worth.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

from warmflow.checkpoints import device_of, load, make_folder, read_json
from warmflow.contracts import Solver
from warmflow.evaluation.rows import GRID
from warmflow.evaluation.study import Role, Study, Training
from warmflow.experiments.compare import named
from warmflow.experiments.distill import digest_of, read_teacher, teacher_of, train_reflow, train_student
from warmflow.experiments.measure import FLOAT_SOLVERS, Trained
from warmflow.experiments.pipeline import Comparison, conclude, described
from warmflow.experiments.train_flows import read_asked, weights_of
from warmflow.problems.measures import real_data
from warmflow.recipes.settings import RECIPES, distillation_of
from warmflow.report import Report
from warmflow.sampler import Sampler, placed
from warmflow.solvers import Euler

ONE = (1,)
"""Numbers of calls that a student is measured at."""


def _pooled(
    student: Mapping[str, Any], teacher: Mapping[str, Any], first: Mapping[str, Any], its: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """What tells this student and its teacher from the first ones, but for their seeds: (name, this one's, the first one's)."""
    for name, ours, other in (("arm", teacher, its), ("updates", teacher, its)):
        if ours.get(name) != other.get(name):
            yield f"the teacher's {name}", ours.get(name), other.get(name)
    for what, ours, other in (("settings", teacher, its), ("distillation", student, first)):
        for name in sorted({*ours[what], *other[what]} - {"seed"}):
            if ours[what].get(name) != other[what].get(name):
                yield f"{what}.{name}", ours[what].get(name), other[what].get(name)


@dataclass(frozen=True)
class Solvers:
    """The teacher is measured with every solver; the student and the reflow make one step of Euler's."""

    def __call__(self, sampler: Sampler) -> Sequence[Solver]:
        return (Euler(),) if sampler.steps == 1 else FLOAT_SOLVERS


def compare_students(
    students: Sequence[Path],
    out: Path,
    *,
    config: bool = True,
    grid: Sequence[int] = GRID,
    progress: bool = True,
    device: str = "cpu",
    **given: Any,
) -> Report:
    """Students beside the teachers they come of, one pair a seed; reflows in the students' folders stand beside them.

    Raises:
        ValueError: a run that is no student, a teacher that is gone or was trained again, students of different data,
            other settings or of one seed, a recipe that is not named.
    """
    trained: list[Trained] = []
    plan = None
    seen: dict[int, Path] = {}
    first = read_asked(students[0])
    for run in students:
        asked = read_asked(run)
        if asked.get("arm") != "student":
            raise ValueError(
                f"{run} is a run of the arm {asked.get('arm')!r}: students are compared with their own teachers, leave it out"
            )
        for key in ("recipe", "data"):
            if asked.get(key) != first.get(key):
                raise ValueError(f"{students[0]} and {run} are of different {key}: compare students of one data set")
        theirs = teacher_of(run)
        teacher = read_teacher(theirs, **given)
        if asked.get("weights") != digest_of(teacher.field):
            raise ValueError(f"{theirs} was trained again since {run} was distilled from it: distil it again")
        again = seen.setdefault(teacher.seed, run)
        if again is not run:
            raise ValueError(f"{again} and {run} are both of seed {teacher.seed}: name one student of each teacher")
        for what, ours, other in _pooled(asked, read_asked(theirs), first, read_asked(teacher_of(students[0]))):
            raise ValueError(
                f"{students[0]} and {run} cannot be judged as one: {what} is {other!r} and {ours!r}; compare them apart"
            )
        plan = plan or teacher.plan()
        if plan is None:
            raise ValueError(f"{theirs} was trained on your own arrays, which its folder does not hold to compare with")
        found = placed(teacher.sampler, device)
        trained.append(Trained("teacher", Role.BASELINE, teacher.seed, found, _seconds(theirs), title="the teacher"))
        student = placed(load(run, **given), device)
        trained.append(Trained("student", Role.CANDIDATE, teacher.seed, student, _seconds(run), title="the student",
                               spent="distilling", grid=ONE))  # fmt: skip
        if (run / "reflow" / "model.json").exists():
            reflow = placed(load(run / "reflow", **given), device)
            trained.append(Trained("reflow", Role.SHOWN, teacher.seed, reflow, _seconds(run / "reflow"),
                                   title="the teacher's reflow", grid=ONE))  # fmt: skip
    assert plan is not None
    real, about = real_data(plan.data, plan.settings.samples)
    seeds = [t.seed for t in trained if t.name == "teacher"]
    make_folder(out)
    told = described(plan.data, real, about, seeds, device, **named(plan))
    if config:
        told |= {"warmflow": read_json(students[0] / "config.json")["warmflow"], "kind": "compare",
                 "asked": {"runs": [str(r) for r in students]}}  # fmt: skip
    else:
        told |= read_json(out / "config.json")
    comparison = Comparison(
        plan.data, plan.settings.samples, ("student",), trained, (), tuple(grid), training=Training.DISTILLED, solvers=Solvers(),
        weights=weights_of([*students, *(teacher_of(run) for run in students)]),
    )  # fmt: skip
    return conclude(comparison, out, told, real, progress=progress, beside=paid)


def _seconds(run: Path) -> float:
    """What a run's training took."""
    return float(read_json(run / "config.json")["training"]["seconds"])


def paid(study: Study) -> dict[str, Any]:
    """After how many samples distilling has paid for itself, by the teacher's calls: its seconds over those that one call of the
    student saves; None where it saves none."""
    seconds = {(t.method, t.steps): median(t.seconds) for t in study.times}
    cost, ours = study.method("student").bill["distilling"], seconds["student", 1]
    found: dict[str, int | None] = {}
    for calls, steps in sorted({(r.calls, r.steps) for r in study.rows_of("teacher")}):
        saved = seconds["teacher", steps] - ours
        found[f"{calls:g}"] = ceil(cost / saved) if saved > 0 else None
    return {"paid": found}


def distill(
    run: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    device: str = "cpu",
    reflow: bool = True,
    report: bool = True,
    progress: bool = True,
    echo: Callable[[str], None] | None = None,
    draft: Any = None,
    **settings: Any,
) -> Sampler:
    """Distils a finished run into one call; the folder is a run like any other, with a report beside its teacher.

    Args:
        run: the teacher's folder.
        reflow: train the teacher's reflow as well, to stand beside the student at one call.
        report: measure both (needs the recipe's data; runs on your own arrays have none).
        draft: your own draft model again, where the run was made with one.
        settings: those of ``recipes.settings.Distillation``: alpha, online_updates, updates, batch, ...

    Returns:
        The student: ``distill(run, out)(64, seed=0).x``. Of several processes the first; the others get the teacher.

    Raises:
        ValueError: bad input, named with its remedy.
    """
    where, given = Path(out), {} if draft is None else {"draft": draft}
    s = distillation_of(**settings)
    device_of(device)
    say = echo or (lambda text: None)
    teacher = train_student(Path(run), where, s, device=device, progress="distilling" if progress else None, **given)
    if int(os.environ.get("RANK", "0")) != 0:
        return teacher.sampler  # one process writes and measures
    facts = read_json(where / "config.json")["training"]
    if "warning" in facts:
        say(f"warning: {facts['warning']}")
    if report and str(teacher.asked["recipe"]) in RECIPES:
        if reflow and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            say("the reflow is left out with several processes; run the same command on one for it")
        elif reflow:
            train_reflow(teacher, where, s, progress="reflow" if progress else None, **given)
        found = compare_students([where], where, config=False, progress=progress, device=device, **given)
        say(found.verdict.claim)
    return placed(load(where, **given), device)
