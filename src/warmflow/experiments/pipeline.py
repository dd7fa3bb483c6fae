"""The one pipeline behind every comparison of trained flows: measure, judge, draw, save.

FOLDER/measured/              rows so far (removed at the end)
FOLDER/study.*                every row, so that the verdict can be computed again
FOLDER/verdict.json           the verdicts, what they were read from, the audit, the bill
FOLDER/pictures.safetensors, config.json, report.html
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import torch

from warmflow import __version__
from warmflow.contracts import Solver, Source
from warmflow.data import DataSet
from warmflow.evaluation.evaluate import Evaluation
from warmflow.evaluation.real import RealData
from warmflow.evaluation.record import save_study, verdict_json
from warmflow.evaluation.rows import Entry, timed
from warmflow.evaluation.study import Study, Training
from warmflow.experiments.measure import (
    Store,
    Trained,
    calls_left,
    entries_of,
    forget,
    rows_of,
    seconds_of_call,
    solvers_of,
    training_bill,
)
from warmflow.experiments.pair_audits import DELAY, seen_as
from warmflow.experiments.pictures import pictures
from warmflow.experiments.processes import Bar, each
from warmflow.failures import explained
from warmflow.files import write_json, write_tensors
from warmflow.printing import bar, say
from warmflow.report import Report, rehearse
from warmflow.sampler import Sampler

SHOWN_AT = (1, 2, 4, 8)
PICTURES, POINTS = 64, 1000
WORTH = 40.0
"""Seconds of sampling below which another process, which reads everything again, is not worth its start."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Trained flows that are to be judged together.

    Args:
        data, samples: what they are measured against, and how many samples of each.
        candidates: their order, the headline first.
        starts: what candidates start from, as methods of no calls.
        apart: of candidates that differ from the others, what is held equal for them and what their cost counts.
        bills: one-off seconds by method, the training apart.
        draft: the draft of the first seed, for the pictures.
        grid: numbers of calls at which every method is measured.
        audit: the audits of pairings, by pairing.
        jobs: processes that measure, this one among them.
        weights: a digest of the flows, where they are runs from elsewhere that may be others the next time.
    """

    data: DataSet
    samples: int
    candidates: tuple[str, ...]
    trained: Sequence[Trained]
    starts: Sequence[Entry]
    grid: tuple[int, ...]
    training: Training = Training.EQUAL
    counted: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    apart: Mapping[str, tuple[Training, tuple[str, ...]]] = field(default_factory=dict)
    bills: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    draft: Source | None = None
    audit: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    jobs: int = 1
    solvers: Callable[[Sampler], Sequence[Solver]] = solvers_of
    weights: str = ""


def items_of(data: DataSet) -> str:
    """What samples are called in sentences."""
    if data.alphabet is not None:
        return "texts"
    return {"images": "images", "points": "points"}.get(data.kind, "points")


@explained("measuring", "--samples", "--jobs")
def evaluated(
    c: Comparison, root: Path, real: RealData, *, progress: bool, extra: Sequence[Trained] = (),
) -> Evaluation:  # fmt: skip
    """Measures and judges; ``extra`` flows stand beside those of the comparison."""
    samples = c.samples
    entries = [*entries_of([*c.trained, *extra], c.bills, grid=c.grid, solvers=c.solvers), *c.starts]
    entries = _by_candidate(entries, c.candidates)
    store = Store.of(root, real, samples, c.weights)
    say("choosing each method's solver on validation data", progress)
    with torch.inference_mode():
        listed = bar(entries, what="choosing solvers", unit="method", shown=progress, delay=DELAY)
        choices = [store.choice(e, real, samples) for e in listed]
    chosen = {choice.method: choice.chosen for choice in choices}
    if c.jobs > 1 and calls_left(entries, chosen, store) * seconds_of_call(entries[0], chosen, real, samples) > WORTH:
        _measure_beside(entries, chosen, real, samples, store, c.jobs, progress)
    rows = rows_of(entries, chosen, real, samples, store, progress=progress)
    say("timing all methods in turns", progress)
    with torch.inference_mode():
        inputs = None if real.paired is None else real.paired.test.inputs
        times = timed(entries, chosen, inputs=inputs, progress=progress)
    study = Study(
        methods=tuple(e.method(c.chosen, c.distances) for e, c in zip(entries, choices, strict=True)),
        rows=tuple(rows),
        metrics=real.metric_facts,
        real=real.facts,
        trained=c.training,
        given=c.given,
        counted=c.counted,
        times=times,
        items=items_of(c.data),
        apart=c.apart,
    )
    return Evaluation.of(study, choices)


def _measure_beside(
    entries: Sequence[Entry], chosen: Mapping[str, str], real: RealData, samples: int, store: Store, jobs: int, progress: bool
) -> None:  # fmt: skip
    """Measures the rows in several processes, each of which keeps its own in the store."""
    shares = [[e for i, e in enumerate(entries) if i % jobs == k] for k in range(jobs)]
    left = calls_left(entries, chosen, store)

    def done() -> int:
        return round(left - calls_left(entries, chosen, store))

    with Bar(done, round(left), "measuring", "call" if progress else ""):
        each(
            _measure,
            [(share, chosen, real, samples, store) for share in shares if share],
            jobs=jobs,
            what="measurement",
        )


def _measure(entries: Sequence[Entry], chosen: Mapping[str, str], real: RealData, samples: int, store: Store) -> None:
    rows_of(entries, chosen, real, samples, store)


def _by_candidate(entries: Sequence[Entry], candidates: Sequence[str]) -> list[Entry]:
    """The entries with the candidates in the order of a recipe, whose first one is the headline; all else stays in its place."""
    ranked = [e for name in candidates for e in entries if e.name == name]
    waiting = iter(ranked)
    return [next(waiting) if e in ranked else e for e in entries]


def conclude(
    c: Comparison, root: Path, config: Mapping[str, object], real: RealData, *, progress: bool,
    doubled: Callable[[Evaluation], tuple[Training, Mapping[str, object]]] | None = None,
    beside: Callable[[Study], Mapping[str, object]] | None = None,
) -> Report:  # fmt: skip
    """Measures, judges and writes everything of a comparison into its folder.

    Args:
        config: what config.json says beside the state.
        doubled: asked, after the first judgement, whether the best baseline has converged: what then holds of the training,
            and further keys of verdict.json.
        beside: further keys of verdict.json that follow from the study.
    """
    evaluation = evaluated(c, root, real, progress=progress)
    more: Mapping[str, object] = {}
    if doubled is not None:
        training, more = doubled(evaluation)
        study = dataclasses.replace(evaluation.study, trained=training)
        evaluation = Evaluation.of(study, evaluation.choices)
    if beside is not None:
        more = {**more, **beside(evaluation.study)}
    n = PICTURES if c.data.kind == "images" else POINTS
    steps = tuple(k for k in SHOWN_AT if k in c.grid) or c.grid[:1]
    write_tensors(root / "pictures.safetensors", pictures(c.data, c.trained, c.draft, steps, n))
    save_study(root, evaluation.study)
    write_json(root / "verdict.json", {**verdict_json(evaluation), "audit": dict(c.audit), "bill": _bill(c), **more})
    write_json(root / "config.json", {**config, "state": "complete"})
    report = Report.read(root)
    report.save(root)
    forget(root)
    return report


def rehearsed(data: DataSet, config: Mapping[str, object], root: Path) -> None:
    """Tries the report on real data before anything is trained; ValueError if it cannot be made."""
    shown = seen_as(data, data.heldout.x1[: PICTURES if data.kind == "images" else POINTS])
    rehearse(root, config, {"real": shown.cpu().numpy()})


def _bill(c: Comparison) -> dict[str, float]:
    """One-off seconds by name, those of every method together."""
    found = {key: value for bill in c.bills.values() for key, value in bill.items()}
    for name, spent in training_bill(c.trained).items():
        found |= {f"training of {name}" if key == "training" else key: seconds for key, seconds in spent.items()}
    return found


def described(
    data: DataSet, real: RealData, facts: Mapping[str, object], seeds: Sequence[int], device: str, **more: object
) -> dict[str, object]:
    """What config.json says beside what was asked; ``more`` names the problem and its settings."""
    d, shown = data, {} if data.codec is None else data.codec.described()
    validation = 0 if d.validation is None else len(d.validation)
    return {
        **more, "versions": versions(), "device": device, "threads": torch.get_num_threads(), "seeds": list(seeds),
        "measured": real.fixed, "facts": dict(facts),
        "data": {"name": d.name, "kind": d.kind, "shape": list(d.shape), "train": len(d.train), "validation": validation,
                 "heldout": len(d.heldout), "classes": list(d.classes), "notes": dict(d.notes), **shown},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip


def versions() -> dict[str, str]:
    """The versions a result was made with."""
    from importlib.metadata import version

    names = ("torch", "numpy", "scikit-learn", "scipy", "accelerate")
    return {"warmflow": __version__, "python": platform.python_version()} | {n: version(n) for n in names}
