"""Which finished runs may be compared: one problem, the same data, and equal training of all flows, as their folders tell.

Runs of one method under several training seeds are pooled if all their options are equal. A student needs a flow to be compared
with: if no baseline is among the runs, the teachers of the students are added as the baseline, and a reflow in a student's folder
is shown beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from warmflow.evaluation.study import Role
from warmflow.experiments.saved_runs import SavedRun, digest_of, read_run, teacher_of
from warmflow.methods.base import Method
from warmflow.methods.distillation import ONE
from warmflow.printing import in_brief
from warmflow.setup import Setup


@dataclass(frozen=True, eq=False)
class Pool:
    """The runs of one method, one for each training seed, under the method's name in the study."""

    name: str
    role: Role
    runs: tuple[SavedRun, ...]

    @property
    def method(self) -> Method:
        return self.runs[0].method

    @property
    def seeds(self) -> list[int]:
        return sorted(run.seed for run in self.runs)

    @property
    def student(self) -> bool:
        """Whether it is of one call."""
        return self.method.grid() == ONE


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
        raise ValueError(
            f"{a.folder} and {b.folder} {why}: {in_brief(name or key)} is {in_brief(repr(ours))} and "
            f"{in_brief(repr(theirs))}; {remedy}"
        )


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
                f"{first.folder} and {run.folder} are of different data: {in_brief(repr(first.asked['data']))} and "
                f"{in_brief(repr(run.asked['data']))}; compare runs of one data set"
            )


def pools_of(runs: Sequence[SavedRun]) -> list[Pool]:
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
    pools: list[Pool] = []
    for group in groups:
        label, taken = group[0].method.label, {m.name for m in pools}
        name = next(n for n in (label, *(f"{label}-{i}" for i in range(2, 99))) if n not in taken)
        pools.append(Pool(name, group[0].method.role, tuple(group)))
    if any(m.seeds != pools[0].seeds for m in pools):
        have = ", ".join(f"{m.name} has {m.seeds}" for m in pools)
        raise ValueError(f"the methods have different seeds: {have}; train the missing ones")
    return pools


def with_teachers(members: Sequence[Pool], draft: object = None) -> list[Pool]:
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


def setup_of(pools: Sequence[Pool], problem: object = None) -> Setup:
    """The problem of these runs made ready; ``problem`` gives it again, where the runs were trained on the user's own arrays.

    Raises:
        ValueError: data that are not those of every run.
    """
    runs = [run for pool in pools for run in pool.runs]
    setup = runs[0].setup(problem)
    for run in runs[1:]:
        run.check_data(setup)
    return setup


def _with_teacher(members: Sequence[Pool], student: Pool, draft: object) -> list[Pool]:
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
    found = [replace(m, role=Role.BASELINE) if m is given else m for m in members]
    if given is None:
        found.append(Pool(teachers[0].method.label, Role.BASELINE, tuple(teachers)))
    reflows = [run.folder / "reflow" for run in student.runs]
    if all((path / "model.json").exists() for path in reflows):
        runs = tuple(read_run(path, draft) for path in reflows)
        if not any(m.name == runs[0].method.label for m in found):
            found.append(Pool(runs[0].method.label, Role.SHOWN, runs))
    return found


def read_teacher(student: SavedRun, draft: object = None) -> SavedRun:
    """The run that a student was distilled from.

    Raises:
        ValueError: it is gone, or was trained again since.
    """
    teacher = read_run(teacher_of(student.folder), draft)
    if "teacher" not in student.asked:
        raise ValueError(f"{student.folder / 'config.json'} does not say what it was distilled from: distil it again")
    if digest_of(teacher.sampler()) != student.asked["teacher"]:
        raise ValueError(
            f"{teacher.folder} was trained again since {student.folder} was distilled from it: distil it again"
        )
    return teacher
