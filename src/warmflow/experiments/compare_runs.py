"""Finished runs of one problem, judged in one report: flows, students and their teachers.

Runs can be compared if, by the options in their folders, they have one problem, the same data, and equal training of all flows.
Runs of one method under several training seeds are pooled if all their options are equal. A student needs a flow to be compared
with: if no baseline is among the runs, the teachers of the students are added as the baseline, and a reflow in a student's
folder is shown beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from warmflow.checkpoints import device_of, make_folder, read_json, write_json
from warmflow.evaluation.rows import GRID, Entry
from warmflow.evaluation.study import Role, Study
from warmflow.experiments.compare import whole
from warmflow.experiments.measure import Trained, alone, mean_bill
from warmflow.experiments.pair_audits import audits
from warmflow.experiments.pipeline import Comparison, conclude, described, say
from warmflow.experiments.saved_runs import SavedRun, digest_of, digest_of_runs, read_run, teacher_of
from warmflow.methods.base import Start
from warmflow.methods.distillation import Distillation
from warmflow.methods.parts import Parts
from warmflow.options import plain
from warmflow.problems import PROBLEMS
from warmflow.problems.measures import real_data
from warmflow.report import Report
from warmflow.sampler import Sampler
from warmflow.setup import Setup
from warmflow.solvers import Euler
from warmflow.sources import Blurred, Conditioned, Labelled, LearnedPrior, Shown

ONE = (1,)


@dataclass(frozen=True, eq=False)
class Member:
    """The runs of one method, one for each training seed.

    Args:
        name: its name in the study.
        shown_at: the numbers of calls it is measured at, with Euler's solver, where it is only shown.
    """

    name: str
    role: Role
    runs: tuple[SavedRun, ...]
    shown_at: tuple[int, ...] = ()

    @property
    def seeds(self) -> list[int]:
        return sorted(run.seed for run in self.runs)

    @property
    def student(self) -> bool:
        return isinstance(self.runs[0].method, Distillation)


# ---------------------------------------------------------------- which runs may be compared


def _first_difference(a: object, b: object) -> tuple[str, object, object] | None:
    """The first place at which two JSON values differ, with both values there; None where they are equal."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in sorted(a.keys() | b.keys(), key=lambda k: (k == "updates", k)):
            found = _first_difference(a.get(key), b.get(key))
            if found is not None:
                return (f"{key}.{found[0]}" if found[0] else key, *found[1:])
        return None
    return None if a == b else ("", a, b)


def _same(a: SavedRun, b: SavedRun, key: str, why: str, remedy: str) -> None:
    """Raises a ValueError that names both runs and the first option in which they differ."""
    found = _first_difference(a.asked.get(key), b.asked.get(key))
    if found is not None:
        name, ours, theirs = found
        raise ValueError(f"{a.folder} and {b.folder} {why}: {name or key} is {ours!r} and {theirs!r}; {remedy}")


def check_alike(runs: Sequence[SavedRun]) -> None:
    """Raises a ValueError unless these runs may be compared: the errors name both runs and the option in which they differ."""
    for run in runs:
        if not run.complete:
            raise ValueError(f"{run.folder} is not finished: run the same training command again to complete it")
    first = runs[0]
    for run in runs[1:]:
        _same(first, run, "problem", "are of different problems", "compare runs of one data set")
    flows = [run for run in runs if run.method.needs() is None]
    for run in flows[1:]:
        _same(flows[0], run, "training", "are trained unequally", "compare runs of equal training")
    for run in runs[1:]:
        if run.asked["data"] != first.asked["data"]:
            raise ValueError(
                f"{first.folder} and {run.folder} are of different data: {first.asked['data']!r} and "
                f"{run.asked['data']!r}; compare runs of one data set"
            )


def members_of(runs: Sequence[SavedRun]) -> list[Member]:
    """The runs by method. Methods of one label under the same seeds that differ in their options stand beside each other.

    Raises:
        ValueError: runs that may not be compared, a method and seed twice, a seed that a method lacks.
    """
    check_alike(runs)
    groups: list[list[SavedRun]] = []
    for run in runs:
        group = next((g for g in groups if g[0].asked["method"] == run.asked["method"]), None)
        if group is None:
            groups.append([run])
            continue
        twice = next((other for other in group if other.seed == run.seed), None)
        if twice is not None:
            raise ValueError(f"{twice.folder} and {run.folder} are both {run.method.label}, seed {run.seed}; "
                             "name each method and seed once")  # fmt: skip
        _same(group[0], run, "training", "are trained unequally", "compare runs of equal training")
        if ("begin" in group[0].asked) != ("begin" in run.asked):
            raise ValueError(f"{group[0].folder} and {run.folder} are trained unequally: one began with a cold run; "
                             "compare runs of equal training")  # fmt: skip
        group.append(run)
    every = {run.seed for run in runs}
    for i, group in enumerate(groups):
        for other in groups[:i]:
            if other[0].method.label == group[0].method.label and any(
                {r.seed for r in g} != every for g in (other, group)
            ):
                _same(other[0], group[0], "method", "cannot be judged as one method", "compare them apart")
    members: list[Member] = []
    for group in groups:
        label, taken = group[0].method.label, {m.name for m in members}
        name = next(n for n in (label, *(f"{label}-{i}" for i in range(2, 99))) if n not in taken)
        members.append(Member(name, group[0].method.role, tuple(group)))
    if any(m.seeds != members[0].seeds for m in members):
        have = ", ".join(f"{m.name} has {m.seeds}" for m in members)
        raise ValueError(f"the methods have different seeds: {have}; train the missing ones")
    return members


def with_teachers(members: Sequence[Member], draft: object = None) -> list[Member]:
    """The methods, with the teachers of students as the baseline where there is none, and their reflows.

    Raises:
        ValueError: no candidate or no baseline; a teacher that is gone or was trained again; teachers that differ.
    """
    found = list(members)
    if not any(m.role is Role.BASELINE for m in found):
        for student in [m for m in members if m.student]:
            found = _with_teacher(found, student, draft)
    if not any(m.role is Role.CANDIDATE for m in found) or not any(m.role is Role.BASELINE for m in found):
        raise ValueError(
            f"the runs hold the methods {', '.join(m.name for m in found)}; a comparison needs a candidate and a baseline: "
            "train the other"
        )
    return found


def _with_teacher(members: Sequence[Member], student: Member, draft: object) -> list[Member]:
    """The methods with a student's teacher as the baseline, and with its reflow where that was trained."""
    teachers = [read_teacher(run, draft) for run in student.runs]
    for teacher in teachers[1:]:
        for key, what in (
            ("training", "teachers that are trained unequally"),
            ("method", "teachers of different methods"),
        ):
            _same(teachers[0], teacher, key, f"are {what}", "compare their students apart")
    wanted = teachers[0].asked["method"]
    given = next((m for m in members if m.runs[0].asked["method"] == wanted), None)
    found = [Member(m.name, Role.BASELINE, m.runs) if m is given else m for m in members]
    if given is None:
        found.append(Member(teachers[0].method.label, Role.BASELINE, tuple(teachers)))
    reflows = [run.folder / "reflow" for run in student.runs]
    if all((path / "model.json").exists() for path in reflows):
        runs = tuple(read_run(path, draft) for path in reflows)
        if not any(m.name == runs[0].method.label for m in found):
            found.append(Member(runs[0].method.label, Role.SHOWN, runs, ONE))
    return found


def read_teacher(student: SavedRun, draft: object = None) -> SavedRun:
    """The run that a student was distilled from.

    Raises:
        ValueError: it is gone, or was trained again since.
    """
    teacher = read_run(teacher_of(student.folder), draft)
    if digest_of(teacher.sampler()) != student.asked["teacher"]:
        raise ValueError(
            f"{teacher.folder} was trained again since {student.folder} was distilled from it: distil it again"
        )
    return teacher


# ---------------------------------------------------------------- what they are measured as


def start_of(sampler: Sampler) -> Start | None:
    """What a flow starts from, before noise is added to it; None where that is noise."""
    source = sampler.source
    if isinstance(source, LearnedPrior):
        return Start(source, "the learned prior alone")
    if isinstance(source, Blurred | Shown):
        source = source.source
    inner = source.source if isinstance(source, Conditioned | Labelled) else source
    return None if inner.is_noise else Start(source, "the draft alone", draft=True)


def _trained(members: Sequence[Member], device: str) -> list[Trained]:
    """Every flow as it is measured."""
    found = []
    for member in members:
        for run in member.runs:
            method = run.method
            spent = "distilling" if member.student else "training"
            grid = member.shown_at or tuple(method.grid() or ())
            solvers = (Euler(),) if member.shown_at else tuple(method.solvers() or ())
            sampler = run.sampler(device)
            found.append(
                Trained(
                    member.name, member.role, run.seed, sampler, run.seconds, "", method.title, spent, grid, solvers
                )
            )
    return found


def _starts(setup: Setup, members: Sequence[Member], trained: Sequence[Trained]) -> list[Entry]:
    """What each candidate flow starts from, measured alone."""
    found = []
    for member in members:
        if member.role is not Role.CANDIDATE or member.runs[0].method.needs() is not None:
            continue
        starts = {t.seed: start_of(t.sampler) for t in trained if t.name == member.name}
        sources = {seed: start.source for seed, start in starts.items() if start is not None}
        first = starts[member.seeds[0]]
        if first is not None and len(sources) == len(starts):
            name = f"{member.name}-start"
            found.append(alone(setup.data.bounds, name, sources, member.name, first.title, first.draft))
    return found


def _bills(members: Sequence[Member]) -> dict[str, dict[str, float]]:
    """Mean one-off seconds by method, its own training apart."""
    return {member.name: mean_bill([run.spent for run in member.runs]) for member in members}


def _audit(setup: Setup, members: Sequence[Member]) -> Mapping[str, Mapping[str, object]]:
    """The audits of the pairings of the first candidate whose drafts and pairs were kept."""
    for member in members:
        run = member.runs[0]
        if member.role is Role.CANDIDATE and run.parts is not None:
            drafted = run.method.drafted(Parts(setup, run.seed, run.parts))
            if drafted is not None:
                return audits(setup, drafted)
    return {}


def paid_by(members: Sequence[Member]) -> Callable[[Study], Mapping[str, object]]:
    """Computes from a study after how many samples the first student's distillation has paid off, for each number of calls of
    the teacher: the seconds of distilling, divided by the seconds that the student saves per sample. The number is None if the
    student saves no time; the result is empty if no student is compared with its teacher."""
    by_method = [(m.runs[0].asked["method"], m) for m in members]
    both = [(m, t) for asked, m in by_method if m.student for theirs, t in by_method if theirs == asked["teacher"]]

    def beside(study: Study) -> Mapping[str, object]:
        if not both:
            return {}
        student, teacher = both[0]
        seconds = {(t.method, t.steps): median(t.seconds) for t in study.times}
        cost, ours = study.method(student.name).bill["distilling"], seconds[student.name, 1]
        found: dict[str, int | None] = {}
        for calls, steps in sorted({(r.calls, r.steps) for r in study.rows_of(teacher.name)}):
            saved = seconds[teacher.name, steps] - ours
            found[f"{calls:g}"] = math.ceil(cost / saved) if saved > 0 else None
        return {"paid": found}

    return beside


# ---------------------------------------------------------------- the report


def compare_runs(
    runs: Sequence[Path], out: Path, *, calls: Sequence[int] = GRID, samples: int | None = None, problem: object = None,
    draft: object = None, device: str = "cpu", progress: bool = True,
) -> Report:  # fmt: skip
    """Judges finished runs of one problem in one report.

    Args:
        runs: their folders; methods and training seeds are read from them.
        calls: the numbers of network calls at which flows are measured.
        samples: of each method and seed; by default the problem's.
        problem: the problem given again, where the runs were trained on your own arrays.
        draft: your own draft model given again, where runs were made with one.

    Raises:
        ValueError: runs that may not be compared, no candidate, no baseline, a seed that a method lacks.
    """
    device_of(device)
    if not runs:
        raise ValueError("there are no runs to compare: name their folders")
    calls = whole(calls)
    members = with_teachers(members_of([read_run(run, draft) for run in runs]), draft)
    setup = members[0].runs[0].setup(problem)
    make_folder(out)
    first = members[0].runs[0]
    told = {"warmflow": first.config["warmflow"], "kind": "compare", "state": "started",
            "asked": {"runs": [str(run) for run in runs], "calls": list(calls)}}  # fmt: skip
    return _judge(members, setup, out, told, whole(calls), samples, device, progress)


def judge_student(
    run: Path, *, calls: Sequence[int] = GRID, samples: int | None = None, problem: object = None, draft: object = None,
    device: str = "cpu", progress: bool = True,
) -> Report:  # fmt: skip
    """A student beside its teacher and its reflow; the report is written into the student's own folder."""
    members = with_teachers(members_of([read_run(run, draft)]), draft)
    setup = members[0].runs[0].setup(problem)
    return _judge(members, setup, run, read_json(run / "config.json"), whole(calls), samples, device, progress)


def _judge(
    members: Sequence[Member], setup: Setup, out: Path, config: Mapping[str, object], calls: tuple[int, ...],
    samples: int | None, device: str, progress: bool,
) -> Report:  # fmt: skip
    """Measures and judges these runs."""
    known = PROBLEMS[str(setup.asked["name"])]
    n = samples or known.samples
    say("making the real data ready", progress)
    real, facts = real_data(setup.data, n)
    seeds = members[0].seeds
    told = described(setup.data, real, facts, seeds, device, recipe=setup.name, settings=plain(setup.training))
    config = {**told, **config} if config["kind"] == "run" else {**config, **told}
    if config["kind"] == "compare":
        write_json(out / "config.json", config)
    trained = _trained(members, device)
    candidates = [m for m in members if m.role is Role.CANDIDATE]
    held = {m.name: (m.runs[0].method.trained, m.runs[0].method.counted) for m in candidates}
    first = candidates[0]
    start = next(start_of(t.sampler) for t in trained if t.name == first.name and t.seed == seeds[0])
    given = tuple(dict.fromkeys(part for m in candidates for part in m.runs[0].method.brings(setup)))
    comparison = Comparison(
        setup.data, n, tuple(m.name for m in candidates), trained, _starts(setup, members, trained), calls,
        training=held[first.name][0], counted=held[first.name][1], given=given, apart=held, bills=_bills(members),
        draft=start.source if start is not None and start.draft else None, audit=_audit(setup, members),
        weights=digest_of_runs([run.folder for m in members for run in m.runs]),
    )  # fmt: skip
    return conclude(comparison, out, config, real, progress=progress, beside=paid_by(members))
