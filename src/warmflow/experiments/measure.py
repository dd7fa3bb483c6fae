"""Measures trained flows for a study: chooses each method's solver on validation data, then measures every number of calls.

FOLDER/measured/DIGEST/    the choices and rows measured so far; DIGEST depends on everything fixed beforehand. An interrupted
                           measurement is resumed, and several processes can share it. ``forget`` removes the folder after
                           the study is saved.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from pydantic import TypeAdapter
from torch import Tensor

from warmflow.contracts import Samples, Solver, Source
from warmflow.data.paired import INPUT
from warmflow.evaluation.real import RealData
from warmflow.evaluation.record import read_row, save_row
from warmflow.evaluation.rows import GRID, Choice, Entry, choose, measured
from warmflow.evaluation.study import Role, Row, Study
from warmflow.files import Damaged, make_folder, write_json
from warmflow.noise import Noise
from warmflow.sampler import Sampler
from warmflow.schemas import read_as
from warmflow.solvers import AdamsBashforth, Euler, Heun, MultistepX1, label

AT_ONCE, LEAST_AT_ONCE = 2**18, 64
"""Size of a sampling batch in numbers, and its fewest rows: the activations of a U-Net for 2,000 images do not fit in the cache,
which takes three times as long."""
FLOAT_SOLVERS: tuple[Solver, ...] = (
    Euler(), Heun(), *(AdamsBashforth(s) for s in (1.0, 2.0, 3.0)), *(MultistepX1(s) for s in (1.0, 2.0, 3.0))
)  # fmt: skip
"""Solvers and time grids tried on validation data for every flow of floats."""
TOKEN_GRID = (1, 2, 4, 8, 16, 32, 64)
"""Default numbers of steps of token flows. A step that changes nothing costs no call, so the calls of a sample are at most its
steps, and are counted."""

_CHOICE = TypeAdapter(Choice)


def at_once(sampler: Sampler) -> int:
    """Number of rows of a sampling batch."""
    return max(LEAST_AT_ONCE, AT_ONCE // math.prod(sampler.shape))


@dataclass(frozen=True, eq=False)
class Drawn:
    """A sampler with a fixed solver, as a generator to be measured."""

    sampler: Sampler
    solver: Solver

    def __call__(self, n: int, *, steps: int, seed: int, inputs: Tensor | None = None) -> Samples:
        sampler = replace(self.sampler, solver=self.solver, steps=steps)
        return sampler(n, seed=seed, batch=at_once(sampler), condition=None if inputs is None else {INPUT: inputs})


@dataclass(frozen=True, eq=False)
class Alone:
    """The start of a candidate as a generator of 0 calls: a draft before noise is added, or the start of a learned prior."""

    source: Source
    bounds: tuple[float, float] | None
    draft: bool

    def __call__(self, n: int, *, steps: int, seed: int, inputs: Tensor | None = None) -> Tensor:
        noise = Noise.of(seed, n).fold("source")
        given = None if inputs is None else {INPUT: inputs}
        x = self.source.draw(n, given, noise=noise.fold("draft") if self.draft else noise).x0
        return x if self.bounds is None else x.clamp(*self.bounds)


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained flow of one seed.

    Args:
        seconds: training time, listed in the bill under the name ``spent``; 0 if unknown.
        of: for a control or a start, the candidate it belongs to.
        title: the name in sentences and figures.
        grid: the numbers of calls at which it is measured; empty for those of the comparison.
        solvers: the solvers tried on validation data; empty for the default ones.
    """

    name: str
    role: Role
    seed: int
    sampler: Sampler
    seconds: float
    of: str = ""
    title: str = ""
    spent: str = "training"
    grid: tuple[int, ...] = ()
    solvers: tuple[Solver, ...] = ()


def solvers_of(sampler: Sampler) -> tuple[Solver, ...]:
    """The solvers to be tried for a flow."""
    return (sampler.solver,) if sampler.solver.jumps else FLOAT_SOLVERS


def calls_of(solver: Solver, steps: int) -> int:
    """Number of network calls of a solver with this number of steps."""
    return (steps - 1) * solver.calls_per_step + solver.calls_last_step


@dataclass(frozen=True)
class CallsOf:
    """``calls_of`` for a fixed solver."""

    solver: Solver

    def __call__(self, steps: int) -> float:
        return float(calls_of(self.solver, steps))


def steps_on_grid(solver: Solver, grid: Sequence[int] = GRID) -> tuple[int, ...]:
    """For each number of calls of the grid, the largest number of steps that needs at most these calls. A solver with two calls
    per step and one for the last is measured at odd numbers of calls. For token flows, whose steps may cost no call, the grid
    is of steps."""
    if solver.jumps:
        return TOKEN_GRID if tuple(grid) == GRID else tuple(grid)
    most = {max((k for k in range(1, calls + 1) if calls_of(solver, k) <= calls), default=0) for calls in grid}
    return tuple(sorted(most - {0}))


def training_bill(trained: Sequence[Trained]) -> dict[str, dict[str, float]]:
    """The mean training seconds of each method, by their name in the bill; methods without known seconds are left out."""
    found: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(t.name for t in trained):
        mine = [t for t in trained if t.name == name]
        if any(t.seconds for t in mine):
            found[name] = {mine[0].spent: sum(t.seconds for t in mine) / len(mine)}
    return found


def mean_bill(told: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean seconds of several runs of one method, by their name in the bill; 0 for a run that has no such part."""
    names = dict.fromkeys(name for one in told for name in one)
    return {name: sum(one.get(name, 0.0) for one in told) / len(told) for name in names}


def entries_of(
    trained: Sequence[Trained], bills: Mapping[str, Mapping[str, float]], *, grid: Sequence[int] = GRID,
    solvers: Callable[[Sampler], Sequence[Solver]] = solvers_of,
) -> list[Entry]:  # fmt: skip
    """The entries of a study, from the trained flows of all seeds.

    Args:
        bills: one-off seconds by method and name, without training, which is added here.
        grid: the numbers of calls.
        solvers: returns the solvers to be tried for a sampler.
    """
    found = []
    trainings = training_bill(trained)
    for name in dict.fromkeys(t.name for t in trained):
        mine = [t for t in trained if t.name == name]
        options = {label(s) if s.order else "": s for s in mine[0].solvers or solvers(mine[0].sampler)}
        found.append(
            Entry(
                name=name,
                role=mine[0].role,
                generators={key: {t.seed: Drawn(t.sampler, s) for t in mine} for key, s in options.items()},
                steps={key: steps_on_grid(s, mine[0].grid or grid) for key, s in options.items()},
                calls={key: CallsOf(s) for key, s in options.items()},
                of=mine[0].of,
                bill={**bills.get(name, {}), **trainings.get(name, {})},
                title=mine[0].title,
            )
        )
    return found


def alone(
    bounds: tuple[float, float] | None, name: str, sources: Mapping[int, Source], of: str, title: str = "", draft: bool = True
) -> Entry:  # fmt: skip
    """The entry of the start of a candidate, with 0 calls.

    Args:
        sources: the start by training seed.
        of: the candidate.
        draft: True for a draft, to which the flow adds noise.
    """
    generators = {seed: Alone(s, bounds, draft) for seed, s in sources.items()}
    return Entry(name, Role.START, {"": generators}, of=of, title=title)


# ---------------------------------------------------------------- rows that were measured before


@dataclass(frozen=True)
class Store:
    """Choices and rows in a folder, one file each."""

    folder: Path

    @staticmethod
    def of(root: Path, real: RealData, samples: int, weights: str = "") -> Store:
        """The store for these real data and number of samples.

        Args:
            weights: a digest of the weights of the flows, if the folder alone does not identify them. Rows measured with other
                data, samples or weights are in another store.
        """
        text = json.dumps({"real": real.fixed, "samples": samples, "weights": weights}, sort_keys=True)
        return Store(root / "measured" / hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:12])

    def _place(self, *parts: object) -> Path:
        return self.folder / re.sub(
            r"[^A-Za-z0-9.]", "_", "-".join(str(p) for p in parts)
        )  # character by character, so that seed -1 and seed 1 differ

    def row(self, method: str, solver: str, steps: int, seed: int) -> Row | None:
        place = self._place(method, solver, steps, seed)
        if not (place / "row.json").exists():
            return None
        try:
            return read_row(place)
        except (Damaged, KeyError, TypeError):
            return None  # it is measured again

    def keep(self, solver: str, row: Row) -> None:
        place = self._place(row.method, solver, row.steps, row.seed)
        make_folder(place)
        save_row(place, row)

    def choice(self, entry: Entry, real: RealData, samples: int) -> Choice:
        """The choice of an entry's solver, read from the store or made and stored."""
        place = self._place("choice", f"{entry.name}.json")
        if place.exists():
            with suppress(Damaged):  # a damaged one is made again
                return read_as(_CHOICE, place)
        made = choose(entry, real, samples)
        make_folder(self.folder)
        write_json(place, asdict(made))
        return made


def remember(root: Path, study: Study, real: RealData, samples: int) -> None:
    """Stores the rows of a study, to which rows of other seeds are added."""
    store = Store.of(root, real, samples)
    solvers = {m.name: m.solver for m in study.methods}
    for row in study.rows:
        if store.row(row.method, solvers[row.method], row.steps, row.seed) is None:
            store.keep(solvers[row.method], row)


def forget(root: Path) -> None:
    """Removes the stored rows; call it after the study is saved."""
    shutil.rmtree(root / "measured", ignore_errors=True)


def calls_left(entries: Sequence[Entry], choices: Mapping[str, str], store: Store) -> float:
    """The sum of network calls per sample over all rows that are not measured yet."""
    return sum(
        entry.counted(choices[entry.name], steps)
        for entry in entries
        if entry.role is not Role.START
        for seed in entry.seeds
        for steps in entry.steps_of(choices[entry.name])
        if store.row(entry.name, choices[entry.name], steps, seed) is None
    )


def seconds_of_call(entry: Entry, choices: Mapping[str, str], real: RealData, samples: int) -> float:
    """Seconds of one call for all samples of a row, estimated from one batch."""
    run = entry.generators[choices[entry.name]][entry.seeds[0]]
    few = min(samples, 256)
    given = {} if real.paired is None else {"inputs": real.paired.asked(few, 0)}
    run(few, steps=1, seed=0, **given)
    began = time.perf_counter()
    run(few, steps=1, seed=0, **given)
    return (time.perf_counter() - began) * samples / few


def rows_of(
    entries: Sequence[Entry], choices: Mapping[str, str], real: RealData, samples: int, store: Store, *,
    progress: bool = False,
) -> list[Row]:  # fmt: skip
    """All rows: read from the store if they are there, else measured and stored."""
    with torch.inference_mode():
        return list(measured(entries, choices, real, samples, kept=store.row, keep=store.keep, progress=progress))
