"""Finished runs of one problem, judged in one report: flows, students and their teachers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from warmflow.checkpoints import device_of
from warmflow.evaluation.rows import GRID
from warmflow.evaluation.study import Study
from warmflow.experiments.comparable_runs import Pool, pools_of, setup_of, with_teachers
from warmflow.experiments.compare import whole
from warmflow.experiments.pipeline import conclude, described, rehearsed
from warmflow.experiments.saved_runs import digest_of_runs, read_run
from warmflow.experiments.trained_runs import TrainedRun, comparison_of
from warmflow.failures import explained
from warmflow.files import write_json
from warmflow.locks import locked
from warmflow.methods.base import Member
from warmflow.methods.parts import Parts, digest
from warmflow.number_checks import numbers_checked
from warmflow.options import plain
from warmflow.printing import say
from warmflow.problems import PROBLEMS
from warmflow.problems.measures import real_data
from warmflow.report import Report
from warmflow.run_config import read_config
from warmflow.setup import Setup


@explained("comparing", "--samples")
@numbers_checked
def compare_runs(
    runs: Sequence[Path], out: Path, *, calls: Sequence[int] = GRID, samples: int | None = None, problem: object = None,
    draft: object = None, device: str = "cpu", progress: bool = True,
) -> Report:  # fmt: skip
    """Judges finished runs of one problem in one report.

    Args:
        runs: their folders; methods and training seeds are read from them.
        calls: the numbers of network calls at which flows are measured.
        samples: of each method and seed; by default the problem's.
        problem: the problem given again, where the runs were trained on your own arrays; the path or name of their data,
            where somebody else has made them (what their folders name is not opened).
        draft: your own draft model given again, where runs were made with one; the path of drafts or "diffusers:PATH", where
            somebody else has made the runs.

    Raises:
        ValueError: runs that may not be compared, no candidate, no baseline, a seed that a method lacks.
    """
    device_of(device)
    if not runs:
        raise ValueError("there are no runs to compare: name their folders")
    calls = whole(calls)
    pools = with_teachers(pools_of([read_run(run, draft) for run in runs]), draft)
    setup = setup_of(pools, problem)
    first = pools[0].runs[0]
    told = {"warmflow": first.config["warmflow"], "kind": "compare", "state": "started",
            "asked": {"runs": [str(run) for run in runs], "calls": list(calls)}}  # fmt: skip
    with locked(out):
        return _judge(pools, setup, out, told, whole(calls), samples, device, progress)


@numbers_checked
def judge_student(
    run: Path, *, calls: Sequence[int] = GRID, samples: int | None = None, problem: object = None, draft: object = None,
    device: str = "cpu", progress: bool = True,
) -> Report:  # fmt: skip
    """A student beside its teacher and its reflow; the report is written into the student's own folder."""
    pools = with_teachers(pools_of([read_run(run, draft)]), draft)
    setup = setup_of(pools, problem)
    return _judge(pools, setup, run, read_config(run), whole(calls), samples, device, progress)


def _judge(
    pools: Sequence[Pool], setup: Setup, out: Path, config: Mapping[str, object], calls: tuple[int, ...],
    samples: int | None, device: str, progress: bool,
) -> Report:  # fmt: skip
    """Measures and judges these runs."""
    known = PROBLEMS[str(setup.asked["name"])]
    n = samples or known.samples
    say("making the real data ready", progress)
    real, facts = real_data(setup.data, n)
    told = described(setup.data, real, facts, pools[0].seeds, device, recipe=setup.name, settings=plain(setup.training))
    config = {**told, **config} if config["kind"] == "run" else {**config, **told}
    rehearsed(setup.data, config, out)
    if config["kind"] == "compare":
        write_json(out / "config.json", config)
    weights = digest_of_runs([run.folder for pool in pools for run in pool.runs])
    say("auditing the pairs", progress)
    comparison = comparison_of(
        setup, _trained(setup, pools, device), n, calls, weights=weights, progress=progress,
        audited=out / "measured" / f"audit-{digest({'weights': weights})}",
    )  # fmt: skip
    return conclude(comparison, out, config, real, progress=progress, beside=paid_by(pools))


def _trained(setup: Setup, pools: Sequence[Pool], device: str) -> list[TrainedRun]:
    """The runs as members of a comparison."""
    return [
        TrainedRun(
            Member(pool.name, run.method, pool.role), run.seed, run.sampler(device), run,
            None if run.parts is None else Parts(setup, run.seed, run.parts),
        )
        for pool in pools
        for run in pool.runs
    ]  # fmt: skip


def paid_by(pools: Sequence[Pool]) -> Callable[[Study], Mapping[str, object]]:
    """Computes from a study after how many samples the first student's distillation has paid off, for each number of calls of
    the teacher: the seconds of distilling, divided by the seconds that the student saves per sample. The number is None if the
    student saves no time; the result is empty if no student is compared with its teacher."""
    by_method = [(m.runs[0].asked["method"], m) for m in pools]
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
