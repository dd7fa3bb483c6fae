"""What a student is worth: beside the teacher it comes of, at the teacher's calls, and beside the teacher's reflow.

    folder/rows.*, verdict.json    teacher, student and reflow measured; report.html

The report needs the recipe's data. ``distill`` is the whole of it: train the student, then say what it is worth.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from warmflow.arms import read_asked
from warmflow.checkpoints import device_of, load, make_folder, read_json, write_json, write_tensors
from warmflow.comparison import described
from warmflow.contracts import Solver
from warmflow.distilling import digest_of, read_teacher, teacher_of, train_reflow, train_student
from warmflow.measuring import Entry, measured, save_rows
from warmflow.noise import Noise
from warmflow.recipes.flows import ADAMS_STEPS, EULER_STEPS, HEUN_STEPS
from warmflow.recipes.measures import ruler_for
from warmflow.recipes.plan import Plan
from warmflow.recipes.settings import RECIPES, distillation_of
from warmflow.report import Report
from warmflow.sampler import Sampler, placed
from warmflow.solvers import AdamsBashforth, Euler, Heun
from warmflow.verdict import judge

TEACHER_STEPS = EULER_STEPS
"""Euler steps of the teacher; Heun is walked as for any cold flow, so that a factor is against its best and not a coarse grid."""
NAMES = ("the student", "the teacher")


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


def _walks(entry: Entry) -> list[tuple[Solver, int]]:
    if entry.kind != "cold":
        return [(Euler(), 1)]
    walks: list[tuple[Solver, int]] = [(Euler(), k) for k in TEACHER_STEPS]
    walks += [(Heun(), k) for k in HEUN_STEPS]
    walks += [(AdamsBashforth(), k) for k in ADAMS_STEPS]
    return walks


def compare_students(
    students: Sequence[Path],
    out: Path,
    *,
    config: bool = True,
    progress: bool = True,
    device: str = "cpu",
    **given: Any,
) -> Report:
    """Students beside the teachers they come of, one pair a seed; reflows in the students' folders stand beside them.

    Raises:
        ValueError: a run that is no student, a teacher that is gone or was trained again, students of different data,
            other settings or of one seed, a recipe that is not named.
    """
    entries, seconds, reflows, plan = [], [], [], None
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
        spent = float(read_json(run / "config.json")["training"]["seconds"])
        seconds.append(spent)
        entries.append(Entry("teacher", "cold", teacher.seed, placed(teacher.sampler, device), 0.0))
        entries.append(Entry("student", "warm", teacher.seed, placed(load(run, **given), device), spent))
        if (run / "reflow" / "model.json").exists():
            entries.append(Entry("reflow", "beside", teacher.seed, placed(load(run / "reflow", **given), device), 0.0))
            reflows.append(float(read_json(run / "reflow" / "config.json")["training"]["seconds"]))
    assert plan is not None
    ruler, about = ruler_for(plan.data, plan.settings.samples)
    seeds = [e.seed for e in entries if e.kind == "cold"]
    rows = list(measured(plan, ruler, entries, (), (1,), progress, walks=_walks))
    make_folder(out)
    save_rows(out, rows)
    bill = {"distilling": sum(seconds) / len(seconds)}
    verdict = judge(ruler, rows, trained="distilled", bill=bill, names=NAMES, ratios=plan.flow.ratios)
    facts = verdict.to_json()
    if reflows:
        facts["bill"]["reflow"] = sum(reflows) / len(reflows)
    facts["paid"] = _paid(facts["rows"], bill["distilling"])
    if config:
        found = {"warmflow": read_json(students[0] / "config.json")["warmflow"], "kind": "compare", "state": "complete",
                 "asked": {"runs": [str(r) for r in students]}}  # fmt: skip
        write_json(out / "config.json", {**found, **described(plan, ruler, about, seeds, device)})
    else:
        kept = read_json(out / "config.json")
        write_json(out / "config.json", {**described(plan, ruler, about, seeds, device), **kept})
    write_tensors(out / "pictures.safetensors", _pictures(plan, entries))
    write_json(out / "verdict.json", facts)
    report = Report.read(out)
    report.save(out)
    return report


def _paid(rows: Sequence[dict[str, Any]], seconds: float) -> dict[str, int | None]:
    """After how many samples distilling has paid, against the teacher at each number of steps; None where never."""
    spent = {(r["arm"], r["steps"]): r["seconds"] for r in rows if r["solver"] == "Euler"}
    saved = {str(k): spent["teacher", k] - spent["student", 1] for k in TEACHER_STEPS}
    return {k: math.ceil(seconds / v) if v > 0 else None for k, v in saved.items()}


def _pictures(plan: Plan, entries: Sequence[Entry]) -> dict[str, Tensor]:
    """Samples from the same starts: the teacher's at 1 and 50 steps, the student's and the reflow's at one."""
    n = min(64 if plan.data.kind == "images" else 1000, len(plan.data.heldout))
    seed, out = entries[0].seed, {"real": plan.data.heldout.x1[:n]}
    for e in entries:
        if e.seed == seed:
            start = e.sampler.source.draw(n, noise=Noise.of(seed, n).fold("source"))
            if "draft" in start.condition:
                out["draft"] = plan.clip(start.condition["draft"])
            for k in (1, 50) if e.kind == "cold" else (1,):
                out[f"{e.arm}.{k}"] = e.sampler(n, seed=seed, steps=k).x
    return {k: v.cpu().float().contiguous() for k, v in out.items()}


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
