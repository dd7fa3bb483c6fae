"""Trained methods, whether of a comparison's own training or of finished runs, and the comparison that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from warmflow.evaluation.rows import Entry
from warmflow.evaluation.study import Role
from warmflow.experiments.measure import Trained, alone, mean_bill
from warmflow.experiments.members import candidates, conditions, titles
from warmflow.experiments.pair_audits import audits
from warmflow.experiments.pipeline import Comparison
from warmflow.experiments.saved_runs import SavedRun
from warmflow.methods.base import Member, Start
from warmflow.methods.distillation import ONE
from warmflow.methods.parts import Parts
from warmflow.sampler import Sampler
from warmflow.setup import Setup
from warmflow.solvers import Euler


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A member of a comparison, trained under one seed.

    Args:
        saved: what its folder tells: the seconds of its training and of its parts.
        parts: its drafts, pairs and priors, to audit the pairs; None where they were not kept.
    """

    member: Member
    seed: int
    sampler: Sampler
    saved: SavedRun
    parts: Parts | None = None


def comparison_of(
    setup: Setup, runs: Sequence[TrainedRun], samples: int, calls: tuple[int, ...], *, jobs: int = 1, weights: str = "",
    audited: Path | None = None, progress: bool = False,
) -> Comparison:  # fmt: skip
    """These runs, as they are measured and judged.

    Args:
        jobs, weights: as in ``Comparison``.
        audited: where the audits of pairs are kept; None keeps nothing.
        progress: whether these show a bar.
    """
    members = _members(runs)
    judged, held, starts = candidates(members), conditions(members), _starts(setup, runs)
    firsts = [start[min(start)] for start in starts.values()]
    training, counted = held[judged[0].name]
    return Comparison(
        setup.data, samples, tuple(m.name for m in judged), flows_of(runs), _alone(setup, members, starts), calls,
        training=training, counted=counted, apart=held, bills=bills_of(runs), jobs=jobs,
        audit=_audit(setup, runs, audited, progress),
        given=tuple(dict.fromkeys(part for m in judged for part in m.method.brings(setup))),
        draft=next((start.source for start in firsts if start.draft), None), weights=weights,
    )  # fmt: skip


def _members(runs: Sequence[TrainedRun]) -> list[Member]:
    return list({run.member.name: run.member for run in runs}.values())


def flows_of(runs: Sequence[TrainedRun]) -> list[Trained]:
    """Every flow as it is measured. A flow that is made from another one (reflow) and only shown is measured at one call."""
    found, named = [], titles(_members(runs))
    for run in runs:
        m, method = run.member, run.member.method
        later = method.needs() is not None
        shown = later and m.role is Role.SHOWN
        found.append(
            Trained(
                m.name, m.role, run.seed, run.sampler, run.saved.seconds, m.of, named[m.name],
                "distilling" if later and not shown else "training",
                ONE if shown else tuple(method.grid() or ()), (Euler(),) if shown else tuple(method.solvers() or ()),
            )
        )  # fmt: skip
    return found


def bills_of(runs: Sequence[TrainedRun]) -> dict[str, dict[str, float]]:
    """The mean seconds of the parts of each method, by name; its own training apart."""
    return {m.name: mean_bill([run.saved.spent for run in runs if run.member.name == m.name]) for m in _members(runs)}


def _starts(setup: Setup, runs: Sequence[TrainedRun]) -> dict[str, dict[int, Start]]:
    """What each candidate starts from, by training seed; without those that start from noise."""
    found: dict[str, dict[int, Start]] = {}
    for run in runs:
        start = run.member.method.starts_from(setup, run.sampler)
        if run.member.role is Role.CANDIDATE and start is not None:
            found.setdefault(run.member.name, {})[run.seed] = start
    return found


def _alone(setup: Setup, members: Sequence[Member], starts: Mapping[str, Mapping[int, Start]]) -> list[Entry]:
    """The starts as entries that are measured alone. If several have the same title, the method is added to it."""
    firsts = {name: start[min(start)] for name, start in starts.items()}
    called, found = [first.title for first in firsts.values()], []
    for name, first in firsts.items():
        title = first.title if called.count(first.title) == 1 else f"{first.title}, of {titles(members)[name]}"
        sources = {seed: start.source for seed, start in starts[name].items()}
        found.append(alone(setup.data.bounds, f"{name}-start", sources, name, title, first.draft))
    return found


def _audit(
    setup: Setup, runs: Sequence[TrainedRun], folder: Path | None, progress: bool
) -> Mapping[str, Mapping[str, object]]:
    """The audits of the pairings of the first candidate that pairs a draft with the data and whose parts were kept."""
    first = min(run.seed for run in runs)
    for run in runs:
        if run.member.role is Role.CANDIDATE and run.seed == first and run.parts is not None:
            drafted = run.member.method.drafted(run.parts)
            if drafted is not None:
                return audits(setup, drafted, folder, progress)
    return {}
