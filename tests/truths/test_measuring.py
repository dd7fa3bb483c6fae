"""From trained flows to a study: rows that are kept are read again, choices are made on validation data, times in turns."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from warmflow.contracts import Samples, Start
from warmflow.evaluation import rows as rows_module
from warmflow.evaluation.real import RealData
from warmflow.evaluation.record import read_study
from warmflow.evaluation.rows import CHOICE_SEED, GRID, Entry, choose, timed
from warmflow.evaluation.study import Role, Row, Study, Training
from warmflow.evaluation.verdict import judge
from warmflow.experiments import compare as comparison
from warmflow.experiments import measure as measuring
from warmflow.experiments import pipeline
from warmflow.experiments.compare import compare
from warmflow.experiments.measure import (
    FLOAT_SOLVERS,
    TOKEN_GRID,
    Alone,
    Drawn,
    Store,
    Trained,
    alone,
    calls_left,
    calls_of,
    entries_of,
    forget,
    rows_of,
    solvers_of,
    steps_on_grid,
)
from warmflow.experiments.pipeline import Comparison, evaluated
from warmflow.methods import Parts, settled
from warmflow.methods.cold import Cold
from warmflow.methods.warm_start import WarmStart
from warmflow.metrics.mmd import MMD
from warmflow.problems.measures import real_data
from warmflow.problems.toys import Moons
from warmflow.solvers import RK4, AdamsBashforth, Euler, Heun, Jump, label

PROBLEM = Moons(train=600)
TRAINING = {"updates": 3, "width": 8, "depth": 1}
WARM = WarmStart(rounds=1, block=300)
GIVEN = (1, 2, 4)


@pytest.fixture(scope="module")
def setup():
    return PROBLEM.setup(**TRAINING)


@pytest.fixture(scope="module")
def real(setup) -> RealData:
    return real_data(setup.data, 240)[0]


def draft(setup):
    """What the warm flow starts from, before its noise."""
    method = settled(WARM, setup)
    return method.starts_from(setup, method.flow(Parts(setup, 0)).sampler).source


def flows(setup) -> list[Trained]:
    """Flows with fresh weights: nothing here depends on training."""
    found = []
    for name, method in (("cold", Cold()), ("warm", WarmStart(pairing="independent"))):
        for seed in (0, 1):
            parts, method = Parts(setup, seed), settled(method, setup)
            objective, _ = method.stages(parts)[0].make({})
            sampler = method.sampler(parts, {"flow": objective.players["flow"].network})
            found.append(Trained(name, method.role, seed, sampler, 1.5 + seed))
    return found


def entries(setup) -> list[Entry]:
    return entries_of(flows(setup), {"warm": {"draft": 2.0}}, grid=GIVEN, solvers=lambda sampler: (Euler(), Heun()))


def told(row: Row) -> tuple[object, ...]:
    """A row without its seconds, every number as it is."""
    m = row.measure
    return (
        row.method, row.steps, row.calls, row.seed, m.samples, dict(m.distance), dict(m.validation), dict(m.beside),
        {k: v.tolist() for k, v in m.replicates.items()},
        None if m.classes is None else m.classes.tolist(), None if m.copies is None else m.copies.tolist(),
    )  # fmt: skip


def same(ours: list[Row] | tuple[Row, ...], theirs: list[Row] | tuple[Row, ...]) -> bool:
    return [told(r) for r in ours] == [told(r) for r in theirs]


CHOSEN = {"cold": label(Euler()), "warm": label(Heun())}


@pytest.fixture(scope="module")
def whole(setup, real, tmp_path_factory) -> list[Row]:
    return rows_of(entries(setup), CHOSEN, real, 240, Store.of(tmp_path_factory.mktemp("whole"), real, 240))


class Cut(Exception):
    pass


# ---------------------------------------------------------------- rows that are kept


def test_a_measurement_that_is_cut_off_goes_on_bitwise(setup, real, whole, tmp_path, monkeypatch) -> None:
    store, inner, seen = Store.of(tmp_path, real, 240), RealData.measure, []

    def five(self: RealData, x: Tensor, name: str = "") -> object:
        if len(seen) == 5:
            raise Cut
        seen.append(name)
        return inner(self, x, name)

    monkeypatch.setattr(RealData, "measure", five)
    with pytest.raises(Cut):
        rows_of(entries(setup), CHOSEN, real, 240, store)
    again: list[str] = []
    monkeypatch.setattr(RealData, "measure", lambda self, x, name="": again.append(name) or inner(self, x, name))
    found = rows_of(entries(setup), CHOSEN, real, 240, store)
    assert same(found, whole) and len(again) == len(whole) - 5 and not set(again) & set(seen)
    read = rows_of(entries(setup), CHOSEN, real, 240, store)
    assert same(read, whole) and [r.seconds for r in read] == [r.seconds for r in found], "no row is drawn twice"
    assert len(again) == len(whole) - 5
    assert calls_left(entries(setup), CHOSEN, store) == 0
    forget(tmp_path)
    assert not list(tmp_path.iterdir())


def test_rows_measured_in_another_order_are_the_same(setup, real, whole, tmp_path) -> None:
    found = rows_of(entries(setup)[::-1], CHOSEN, real, 240, Store.of(tmp_path, real, 240))
    assert found[0].method == "warm"
    assert same(sorted(found, key=lambda r: r.method), whole)


def test_calls_that_are_left_are_those_of_the_missing_rows(setup, real, whole, tmp_path) -> None:
    """Two seeds of 1 + 2 + 4 calls of Euler, and of 1 + 3 of Heun, whose last step costs one call."""
    store, made = Store.of(tmp_path, real, 240), entries(setup)
    assert calls_left(made, CHOSEN, store) == 2 * (1 + 2 + 4) + 2 * (1 + 3)
    store.keep(CHOSEN["cold"], whole[2])
    assert (whole[2].method, whole[2].calls) == ("cold", 4)
    assert calls_left(made, CHOSEN, store) == 2 * (1 + 2 + 4) + 2 * (1 + 3) - 4


@pytest.mark.long
@pytest.mark.parametrize("what", ["test", "validation", "train", "samples", "metrics"])
def test_rows_measured_against_other_data_are_not_taken(setup, real, whole, tmp_path, what) -> None:
    data = setup.data
    moved = replace(data.heldout, x1=data.heldout.x1 + 0.5)
    other = {
        "test": lambda: real_data(replace(data, heldout=moved), 240)[0],
        "validation": lambda: real_data(replace(data, validation=moved), 240)[0],
        "train": lambda: real_data(replace(data, train=replace(data.train, x1=data.train.x1 + 1e-3)), 240)[0],
        "samples": lambda: real,
        "metrics": lambda: replace(real, metrics=tuple(replace(m, scale=2 * m.scale) for m in real.metrics)),
    }[what]()
    store = Store.of(tmp_path, real, 240)
    for row in whole:
        store.keep(CHOSEN[row.method], row)
    theirs = Store.of(tmp_path, other, 200 if what == "samples" else 240)
    assert theirs.folder != store.folder and theirs.row("cold", CHOSEN["cold"], 1, 0) is None
    assert store.row("cold", CHOSEN["cold"], 1, 0) is not None


def test_a_row_is_found_by_its_own_name_alone(whole, real, tmp_path) -> None:
    store = Store.of(tmp_path, real, 240)
    keys = [("cold", "euler", 1, 1), ("cold", "euler", 1, -1), ("cold", "euler", 11, 1), ("cold_euler", "", 1, 1)]
    for method, solver, steps, seed in keys:
        assert store.row(method, solver, steps, seed) is None
        store.keep(solver, replace(whole[0], method=method, steps=steps, seed=seed))
    for method, solver, steps, seed in keys:
        row = store.row(method, solver, steps, seed)
        assert row is not None and (row.method, row.steps, row.seed) == (method, steps, seed)
    assert store.row("cold", "heun", 1, 1) is None
    assert len({store._place("warm", label(s), 1, 0) for s in FLOAT_SOLVERS}) == len(FLOAT_SOLVERS)


def test_a_row_without_its_last_file_is_measured_again(setup, real, whole, tmp_path) -> None:
    """row.json is written last: a process that was killed between the two files has kept nothing."""
    store = Store.of(tmp_path, real, 240)
    store.keep(CHOSEN["cold"], whole[0])
    (file,) = store.folder.rglob("row.json")
    file.unlink()
    assert store.row("cold", CHOSEN["cold"], 1, 0) is None


# ---------------------------------------------------------------- the grid


@pytest.mark.parametrize("grid", [GRID, (1, 2, 4), (3, 5, 50)])
def test_steps_stand_on_the_grid_or_right_below(grid) -> None:
    for solver in (Euler(), AdamsBashforth(), Heun(), RK4()):
        steps = steps_on_grid(solver, grid)
        found = [calls_of(solver, k) for k in steps]
        for calls in grid:
            if calls >= solver.calls_last_step:
                assert any(calls - solver.calls_per_step < c <= calls for c in found), (
                    "one more step would cost too much"
                )
        assert all(any(c <= g < c + solver.calls_per_step for g in grid) for c in found), (
            "no row that the grid does not ask for"
        )
    assert steps_on_grid(Euler(), grid) == grid
    assert steps_on_grid(Jump()) == TOKEN_GRID


def test_solvers_that_are_tried_have_names_of_their_own() -> None:
    """A method's solvers are kept by name: of two alike one would never be tried."""
    assert len({label(s) for s in FLOAT_SOLVERS}) == len(FLOAT_SOLVERS)


def test_heun_costs_two_calls_a_step_and_one_for_the_last() -> None:
    assert [calls_of(Heun(), k) for k in (1, 2, 3, 4)] == [1, 3, 5, 7]
    calls = [calls_of(Heun(), k) for k in steps_on_grid(Heun(), GRID)]
    assert calls == [1, 3, 5, 7, 9, 11, 15, 19, 31, 49]


def test_declared_calls_are_those_that_the_network_counts(setup) -> None:
    sampler = flows(setup)[0].sampler
    for solver in FLOAT_SOLVERS:
        for steps in (1, 3):
            found = Drawn(sampler, solver)(8, steps=steps, seed=0)
            assert set(found.calls.tolist()) == {calls_of(solver, steps)}, label(solver)


def test_methods_are_made_of_their_flows_with_what_they_cost(setup) -> None:
    made = entries_of(flows(setup), {"warm": {"draft": 2.0}}, grid=GIVEN)
    assert [(e.name, e.role, e.seeds) for e in made] == [
        ("cold", Role.BASELINE, [0, 1]), ("warm", Role.CANDIDATE, [0, 1])
    ]  # fmt: skip
    assert dict(made[0].bill) == {"training": 2.0} and dict(made[1].bill) == {"draft": 2.0, "training": 2.0}
    assert set(made[0].generators) == set(made[1].generators) == {label(s) for s in FLOAT_SOLVERS}, "every method alike"
    sampler = replace(flows(setup)[0].sampler, solver=Jump())
    assert solvers_of(sampler) == (sampler.solver,)


def test_a_start_is_what_the_candidate_starts_from(setup) -> None:
    source = draft(setup)
    entry = alone(setup.data.bounds, "draft", {3: source}, "warm")
    assert (entry.role, entry.steps_of(""), entry.of, entry.seeds) == (Role.START, (0,), "warm", [3])
    x = Alone(source, (-0.5, 0.5), True)(50, steps=0, seed=3)
    bare = Alone(source, None, True)(50, steps=0, seed=3)
    assert torch.equal(x, bare.clamp(-0.5, 0.5)) and not torch.equal(x, bare)
    assert not torch.equal(bare, Alone(source, None, False)(50, steps=0, seed=3)), "its own stream of the flow's start"


# ---------------------------------------------------------------- the choice of a solver


def normal(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def world(test: Tensor | None = None, validation: Tensor | None = None) -> RealData:
    test = normal(0, 300, 2) if test is None else test
    return RealData.of(test, normal(1, 300, 2) if validation is None else validation, [MMD("d", 1.2)])


def moved(shift: float) -> object:
    """A generator that is off by shift / steps."""

    def draw(n: int, *, steps: int, seed: int) -> Tensor:
        return normal(100 * steps + seed % 97, n, 2) + shift / steps

    return draw


def method(*shifts: tuple[str, float], name: str = "warm", role: Role = Role.CANDIDATE) -> Entry:
    return Entry(name, role, {key: {s: moved(d) for s in (0, 1)} for key, d in shifts})  # type: ignore[misc]


def test_the_solver_of_the_lowest_distance_is_chosen_on_the_validation_set() -> None:
    found = choose(method(("bad", 3.0), ("good", 0.5), ("worse", 6.0)), world(), 400)
    assert found.chosen == "good" and set(found.distances) == {"bad", "good", "worse"}
    assert set(found.distances["good"]) == {2, 4, 8}
    assert found.distances["bad"][2] > found.distances["good"][2]


def test_a_test_set_of_garbage_changes_no_choice_and_a_validation_set_does() -> None:
    entry = method(("at zero", 0.0), ("at six", 12.0))
    honest = choose(entry, world(), 400)
    garbage = choose(entry, world(test=1e3 * normal(5, 300, 2).sign()), 400)
    assert garbage.chosen == honest.chosen == "at zero" and garbage.distances == honest.distances
    turned = choose(entry, world(validation=normal(1, 300, 2) + 3), 400)
    assert turned.chosen == "at six", "12 / 4 calls is where this validation set lies"


def test_a_choice_is_made_on_samples_that_no_row_has(setup) -> None:
    seeds: list[int] = []

    def noted(n: int, *, steps: int, seed: int) -> Tensor:
        seeds.append(seed)
        return normal(seed % 1_000, n, 2)

    choose(Entry("warm", Role.CANDIDATE, {k: {0: noted, 1: noted} for k in ("a", "b")}), world(), 400)
    assert set(seeds) == {CHOICE_SEED, CHOICE_SEED - 1} and not set(seeds) & {0, 1}


def test_a_choice_is_made_once_and_kept(tmp_path) -> None:
    real = world()
    store = Store.of(tmp_path, real, 400)
    first = store.choice(method(("bad", 3.0), ("good", 0.5)), real, 400)

    def never(n: int, *, steps: int, seed: int) -> Tensor:
        raise AssertionError("a kept choice draws nothing")

    again = store.choice(Entry("warm", Role.CANDIDATE, {k: {0: never, 1: never} for k in ("bad", "good")}), real, 400)
    assert again == first and again.chosen == "good"
    other = Store.of(tmp_path, world(validation=normal(9, 300, 2)), 400)
    assert other.folder != store.folder and not other.folder.exists()


def test_one_solver_is_no_choice() -> None:
    def never(n: int, *, steps: int, seed: int) -> Tensor:
        raise AssertionError("nothing is drawn where there is nothing to choose")

    found = choose(Entry("warm", Role.CANDIDATE, {"euler": {0: never}}), world(), 400)
    assert found.chosen == "euler" and not found.distances


def test_distances_within_the_noise_of_the_validation_set_are_not_told_apart() -> None:
    """One solver is nearer at 2 calls; the other's samples at 8 are the validation set itself, at a distance below 0, whose
    logarithm would outweigh everything: below the floor nothing is won."""

    def of(values: dict[int, float]) -> object:
        def draw(n: int, *, steps: int, seed: int) -> Tensor:
            return normal(1, 300, 2)[:n] + values[steps]

        return draw

    early, late = of({2: 0.6, 4: 0.16, 8: 0.16}), of({2: 1.0, 4: 0.16, 8: 0.0})
    entry = Entry(
        "warm", Role.CANDIDATE, {"late": {0: late}, "early": {0: early}}, dict.fromkeys(("late", "early"), (2, 4, 8))
    )  # type: ignore[dict-item]
    assert choose(entry, world(), 1_200).chosen == "early"


# ---------------------------------------------------------------- seconds


class Clock:
    """A clock that only generators move, and a machine that gets slower with every call of one."""

    def __init__(self) -> None:
        self.now, self.calls = 0.0, []

    def perf_counter(self) -> float:
        return self.now

    def generator(self, name: str, cost: float) -> object:
        def draw(n: int, *, steps: int, seed: int) -> Tensor:
            self.calls.append((name, steps, n))
            self.now += cost * steps * (1 + 0.01 * len(self.calls))
            return torch.zeros(n, 2)

        return draw


def test_seconds_are_of_rounds_in_which_every_row_is_timed_once(monkeypatch) -> None:
    """The machine slows down to half its speed: timed one method after the other, the second would seem slower. In rounds the
    ratio of the medians is what it is."""
    clock = Clock()
    monkeypatch.setattr(rows_module.time, "perf_counter", clock.perf_counter)
    made = [
        Entry(name, role, {"": {0: clock.generator(name, cost), 1: None}}, {"": (1, 4)})  # type: ignore[dict-item]
        for name, role, cost in (("cold", Role.BASELINE, 2.0), ("warm", Role.CANDIDATE, 2.0))
    ]
    found = {(t.method, t.steps): t.seconds for t in timed(made, {"cold": "", "warm": ""}, rounds=9, samples=10)}
    assert set(found) == {("cold", 1), ("cold", 4), ("warm", 1), ("warm", 4)}
    assert all(len(seconds) == 9 for seconds in found.values())
    counted = clock.calls[2:]
    for k in range(9):
        assert sorted(c[:2] for c in counted[4 * k : 4 * k + 4]) == sorted(found), "a round times every row once"
    assert len({tuple(c[:2] for c in counted[4 * k : 4 * k + 4]) for k in range(9)}) > 3, "each in an order of its own"
    assert np.median(found["warm", 4]) == pytest.approx(np.median(found["cold", 4]), rel=0.05)
    assert np.median(found["cold", 4]) == pytest.approx(4 * np.median(found["cold", 1]), rel=0.05)
    assert clock.calls[0][:2] == ("cold", 1) and clock.calls[1][:2] == ("warm", 1), (
        "each is run once before it is timed"
    )


# ---------------------------------------------------------------- the whole of it


def given(setup) -> Comparison:
    sources = {s: draft(setup) for s in (0, 1)}
    return Comparison(
        setup.data, 240, ("warm",), flows(setup), [alone(setup.data.bounds, "draft", sources, "warm")], GIVEN,
        solvers=lambda s: (Euler(), Heun()),
    )  # fmt: skip


def without_seconds(study: Study) -> tuple[object, ...]:
    return study.methods, [told(r) for r in study.rows], study.metrics, study.trained, study.seeds


@pytest.mark.long
def test_an_evaluation_cut_off_anywhere_ends_in_the_identical_study(setup, real, tmp_path, monkeypatch) -> None:
    once = evaluated(given(setup), tmp_path / "once", real, progress=False)
    inner, left = RealData.measure, 4

    def some(self: RealData, x: Tensor, name: str = "") -> object:
        nonlocal left
        left -= 1
        if left < 0:
            raise Cut
        return inner(self, x, name)

    monkeypatch.setattr(RealData, "measure", some)
    cut = 0
    while True:
        try:
            again = evaluated(given(setup), tmp_path / "again", real, progress=False)
            break
        except Cut:
            left, cut = 4, cut + 1
    assert cut >= 2 and without_seconds(again.study) == without_seconds(once.study)
    assert again.choices == once.choices
    assert {n: (v.outcome, v.rows) for n, v in again.verdicts.items()} == {
        n: (v.outcome, v.rows) for n, v in once.verdicts.items()
    }
    assert {t.method for t in again.study.times} == {"cold", "warm", "draft"}
    assert {r.calls for r in again.study.rows_of("draft")} == {0.0}


def test_training_that_is_known_later_changes_what_is_said_alone(setup, real, tmp_path) -> None:
    found = evaluated(given(setup), tmp_path, real, progress=False)
    later = replace(found.study, trained=Training.CONVERGENCE)
    assert found.study.trained is Training.EQUAL
    assert {n: (v.outcome, v.rows) for n, v in judge(later).items()} == {
        n: (v.outcome, v.rows) for n, v in found.verdicts.items()
    }


def compared(folder, **asked):
    return compare(
        PROBLEM, [WARM], out=folder, calls=(1, 2), seeds=(0, 1), samples=240, progress=False, **TRAINING, **asked
    )


@pytest.mark.long
def test_several_processes_measure_what_one_does(tmp_path, monkeypatch) -> None:
    """Two processes leave the rows of one, and this one measures none."""
    compared(tmp_path / "one")
    monkeypatch.setattr(pipeline, "WORTH", 0.0)
    measured_here = []
    inner = RealData.measure
    monkeypatch.setattr(
        RealData, "measure", lambda self, x, name="": measured_here.append(name) or inner(self, x, name)
    )
    compared(tmp_path / "two", jobs=2)
    ours, theirs = (read_study(tmp_path / name) for name in ("two", "one"))
    starts = {m.name for m in ours.methods if m.role is Role.START}
    assert same(ours.rows, theirs.rows) and not {name.split(",")[0] for name in measured_here} - starts
    assert not (tmp_path / "two" / "measured").exists()


@pytest.mark.long
def test_a_finished_comparison_is_judged_again_from_its_study_and_by_other_data_it_is_measured(
    tmp_path, monkeypatch
) -> None:
    """The seconds of every row are the first run's: nothing was drawn again. Where what was fixed beforehand differs, it is."""

    def made() -> list[float | None]:
        compared(tmp_path)
        return [r.seconds for r in read_study(tmp_path).rows]

    def config(**changes):
        found = json.loads((tmp_path / "config.json").read_text()) | changes
        (tmp_path / "config.json").write_text(json.dumps(found))
        return found

    first = made()
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert made() == first and not (tmp_path / "measured").exists()
    assert json.loads((tmp_path / "verdict.json").read_text()) == verdict, "judged again, it says the same"
    fixed = config()["measured"]
    config(measured={**fixed, "digest": "of other data"})
    monkeypatch.setattr(comparison, "conclude", lambda *a, **k: (_ for _ in ()).throw(Cut))
    with pytest.raises(Cut):
        made()
    monkeypatch.undo()
    assert config()["state"] == "started", "rows of other data are not read by the next run either"
    assert made() != first


def test_nothing_of_a_generator_is_needed_but_its_call(setup) -> None:
    """``Drawn`` counts its own calls and seconds; a plain function has those that are declared."""
    found = Drawn(flows(setup)[0].sampler, Euler())(8, steps=2, seed=0)
    assert isinstance(found, Samples) and isinstance(found.start, Start) and float(found.calls[0]) == 2
    assert measuring.at_once(flows(setup)[0].sampler) == 2**17
