"""``warmflow compare``: methods trained on a problem and judged, or finished runs judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from warmflow.checkpoints import device_of
from warmflow.command_line import Command, Given, Group, MaybeFloat, MaybeInt, Switch
from warmflow.commands import groups
from warmflow.commands.checks import (
    Device,
    Jobs,
    Out,
    Quiet,
    Threads,
    check_jobs,
    check_minutes,
    check_seeds,
    numbers,
    use_threads,
)
from warmflow.evaluation.rows import GRID
from warmflow.options import options
from warmflow.printing import tell

if TYPE_CHECKING:
    from warmflow.report import Report

SWITCHES = ("--convergence", "--dry-run")
SEEDS = 5
NOTHING: Mapping[str, object] = {"asked": None, "given": {}}
"""Where no problem was typed: no options of one."""
MORE = "warmflow compare PROBLEM --methods METHOD,METHOD --help shows the options of a problem and of methods."


AGAIN = "again"


@options
class Again:
    """What finished runs name, named again: it is needed for runs that somebody else has made."""

    data: str = ""
    """The data, as when they were trained on: folder:PATH, a file, or hf:NAME."""
    draft: str = ""
    """The drafts: a file or folder of drafts, or diffusers:PATH."""


def command(words: Sequence[str]) -> Command:
    """The command with the options of the problem and of the methods that were typed; none of them where runs were."""
    found = groups.words_of(words, SWITCHES)
    if not found:
        return Command(
            "compare", compare, bound=NOTHING, epilogue=f"{groups.catalogue()}\n\n{MORE}", unknown=groups.no_problem
        )
    if len(found) > 1 or is_run(found[0]):
        again = Group(AGAIN, Again, "", "What runs that somebody else has made are of")
        return Command(
            "compare", compare, [again], {"asked": None}, unknown=lambda flag: trained_already(flag, found[0])
        )
    asked = groups.Asked.of(found[0], words, "--methods")
    return Command(
        "compare",
        compare,
        asked.groups(),
        {"asked": asked},
        asked.epilogue(),
        asked.unknown,
        found[0],
    )


def is_run(word: str) -> bool:
    """Whether it is a folder that a command of ours has written."""
    return (Path(word) / "config.json").exists()


def trained_already(flag: str, run: str) -> str:
    """The error for an option of training when finished runs are compared; empty for any other flag."""
    if not groups.is_option(flag):
        return ""
    return f"{flag} changes the training, but {run} is already trained: leave {flag} out"


def compare(
    *what: str,
    asked: groups.Asked | None,
    given: Given,
    methods: Annotated[str | None, Parameter(help="The methods, with commas.  [default: warm-start]")] = None,
    calls: Annotated[
        str | None,
        Parameter(
            help="Numbers of network calls at which every method is measured, like 1,2,4,8; by default 14 from 1 to 50."
        ),
    ] = None,
    seeds: Annotated[MaybeInt, Parameter(help=f"Training seeds, 0 .. seeds - 1.  [default: {SEEDS}]")] = None,
    minutes: Annotated[MaybeFloat, Parameter(help="Time for all of it; the number of updates follows from it.")] = None,
    convergence: Annotated[
        Switch,
        Parameter(
            help="Also train the best cold flow twice as long, to see whether it has converged.", show_default=False
        ),
    ] = False,
    dry_run: Annotated[
        Switch,
        Parameter(help="Show what is trained and how long every stage takes, and write nothing.", show_default=False),
    ] = False,
    samples: Annotated[
        MaybeInt, Parameter(help="Samples of each method and training seed; by default the problem's.")
    ] = None,
    jobs: Jobs = None,
    out: Out = None,
    device: Device = "cpu",
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Train methods on a PROBLEM and judge them, or judge finished RUNS. WHAT is one problem, or several run folders.

    Cold flows that a fair comparison needs are trained too, and for a warm start the same method from noise.

    warmflow compare digits --out result
    warmflow compare digits --methods warm-start,learned-prior --out result
    warmflow compare digits --warm-start.draft gan --gan.updates 4000 --out result
    warmflow compare cifar10 --most 5000 --minutes 60 --out result
    warmflow compare folder:photos --size 32 --minutes 30 --out result
    warmflow compare data.npz --warm-start.draft drafts.npy --out result
    warmflow compare warm-0 warm-1 cold-0 cold-1 --out result
    """
    if not what:
        raise ValueError("WHAT is missing: name a problem, like digits, or run folders; see warmflow compare --help")
    grid = GRID if calls is None else numbers(calls, "calls")
    training = {
        "methods": methods, "seeds": seeds, "minutes": minutes, "convergence": convergence or None, "samples": samples
    }  # fmt: skip
    typed: dict[str, Any] = {name: value for name, value in training.items() if value is not None}
    check_seeds(SEEDS if seeds is None else seeds)
    check_minutes(minutes)
    processes = check_jobs(jobs)
    use_threads(threads)
    folder = out or Path("warmflow-compare")
    if asked is None:
        if dry_run:
            raise ValueError(f"--dry-run is about training, but {what[0]} is already trained: leave --dry-run out")
        report = runs_compared(what, folder, grid, typed, device, not quiet, given.get(AGAIN, {}))
    else:
        problem, chosen = asked.problem.problem(given), asked.make(given)  # validated before anything is read
        asked.training(given)
        from warmflow.experiments.compare import compare as train_and_judge
        from warmflow.experiments.compare import dry_run as show_plan

        limits = {name: value for name, value in typed.items() if name not in ("methods", "seeds")}
        limits |= {"calls": grid, "seeds": range(seeds or SEEDS), "device": device, "jobs": 1 if threads else processes}
        limits |= {"progress": not quiet, **given[groups.TRAINING]}
        if dry_run:
            show_plan(problem, chosen, **limits)
            return
        report = train_and_judge(problem, chosen, out=folder, **limits)
    tell(f"\n{report.verdict.claim}\n\nThe report: {folder / 'report.html'}")


def runs_compared(
    what: Sequence[str], out: Path, grid: Sequence[int], typed: dict[str, Any], device: str, progress: bool,
    again: Mapping[str, str],
) -> Report:  # fmt: skip
    """The report of finished runs; ``again`` names their data and drafts.

    Raises:
        ValueError: a word that is no run folder, or a flag that is about training.
    """
    for word in what:
        if not is_run(word):
            raise ValueError(f"{word} is not a run folder (it has no config.json); train it first")
    for name in typed:
        raise ValueError(f"--{name} changes the training, but {what[0]} is already trained: leave --{name} out")
    from warmflow.experiments.compare_runs import compare_runs

    device_of(device)
    problem, draft = again.get("data"), again.get("draft")
    return compare_runs(
        [Path(word) for word in what], out, calls=grid, problem=problem, draft=draft, device=device, progress=progress
    )
