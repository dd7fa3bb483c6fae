"""From generators to the rows of a study: the choice of a solver on validation data, then the whole grid of calls.

A *generator* is anything that can be called as ``generator(n, steps=, seed=)`` and returns samples (n, *S), as a tensor or as
``contracts.Samples`` (which count their calls and seconds): a ``Sampler`` is one, so is a user's own function.

Every method is measured at the same numbers of calls. A method that comes with several solvers (or time grids) is first measured
with each at a few calls, on the validation set alone. The one with the lowest mean distance over those numbers of calls at which
some solver is useful is then measured on the whole grid (``best_solver``). The choices are kept.
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

GRID = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 32, 50)
"""Numbers of calls at which every method is measured."""
CHOSEN_AT = (2, 4, 8)
"""Numbers of calls at which solvers are compared on validation data."""
CHOICE_SEED = 2**31 - 1
"""The seed of the samples that solvers are chosen on; no row is measured with it."""
ROUNDS = 9
TIMED = 64


class Generator(Protocol):
    """Draws n samples in so many steps; the same seed gives the same samples. Where samples answer an input it is called with
    ``inputs=`` (n, *S') too."""

    def __call__(self, n: int, *, steps: int, seed: int) -> Tensor | Samples: ...


@dataclass(frozen=True, eq=False)
class Entry:
    """A method with everything that is needed to sample it.

    Args:
        generators: by solver name ("" where there is one of no name), by training seed, a generator. All solvers have the same
            seeds.
        steps: by solver name, the numbers of steps it is measured at; ``GRID`` where it is not named.
        calls: by solver name, calls of the network in so many steps, where samples do not count them; as many as steps.
        of: of a control or a start, the candidate it belongs to.
        ready: the samples are ready ones: choices are then made on the last quarter of them. ``steps`` are then calls, of
            which a step makes ``per_step``.
        seconds: of ready samples, the seconds a sample by number of steps, where they are known.
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
        """The declared calls of so many steps."""
        return float(self.calls[solver](steps)) if solver in self.calls else float(steps)

    def method(self, chosen: str, tried: Iterable[str] = ()) -> Method:
        names = tuple(name for name in (tuple(tried) or (chosen,)) if name)
        return Method(self.name, self.role, chosen, names, self.of, dict(self.bill), self.title, self.per_step)


def drawn(
    generator: Generator, n: int, steps: int, seed: int, inputs: Tensor | None = None
) -> tuple[Tensor, float | None, float]:
    """Samples (n, *S) on the CPU, calls a sample where they were counted, and seconds of everything."""
    began = time.perf_counter()
    given = {} if inputs is None else {"inputs": inputs}
    found = generator(n, steps=steps, seed=seed, **given)
    seconds = time.perf_counter() - began
    if isinstance(found, Samples):
        return found.x.detach().cpu(), float(found.calls.double().mean()), found.seconds
    x = torch.as_tensor(found).detach().cpu()
    if len(x) != n:
        raise ValueError(f"a generator was asked for {n} samples and gave {len(x)}; return exactly n")
    return x, None, seconds


def _row(generator: Generator, real: RealData, n: int, steps: int, seed: int) -> tuple[Tensor, float | None, float]:
    """The samples of a row, as they are measured: joint rows (input, output) where they answer inputs."""
    if real.paired is None:
        return drawn(generator, n, steps, seed)
    inputs = real.paired.asked(n, seed)
    x, calls, seconds = drawn(generator, n, steps, seed, inputs)
    return real.paired.halves.joined(inputs, x), calls, seconds


@dataclass(frozen=True)
class Choice:
    """What was measured to choose a solver: by solver and calls, the mean validation distance over seeds."""

    method: str
    chosen: str
    distances: Mapping[str, Mapping[int, float]]


def choose(entry: Entry, real: RealData, samples: int) -> Choice:
    """The solver of a method that ``best_solver`` takes, by validation distances at 2, 4 and 8 calls. The distances that are kept
    are those of the primary metric.

    Raises:
        ValueError: no solver has a row at so few calls.
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
                    _row(g, real, samples if entry.ready else n, steps, CHOICE_SEED - seed)[0][-n:]
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
    """The solver with the lowest geometric mean of max(D, floor) over the metrics and over those numbers of calls at which some
    solver is useful: its n_eq is at least half of the best. At fewer calls all are far from the data; they break ties alone.

    Args:
        found: by solver and number of calls the distances, by metric, the primary one first.
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
"""A row that was measured before, by method, solver, steps and seed; None where there is none."""


def measured(
    entries: Sequence[Entry], choices: Mapping[str, str], real: RealData, samples: int, *,
    kept: Kept | None = None, keep: Callable[[str, Row], None] | None = None, progress: bool = False, backwards: bool = False,
) -> Iterator[Row]:  # fmt: skip
    """Every row of these methods with their chosen solvers.

    Args:
        kept: asked for a row that was measured before; ``keep`` is given each new one (solver, row).
        backwards: from the last row to the first, beside a process that begins with the first.
    """
    from tqdm import tqdm

    jobs = [
        (entry, seed, steps)
        for entry in entries
        for seed in entry.seeds
        for steps in entry.steps_of(choices[entry.name])
    ]
    order = jobs[::-1] if backwards else jobs
    for entry, seed, steps in tqdm(order, desc="measuring", unit="row", disable=not progress, mininterval=0.5):
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
    inputs: Tensor | None = None,
) -> tuple[Times, ...]:  # fmt: skip
    """Interleaved timings of every row of the first seed: in each round all rows are timed once, in another order."""
    given = {} if inputs is None else {"inputs": inputs[:samples]}
    samples = samples if inputs is None else min(samples, len(inputs))
    jobs = [(entry, steps) for entry in entries for steps in entry.steps_of(choices[entry.name])]
    seconds: dict[tuple[str, int], list[float]] = {(entry.name, steps): [] for entry, steps in jobs}
    generator = np.random.default_rng(0)
    for entry, steps in jobs:
        if steps == min(entry.steps_of(choices[entry.name])):
            solver = choices[entry.name]
            entry.generators[solver][entry.seeds[0]](samples, steps=steps, seed=0, **given)  # caches and compilers
    for k in range(rounds):
        for j in generator.permutation(len(jobs)):
            entry, steps = jobs[int(j)]
            run = entry.generators[choices[entry.name]][entry.seeds[0]]
            began = time.perf_counter()
            run(samples, steps=steps, seed=k, **given)
            seconds[entry.name, steps].append((time.perf_counter() - began) / samples)
    return tuple(Times(name, steps, tuple(values)) for (name, steps), values in seconds.items())
