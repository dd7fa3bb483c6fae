"""Methods compared on a problem, from data to report: prepare, train, measure, judge, report. Resumable at each step.

FOLDER/config.json            what was asked, and all that is fixed before anything is sampled
FOLDER/seeds/SEED/            what was made and trained under a training seed (``work``), and the audits of its pairs
FOLDER/study.*                every measured row (until all are there, in measured/)
FOLDER/verdict.json, pictures.safetensors, report.html
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from warmflow.checkpoints import device_of, open_run
from warmflow.data.labels import numbered
from warmflow.evaluation.evaluate import Evaluation
from warmflow.evaluation.real import RealData
from warmflow.evaluation.record import read_study, verdict_json
from warmflow.evaluation.rows import GRID, Choice
from warmflow.experiments.budget import FEWEST, Cost, Fitted, cost_of, fitted, in_rows, in_words
from warmflow.experiments.convergence import doubled
from warmflow.experiments.growth import extended, goes_on, longer
from warmflow.experiments.measure import forget, remember
from warmflow.experiments.members import in_memory, members_of, named
from warmflow.experiments.pipeline import conclude, described, rehearsed
from warmflow.experiments.run import data_print
from warmflow.experiments.trained_runs import comparison_of
from warmflow.experiments.trials import draft_distance, trial_of
from warmflow.experiments.work import Work, method_titles, prepare_all, seed_folder, train_all, warnings_of
from warmflow.failures import explained
from warmflow.files import Damaged, write_json
from warmflow.locks import locked
from warmflow.methods.base import Method, settled
from warmflow.methods.parts import digest
from warmflow.methods.warm_start import WarmStart
from warmflow.number_checks import is_number, is_whole, numbers_checked
from warmflow.options import changed, plain
from warmflow.printing import answer, say
from warmflow.problems import problem_of
from warmflow.problems.measures import real_data
from warmflow.report import Report
from warmflow.run_config import read_config
from warmflow.schemas import OBJECT, checked, read_as

SEEDS = (0, 1, 2, 3, 4)
_CHOICES = TypeAdapter(tuple[Choice, ...])
LEAST_SAMPLES = 200
"""Fewer samples tell no distribution from another."""


@dataclass(frozen=True)
class Asked:
    """How a comparison is made: training seeds, the grid of calls, what is measured and where it runs."""

    seeds: tuple[int, ...]
    calls: tuple[int, ...]
    samples: int
    minutes: float | None = None
    convergence: bool = False
    device: str = "cpu"
    jobs: int = 1
    progress: bool = True
    named: tuple[str, ...] = ()
    """The members that the user named; the others were added."""


@explained("comparing", "--width", "--batch", "--samples", "--jobs")
@numbers_checked
def compare(
    problem: object,
    methods: Sequence[Method] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    seeds: Sequence[int] = SEEDS,
    calls: Sequence[int] = GRID,
    samples: int | None = None,
    minutes: float | None = None,
    convergence: bool = False,
    device: str = "cpu",
    jobs: int = 1,
    progress: bool = True,
    **training: object,
) -> Report:
    """Trains methods on a problem at equal budget, measures them alike and judges them.

    Args:
        problem: a ``Problem``, the name of one ("digits"), "folder:PATH", "hf:NAME", the path of a file of arrays, or an array.
        methods: the methods; by default a warm start. Baselines of the same effort and the control are added.
        out: the folder of the comparison; the same call continues it. by default
            ``warmflow-PROBLEM-DIGEST``, one for each set of arguments, in the working directory.
        seeds: training seeds; with fewer than two, nothing is claimed.
        calls: the numbers of network calls at which every method is measured.
        samples: number of samples of each method and training seed; by default the problem's.
        minutes: the time for the whole comparison, from which the number of updates is computed; None takes the problem's number.
        convergence: also train the best baseline twice as long, to find out whether the claim holds at convergence.
        jobs: processes, one thread each.
        training: options of ``Training``: updates, batch, width, ...

    Returns:
        The report: ``.verdict.answer``, ``.figures``, ``.save(folder)``.

    Raises:
        ValueError: bad input, before anything is trained; the message names the argument and the remedy.
    """
    root = Path() if out is None else Path(out)
    work, how = _asked_for(
        problem, methods, root, seeds, calls, samples, minutes, convergence, device, jobs, progress, training
    )
    if out is None:
        setup = work.setup()
        work = replace(work, root=own_place(work, how))
        work.keep(setup)
        say(f"the result goes to {work.root}/")
    return run(work, how)


@explained("timing", "--width", "--batch", "--samples")
@numbers_checked
def dry_run(
    problem: object, methods: Sequence[Method] | None = None, *, seeds: Sequence[int] = SEEDS, calls: Sequence[int] = GRID,
    samples: int | None = None, minutes: float | None = None, convergence: bool = False, device: str = "cpu", jobs: int = 1,
    progress: bool = True, echo: Callable[[str], None] = answer, **training: object,
) -> dict[str, float]:  # fmt: skip
    """Tells what ``compare`` would train, and the minutes that every stage would take; nothing is written.

    Args:
        echo: called with the text.
        problem, methods, seeds, calls, samples, minutes, convergence, device, jobs, progress, training: as in ``compare``.

    Returns:
        Seconds by stage.

    Raises:
        ValueError: as ``compare``; minutes that are too short.
    """
    began = time.monotonic()
    work, how = _asked_for(
        problem, methods, Path(), seeds, calls, samples, minutes, convergence, device, jobs, progress, training
    )
    setup, told = work.setup(), method_titles(work.members)
    real, _ = real_data(setup.data, how.samples)
    cost = _timed(work, how, real, began)
    fit = _fit(work, how, cost)
    stages = cost.stages(fit.updates, len(how.seeds), how.jobs, fit.samples / how.samples)
    echo(
        f"{setup.name}: {len(setup.data.train)} rows for training, {len(setup.data.heldout)} held out\n"
        f"{len(work.trained)} methods under {len(how.seeds)} training seeds, {fit.updates} updates of each flow, "
        f"{fit.samples} samples of each method and seed\n\n"
        + "\n".join(f"{m.name:24s}{m.role.value:12s}{told[m.name]}" for m in work.members)
        + f"\n\n{in_rows(stages)}"
    )
    return stages


def _asked_for(
    problem: object, methods: Sequence[Method] | None, root: Path, seeds: Sequence[int], calls: Sequence[int],
    samples: int | None, minutes: float | None, convergence: bool, device: str, jobs: int, progress: bool,
    training: Mapping[str, object],
) -> tuple[Work, Asked]:  # fmt: skip
    """The arguments of ``compare``, checked, with the methods that a fair comparison needs."""
    asked = problem_of(problem)
    how = Asked(
        _seeds(seeds), whole(calls), _samples(asked.samples if samples is None else samples), _minutes(minutes), convergence,
        device, _positive("jobs", jobs) if device == "cpu" else 1, progress,
    )  # fmt: skip
    device_of(device)
    setup = asked.setup(**training)
    wanted = list(methods or [WarmStart()])
    members = tuple(members_of(setup, wanted))
    how = replace(how, named=named(members, [settled(method, setup) for method in wanted]))
    for warning in in_memory(setup, members).data.warnings:
        say(f"warning: {warning}", True)
    if setup.training.conditional:
        say(f"labels: {numbered(setup.data.classes)}", how.progress)
    work = Work(asked, setup.training, members, root, device)
    work.keep(setup)
    return work, how


def own_place(work: Work, how: Asked) -> Path:
    """The folder of a comparison for which none is named."""
    name = re.sub(r"[^\w.-]+", "-", work.setup().name).strip("-.")[-40:]
    return Path(f"warmflow-{name}-{digest(_asked(work, how))[:6]}")


def run(work: Work, how: Asked) -> Report:
    """The comparison in its folder, from where it was cut off; see ``compare``."""
    with locked(work.root):
        return _run(work, how)


def _run(work: Work, how: Asked) -> Report:
    work, began = _going_on(work, how), time.monotonic()
    setup, root, members = work.setup(), work.root, work.members
    asked, config = _asked(work, how), {}
    if (root / "config.json").exists():
        config = open_run(root, asked, goes_on)
        how = replace(how, samples=config.get("samples", how.samples))  # those that fit the minutes
    say("making the real data ready", how.progress)
    real, facts = real_data(setup.data, how.samples)
    same = config.get("measured") == json.loads(json.dumps(real.fixed)) and (root / "study.json").exists()
    if config.get("state") == "complete" and same:
        try:
            return judged_again(root)
        except Damaged as error:
            say(f"warning: {str(error).partition(': delete')[0]}: everything is measured again", True)
            same = False
    if not same:
        (root / "study.json").unlink(missing_ok=True)  # it is of other data
    if same and work.training.restarts is None:  # more seeds: the rows of the others are known
        remember(root, read_study(root), real, how.samples)
    cost = None
    if (how.progress and not config) or (how.minutes is not None and "updates" not in config):
        cost, how = _estimated(work, how, real, began)
        real, facts = (real, facts) if real.samples == how.samples else real_data(setup.data, how.samples)
    config = config or open_run(root, asked)
    told = described(
        setup.data, real, facts, how.seeds, work.device, recipe=setup.name, settings=plain(work.training),
        methods_described=method_titles(members), methods_given=list(how.named),
    )  # fmt: skip
    rehearsed(setup.data, {**config, **told}, root)
    trial = trial_of(work, min(how.seeds), real)
    if trial is not None and trial.warning:
        say(f"warning: {trial.warning}", True)
    say("making the drafts and pairs of each training seed", how.progress)
    prepare_all(work, how.seeds, jobs=how.jobs, progress=how.progress)
    about, warnings = warnings_of(work, min(how.seeds))
    draft = None if trial is None else draft_distance(work, min(how.seeds), real)
    if trial is not None and draft is not None and (warning := trial.beside(draft)):
        warnings.append(warning)
    if how.minutes is not None:
        work = replace(work, training=changed(work.training, {"updates": _updates(work, how, config, cost)}))
    for warning in dict.fromkeys(warnings):
        say(f"warning: {warning}", True)
    config |= {
        **told,
        "facts": {**facts, "parts": about},
        "settings": plain(work.training),
        "updates": work.training.updates,
        "samples": how.samples,
    }
    write_json(root / "config.json", {**config, "state": "started"})
    say(f"training {len(members)} methods under {len(how.seeds)} seeds", how.progress)
    train_all(work, how.seeds, jobs=how.jobs, progress=how.progress)
    say("auditing the pairs", how.progress)
    comparison = comparison_of(
        work.setup(), work.runs(how.seeds), how.samples, how.calls, jobs=how.jobs, weights=work.training.restarts or "",
        audited=seed_folder(root, min(how.seeds)) / "audit", progress=how.progress,
    )  # fmt: skip
    longer = partial(doubled, work, comparison, real=real, seeds=how.seeds, jobs=how.jobs, progress=how.progress)
    doubling = longer if how.convergence else None
    return conclude(comparison, root, config, real, progress=how.progress, doubled=doubling)


def _estimated(work: Work, how: Asked, real: RealData, began: float) -> tuple[Cost, Asked]:
    """What the comparison takes, told in a line, and the comparison with the samples that fit into its minutes.

    Raises:
        ValueError: minutes that are too short.
    """
    cost, seeds = _timed(work, how, real, began), len(how.seeds)
    fit = _fit(work, how, cost)
    share = fit.samples / how.samples
    told = in_words(cost.stages(fit.updates, seeds, how.jobs, share))
    if how.minutes is None:
        say(f"this takes {told}", how.progress)
        return cost, how
    fewer = (
        ""
        if fit.samples == how.samples
        else f", with {fit.samples} samples of each method and seed in place of {how.samples}"
    )
    say(f"{fit.updates} updates of each flow fit into {how.minutes:g} minutes{fewer}: {told}")
    return replace(cost, row=cost.row * share, choice=cost.choice * share), replace(how, samples=fit.samples)


def _timed(work: Work, how: Asked, real: RealData, began: float) -> Cost:
    """The seconds of every stage, from a small part of each; ``began`` is when the data began to be read."""
    say("timing a small part of every stage", how.progress)
    cost = cost_of(work, real, how.seeds[0], how.calls, how.samples, how.jobs, how.convergence, how.progress)
    return replace(cost, before=time.monotonic() - began)


def _fit(work: Work, how: Asked, cost: Cost) -> Fitted:
    """The updates and samples that fit into the minutes; those that are asked for where no minutes are."""
    if how.minutes is None:
        return Fitted(work.training.updates, how.samples)
    return fitted(cost, how.minutes, len(how.seeds), how.samples, how.jobs)


def _updates(work: Work, how: Asked, config: Mapping[str, Any], cost: Cost | None) -> int:
    """The updates of each flow that fit into the minutes, now that the drafts and pairs are made and their time is known."""
    if cost is None or how.minutes is None:
        return int(config["updates"])
    spent = [sum(work.parts(seed).seconds().values()) for seed in how.seeds]
    known = replace(cost, parts=max(spent))
    return max(FEWEST, known.updates_in(60 * how.minutes, len(how.seeds), how.jobs))


def _going_on(work: Work, how: Asked) -> Work:
    """The comparison, where its folder holds it with fewer updates as what goes on from these.

    Raises:
        ValueError: a member that is made from another one's trained flow.
    """
    training = work.training if how.minutes is not None else extended(work.training, work.root, _asked(work, how))
    if training == work.training:
        return work
    later = next((m.name for m in work.members if m.method.needs() is not None), None)
    if later is not None:
        raise ValueError(
            f"{work.root} holds {later}, which was made from a flow of {training.ends[-2]} updates and cannot go on with it: "
            "choose another --out"
        )
    if read_config(work.root)["asked"]["training"]["updates"] != training.updates:
        say(longer(work.root, training), how.progress)
    more = replace(work, training=training)
    more.keep(replace(work.setup(), training=training))
    return more


def _asked(work: Work, how: Asked) -> dict[str, object]:
    """What config.json says was asked."""
    setup = work.setup()
    files = {f"{m.name}'s {what}": digest for m in work.members for what, digest in m.method.files(setup).items()}
    return {
        "kind": "compare", "problem": dict(setup.asked), "training": plain(work.training), "data": data_print(setup),
        "methods": {m.name: m.method.asked() for m in work.members}, "calls": list(how.calls), "seeds": list(how.seeds),
        "samples": how.samples, "minutes": how.minutes, "convergence": how.convergence, "device": work.device,
        **files,
    }  # fmt: skip


def judged_again(root: Path) -> Report:
    """A finished comparison judged again from its study: nothing is sampled."""
    path, study = root / "verdict.json", read_study(root)
    kept = read_as(OBJECT, path)
    choices = checked(_CHOICES, kept.get("choices", []), path)
    write_json(path, {**kept, **verdict_json(Evaluation.of(study, choices))})
    report = Report.read(root)
    report.save(root)
    forget(root)  # where the process was killed just before that
    return report


# ---------------------------------------------------------------- arguments


def whole(calls: Sequence[int]) -> tuple[int, ...]:
    """Numbers of calls, checked, rising."""
    if not calls:
        raise ValueError("calls is empty; give the numbers of calls to measure every method at, like 1, 2, 4, 8")
    for k in calls:
        if not is_whole(k):
            raise ValueError(f"calls holds {k!r}; each is a whole number of at least 1")
    return tuple(sorted(set(calls)))


def _samples(samples: int) -> int:
    if _positive("samples", samples) < LEAST_SAMPLES:
        raise ValueError(f"samples is {samples}; it must be at least {LEAST_SAMPLES}")
    return samples


def _seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    if not seeds:
        raise ValueError("seeds is empty; give at least one training seed")
    return tuple(dict.fromkeys(seeds))


def _positive(name: str, value: int) -> int:
    if not is_whole(value):
        raise ValueError(f"{name} is {value!r}; it is a whole number of at least 1")
    return value


def _minutes(minutes: float | None) -> float | None:
    if minutes is not None and not is_number(minutes):
        raise ValueError(f"minutes is {minutes!r}; give a positive time for the whole comparison")
    return minutes
