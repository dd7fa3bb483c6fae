"""Everything that a comparison trains, in this process or in several: drafts and pairs of each seed, then every method.

FOLDER/seeds/SEED/            drafts, priors and pairs of a training seed (``methods.parts``)
FOLDER/seeds/SEED/METHOD/     one run folder a method (``run``), which members with the same options share (controls)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from warmflow.evaluation.study import Role
from warmflow.experiments.members import in_memory
from warmflow.experiments.processes import Bar, each
from warmflow.experiments.run import run_method
from warmflow.experiments.saved_runs import SavedRun
from warmflow.experiments.trained_runs import TrainedRun
from warmflow.files import read_bytes
from warmflow.methods.base import Member, Method, settled
from warmflow.methods.parts import Parts
from warmflow.problems.base import Problem
from warmflow.run_config import RunConfig, read_config
from warmflow.sampler import Sampler
from warmflow.setup import Setup, Training


def seed_folder(root: Path, seed: int) -> Path:
    """Where a comparison keeps what belongs to one training seed."""
    return root / "seeds" / str(seed)


@dataclass(frozen=True)
class Work:
    """Everything that a process needs to do its part of a comparison."""

    problem: Problem
    training: Training
    members: tuple[Member, ...]
    root: Path
    device: str = "cpu"
    key: str = field(default_factory=lambda: uuid4().hex)
    """Tells the data of two comparisons apart: the repr of an array shows its corners only."""

    def setup(self) -> Setup:
        """The problem made ready, once in a process."""
        key = f"{self.key} {self.training!r}"
        if key not in _SETUPS:
            _SETUPS.clear()
            _SETUPS[key] = self.problem.setup(self.training)
        return in_memory(_SETUPS[key], self.members)

    def keep(self, setup: Setup) -> None:
        """Keeps a setup that was made already, for this process."""
        _SETUPS.clear()
        _SETUPS[f"{self.key} {self.training!r}"] = setup

    def parts(self, seed: int, progress: bool = False) -> Parts:
        """The parts of a seed; a method that needs another one's flow gets that one's run."""
        parts = Parts(self.setup(), seed, seed_folder(self.root, seed), progress)
        runs: dict[str, Sampler] = {}

        def other(method: Method) -> Sampler:
            asked = settled(method, parts.setup)
            member = next(m for m in self.members if m.method == asked)
            if member.name not in runs:
                runs[member.name] = self.run(member.name, seed)
            parts.used["teacher"] = self.saved(member.name, seed).cost
            return runs[member.name]

        parts.run = other
        return parts

    def member(self, name: str) -> Member:
        return next(m for m in self.members if m.name == name)

    @property
    def trained(self) -> list[Member]:
        """The members, one for each method; the others share its run (the same control of two candidates)."""
        return [m for i, m in enumerate(self.members) if all(m.method != before.method for before in self.members[:i])]

    def folder(self, name: str, seed: int) -> Path:
        """The run folder of a member under a seed."""
        method = self.member(name).method
        return seed_folder(self.root, seed) / next(m.name for m in self.trained if m.method == method)

    def run(self, name: str, seed: int, progress: str | None = None) -> Sampler:
        """The trained sampler of a member under a seed."""
        parts = self.parts(seed, progress is not None)
        return run_method(
            self.member(name).method, parts, self.folder(name, seed), device=self.device, progress=progress
        )

    def saved(self, name: str, seed: int) -> SavedRun:
        """The run of a member under a seed, read from its folder; with an empty config if it was not started."""
        folder = self.folder(name, seed)
        config: RunConfig = read_config(folder) if (folder / "config.json").exists() else {}
        return SavedRun(folder, config, self.member(name).method)

    def runs(self, seeds: Sequence[int]) -> list[TrainedRun]:
        """Every member under every seed, trained; of one that trains nothing, what it samples."""
        return [
            TrainedRun(m, s, self.run(m.name, s), self.saved(m.name, s), self.parts(s))
            for m in self.members
            for s in seeds
        ]


_SETUPS: dict[str, Setup] = {}


def _prepare(work: Work, seed: int, progress: bool = False) -> None:
    """Makes the drafts, priors and pairs of a seed that unfinished runs need."""
    for member in work.trained:
        if member.method.needs() is None and not work.saved(member.name, seed).complete:
            member.method.stages(work.parts(seed, progress))


def prepare_all(work: Work, seeds: Sequence[int], *, jobs: int = 1, progress: bool = False) -> None:
    """Makes what methods share under every seed: a process a seed, so that no two make the same part."""
    folders = [seed_folder(work.root, seed) for seed in seeds]
    shown = progress and jobs > 1 and len(folders) > 1
    with Bar(lambda: _steps(folders), None, "drafts and pairs", "step" if shown else ""):
        each(
            _prepare, [(work, seed, progress and not shown) for seed in seeds], jobs=jobs,
            what="the drafts and pairs of a seed",
        )  # fmt: skip


def _steps(folders: Sequence[Path]) -> int:
    """How many updates of drafts and priors, and blocks of pairs, are done in the folders of seeds."""
    logs = [
        path.parent for folder in folders for kind in ("drafts", "parts") for path in (folder / kind).rglob("log.jsonl")
    ]
    return _updates(logs)() + sum(1 for folder in folders for _ in folder.glob("pairs/*/round-*"))


def _train(work: Work, name: str, seed: int, progress: str | None) -> None:
    work.run(name, seed, progress)


def train_all(work: Work, seeds: Sequence[int], *, jobs: int = 1, progress: bool = False) -> None:
    """Trains every member under every seed, those first that others start from."""
    first = [m for m in work.trained if m.method.needs() is None and m.method.trains]
    later = [m for m in work.trained if m.method.needs() is not None]
    for group in (first, later):
        shown = progress and jobs == 1
        tasks = [(work, m.name, seed, f"{m.name}, seed {seed}" if shown else None) for seed in seeds for m in group]
        folders = [work.folder(m.name, seed) for seed in seeds for m in group]
        total = work.training.updates * len(tasks)
        with Bar(_updates(folders), total, "training", "update" if progress and jobs > 1 and tasks else ""):
            each(_train, tasks, jobs=jobs, what="training")


def _updates(folders: Sequence[Path]) -> Callable[[], int]:
    """How many updates the logs in these folders tell of."""

    def done() -> int:
        total = 0
        for folder in folders:
            try:
                last = read_bytes(folder / "log.jsonl").decode().rsplit("\n", 2)[-2]
                total += int(last.split('"step": ')[1].split(",")[0])
            except (OSError, IndexError, ValueError):
                continue
        return total

    return done


def warnings_of(work: Work, seed: int) -> tuple[dict[str, Mapping[str, object]], list[str]]:
    """Measurements of the parts of each method, by method, and the warnings among them."""
    facts = {m.name: m.method.facts(work.parts(seed)) for m in work.members if m.role is Role.CANDIDATE}
    found = {name: told for name, told in facts.items() if told}
    return found, [str(told["warning"]) for told in found.values() if "warning" in told]


def method_titles(members: Sequence[Member]) -> dict[str, str]:
    """A sentence on each method, from the first line of its class's docstring."""
    return {m.name: _sentence(type(m.method)) for m in members}


def _sentence(kind: type[Method]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0] if kind.__doc__ else ""
