"""From generators to the rows of a study: the choice of a solver on validation data, then the whole grid of calls.

A *generator* is called as ``generator(n, steps=, seed=)`` and returns samples (n, *S), as a tensor or as ``contracts.Samples``
(which count calls and seconds). A ``Sampler`` is a generator, and so is a suitable function of the user.

Every method is measured at the same numbers of calls. A method with several solvers (or time grids) is first measured with each
of them at a few calls, on the validation set only. The solver with the lowest mean distance over those numbers of calls at which
some solver is useful is then measured on the whole grid (``best_solver``). The choices are stored.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from warmflow.contracts import Samples
from warmflow.evaluation.exchange import Rules
from warmflow.evaluation.real import VALIDATION_SHARE, RealData
from warmflow.evaluation.study import Method, Role, Row, Times
from warmflow.printing import bar
from warmflow.schemas import Undefined

GRID = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 32, 50)
"""Numbers of calls at which every method is measured."""
CHOSEN_AT = (2, 4, 8)
"""Numbers of calls at which solvers are compared on validation data."""
CHOICE_SEED = 2**31 - 1
"""The seed of the samples for choosing solvers; no row is measured with it."""
ROUNDS = 9
TIMED = 64


class Generator(Protocol):
    """Draws n samples (n, *S) with the given number of steps; the same seed gives the same samples. If samples answer an input,
    it is also called with ``inputs=`` (n, *S')."""

    def __call__(self, n: int, *, steps: int, seed: int) -> Tensor | Samples: ...


@dataclass(frozen=True, eq=False)
class Entry:
    """A method with everything that is needed to sample it.

    Args:
        generators: by solver name ("" for a single unnamed solver) and training seed, a generator. All solvers have the same
            seeds.
        steps: by solver name, the numbers of steps at which it is measured; ``GRID`` by default.
        calls: by solver name, a function from steps to network calls, for samples without counts; default: equal to steps.
        of: for a control or a start, the candidate it belongs to.
        ready: True if ``generators`` return samples that were drawn beforehand. Useful rows are then chosen on the last
            quarter of them, and ``steps`` holds numbers of calls.
        per_step: for ready samples, the calls per step of their solver; other numbers of calls need not be measured.
        seconds: for ready samples, the seconds per sample by number of steps, if known.
    """

    name: str
    role: Role
    generators: Mapping[str, Mapping[int, Generator]]
    steps: Mapping[str, Sequence[int]] = field(default_factory=dict)
    calls: Mapping[str, Callable[[int], float]] = field(default_factory=dict)
    of: str = ""
    bill: Mapping[str, float] = field(default_factory=dict)
    ready: bool = False
    title: str = ""
    seconds: Mapping[int, float] = field(default_factory=dict)
    per_step: float = 1.0

    @property
    def seeds(self) -> list[int]:
        return sorted(next(iter(self.generators.values())))

    def steps_of(self, solver: str) -> tuple[int, ...]:
        return tuple(self.steps.get(solver, (0,) if self.role is Role.START else GRID))

    def counted(self, solver: str, steps: int) -> float:
        """The declared network calls of this number of steps."""
        return float(self.calls[solver](steps)) if solver in self.calls else float(steps)

    def method(self, chosen: str, tried: Iterable[str] = ()) -> Method:
        names = tuple(name for name in (tuple(tried) or (chosen,)) if name)
        return Method(self.name, self.role, chosen, names, self.of, dict(self.bill), self.title, self.per_step)


def drawn(
    generator: Generator, n: int, steps: int, seed: int, inputs: Tensor | None = None
) -> tuple[Tensor, float | None, float]:
    """Samples (n, *S) on the CPU, calls per sample if counted, and the total seconds."""
    began = time.perf_counter()
    given = {} if inputs is None else {"inputs": inputs}
    found = generator(n, steps=steps, seed=seed, **given)
    seconds = time.perf_counter() - began
    if isinstance(found, Samples):
        return found.x.detach().cpu(), float(found.calls.cpu().double().mean()), found.seconds
    x = torch.as_tensor(found).detach().cpu()
    if len(x) != n:
        raise ValueError(f"a generator was asked for {n} samples and gave {len(x)}; return exactly n")
    return x, None, seconds


def _row(generator: Generator, real: RealData, n: int, steps: int, seed: int) -> tuple[Tensor, float | None, float]:
    """The samples of a row as ``drawn``, or as joint rows (input, output) if they answer inputs."""
    if real.paired is None:
        return drawn(generator, n, steps, seed)
    inputs = real.paired.asked(n, seed)
    x, calls, seconds = drawn(generator, n, steps, seed, inputs)
    return real.paired.halves.joined(inputs, x), calls, seconds


@dataclass(frozen=True)
class Choice:
    """The choice of a solver, with the mean validation distances over seeds, by solver and number of calls."""

    method: str
    chosen: str
    distances: Mapping[str, Mapping[int, Undefined]]


def choose(entry: Entry, real: RealData, samples: int) -> Choice:
    """Chooses the solver of a method by ``best_solver``, from validation distances at 2, 4 and 8 calls. The stored distances are
    those of the primary metric.

    Raises:
        ValueError: no solver can be measured at 8 calls or fewer.
    """
    if len(entry.generators) == 1:
        return Choice(entry.name, next(iter(entry.generators)), {})
    n = samples // VALIDATION_SHARE if entry.ready else max(samples // VALIDATION_SHARE, 2 * 20)
    found: dict[str, dict[int, dict[str, float]]] = {}
    for solver, generators in entry.generators.items():
        known: dict[int, dict[str, float]] = {}
        for wanted in CHOSEN_AT:
            steps = max((s for s in entry.steps_of(solver) if entry.counted(solver, s) <= wanted), default=None)
            if steps is None:
                continue
            if steps not in known:
                sets = [
                    _row(g, real, samples if entry.ready else n, steps, (CHOICE_SEED - seed) % 2**63)[0][-n:]
                    for seed, g in generators.items()
                ]
                known[steps] = {m.name: float(np.mean([real.validated(x, m.name) for x in sets])) for m in real.metrics}
            found.setdefault(solver, {})[wanted] = known[steps]
    if not found:
        raise ValueError(
            f"{entry.name} has several solvers and none at {CHOSEN_AT[-1]} calls or fewer; measure one there"
        )
    floors = {m.name: m.floor or 1e-12 for m in real.metric_facts}
    told = {solver: {c: d[real.metrics[0].name] for c, d in at.items()} for solver, at in found.items()}
    return Choice(entry.name, best_solver(found, floors), told)


def best_solver(found: Mapping[str, Mapping[int, Mapping[str, float]]], floors: Mapping[str, float]) -> str:
    """The solver with the lowest geometric mean of max(D, floor) over the metrics and over the numbers of calls at which some
    solver is useful (n_eq at least half of the best). Other numbers of calls, where all are far from the data, only break ties.

    Args:
        found: by solver and number of calls, the distances by metric, the primary one first.
    """
    both = sorted(set.intersection(*(set(at) for at in found.values()))) or sorted(set().union(*found.values()))
    primary = next(iter(floors))
    least = {c: min(max(at[c][primary], floors[primary]) for at in found.values() if c in at) for c in both}
    useful = [c for c in both if least[c] <= min(least.values()) / Rules().useful + 2 * floors[primary]]

    def score(solver: str, calls: Sequence[int]) -> float:
        at = found[solver]
        kept = [math.log(max(d, floors[m])) for c in calls if c in at for m, d in at[c].items()]
        return round(float(np.mean(kept)), 9) if kept else math.inf

    return min(found, key=lambda s: (score(s, useful), score(s, both)))


Kept = Callable[[str, str, int, int], Row | None]
"""Returns a row measured before, by method, solver, steps and seed; None if there is none."""


def measured(
    entries: Sequence[Entry], choices: Mapping[str, str], real: RealData, samples: int, *,
    kept: Kept | None = None, keep: Callable[[str, Row], None] | None = None, progress: bool = False,
) -> Iterator[Row]:  # fmt: skip
    """Yields all rows of these methods with their chosen solvers.

    Args:
        kept: returns a row that was measured before; ``keep`` is called with each new one (solver, row).
    """
    jobs = [
        (entry, seed, steps)
        for entry in entries
        for seed in entry.seeds
        for steps in entry.steps_of(choices[entry.name])
    ]
    for entry, seed, steps in bar(jobs, what="measuring", unit="row", shown=progress):
        solver = choices[entry.name]
        found = None if kept is None else kept(entry.name, solver, steps, seed)
        if found is None:
            run = entry.generators[solver][seed]
            x, calls, seconds = _row(run, real, samples, steps, seed)
            counted = 0.0 if entry.role is Role.START else entry.counted(solver, steps) if calls is None else calls
            measure = real.measure(x, f"{entry.name} at {steps} steps, seed {seed},")
            if real.paired is not None:
                measure = real.paired.scored(
                    real.paired.resampled(real, measure, x, seed),
                    lambda inputs, k, run=run, steps=steps: drawn(run, len(inputs), steps, k, inputs)[0],  # type: ignore[misc]
                )
            spent = entry.seconds.get(steps) if entry.ready else seconds / samples
            found = Row(entry.name, steps, counted, seed, measure, spent)
            if keep is not None:
                keep(solver, found)
        yield found


def timed(
    entries: Sequence[Entry], choices: Mapping[str, str], *, rounds: int = ROUNDS, samples: int = TIMED,
    inputs: Tensor | None = None, progress: bool = False,
) -> tuple[Times, ...]:  # fmt: skip
    """Interleaved timings of all rows of the first seed: each round times all rows once, in a random order."""
    given = {} if inputs is None else {"inputs": inputs[:samples]}
    samples = samples if inputs is None else min(samples, len(inputs))
    jobs = [(entry, steps) for entry in entries for steps in entry.steps_of(choices[entry.name])]
    seconds: dict[tuple[str, int], list[float]] = {(entry.name, steps): [] for entry, steps in jobs}
    generator = np.random.default_rng(0)
    for entry, steps in jobs:
        if steps == min(entry.steps_of(choices[entry.name])):
            solver = choices[entry.name]
            entry.generators[solver][entry.seeds[0]](samples, steps=steps, seed=0, **given)  # warm-up
    for k in bar(range(rounds), what="timing", unit="round", shown=progress, delay=3.0):
        for j in generator.permutation(len(jobs)):
            entry, steps = jobs[int(j)]
            run = entry.generators[choices[entry.name]][entry.seeds[0]]
            began = time.perf_counter()
            run(samples, steps=steps, seed=k, **given)
            seconds[entry.name, steps].append((time.perf_counter() - began) / samples)
    return tuple(Times(name, steps, tuple(values)) for (name, steps), values in seconds.items())
