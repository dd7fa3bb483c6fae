"""Rows of a verdict: kept as they are measured, shared by several processes, and the same however they were made."""

import json
from dataclasses import replace

import pytest
import torch

from warmflow import comparison, crew, measuring
from warmflow.comparison import run
from warmflow.measuring import Entry, forget, measured, read_rows
from warmflow.recipes.build import plan_of
from warmflow.recipes.measures import ruler_for
from warmflow.recipes.settings import settings_of

SMALL = {"updates": 3, "samples": 400, "train": 600, "width": 8, "depth": 1, "rounds": 1, "block": 300}


@pytest.fixture(scope="module")
def plan():
    return plan_of("toy.moons", settings_of("toy.moons", **SMALL))


@pytest.fixture(scope="module")
def ruler(plan):
    return ruler_for(plan.data, 400)[0]


def entries(plan):
    draft = plan.draft()
    return [
        Entry(name, plan.flow.role(name), seed, plan.flow.arm(plan, name, seed, draft, plan.data.train).sampler, 1.0)
        for name in ("cold", "warm")
        for seed in (0, 1)
    ]


def told(rows):
    """Rows without their times."""
    return [(r.arm, r.seed, r.solver, r.steps, r.calls, r.measure.distance, r.measure.variation) for r in rows]


def same(ours, theirs):
    return told(ours) == told(theirs) and all(
        torch.equal(a.measure.replicates[k], b.measure.replicates[k])
        for a, b in zip(ours, theirs, strict=True)
        for k in a.measure.replicates
    )


def test_a_measurement_that_is_cut_off_goes_on_where_it_was(plan, ruler, tmp_path, monkeypatch):
    whole = list(measured(plan, ruler, entries(plan), (), (1, 2), False))
    cut = measured(plan, ruler, entries(plan), (), (1, 2), False, folder=tmp_path)
    first = [next(cut) for _ in range(5)]
    cut.close()
    seen = []
    inner = type(ruler).measure
    monkeypatch.setattr(type(ruler), "measure", lambda self, x: seen.append(len(x)) or inner(self, x))
    again = list(measured(plan, ruler, entries(plan), (), (1, 2), False, folder=tmp_path))
    assert same(again, whole) and again[:5] != whole[:5], "the first five were timed once"
    assert [r.seconds for r in again[:5]] == [r.seconds for r in first] and len(seen) == len(whole) - 5
    forget(tmp_path)
    assert not list(tmp_path.iterdir())


def test_rows_measured_from_the_other_end_are_the_same(plan, ruler, tmp_path):
    backwards = list(measured(plan, ruler, entries(plan), (), (1, 2), False, folder=tmp_path, backwards=True))
    assert same(backwards[::-1], list(measured(plan, ruler, entries(plan), (), (1, 2), False)))


def test_rows_of_another_ruler_are_not_taken(plan, ruler, tmp_path):
    list(measured(plan, ruler, entries(plan)[:1], (), (1,), False, folder=tmp_path))
    other = ruler_for(plan.data, 400, seed=5)[0]
    rows = list(measured(plan, other, entries(plan)[:1], (), (1,), False, folder=tmp_path))
    assert same(rows, list(measured(plan, other, entries(plan)[:1], (), (1,), False)))


def test_a_crew_measures_what_one_process_does(tmp_path, monkeypatch):
    """Two processes leave the rows of one; nothing of the crew stays."""
    plan = plan_of("toy.moons", settings_of("toy.moons", **SMALL))
    alone = run(plan, tmp_path / "one", steps=(1, 2), seeds=(0, 1), progress=False)
    began = []
    start = crew.Crew.start
    monkeypatch.setattr(crew, "WORTH", 0.0)

    def wait(self, seconds):
        start(self, seconds)
        began.extend(self.running)
        self.running[0].join(120)  # all rows are the other's then

    monkeypatch.setattr(crew.Crew, "start", wait)
    taken = []
    read = measuring.read_rows
    monkeypatch.setattr(measuring, "read_rows", lambda folder: taken.append(folder) or read(folder))
    together = run(replace(plan), tmp_path / "two", steps=(1, 2), seeds=(0, 1), jobs=2, progress=False)
    ours, theirs = (read_rows(tmp_path / name) for name in ("two", "one"))
    assert same(ours, theirs) and together.verdict.claim == alone.verdict.claim
    trained = [r for r in theirs if r.solver != "none"]
    assert len(began) == 1 and began[0].exitcode == 0 and len(taken) == len(trained)
    assert not (tmp_path / "two" / "measured").exists()


def cut_off(*_, **__):
    raise KeyboardInterrupt


def test_a_finished_comparison_is_judged_again_from_its_rows(tmp_path, monkeypatch):
    """The seconds of every walked row are the first run's, bit for bit: nothing was drawn again. By another ruler it is."""
    plan = plan_of("toy.moons", settings_of("toy.moons", **SMALL))

    def made():
        claim = run(plan, tmp_path, steps=(1, 2), seeds=(0, 1), progress=False).verdict.claim
        return claim, [(r.arm, r.seed, r.steps, r.seconds) for r in read_rows(tmp_path) if r.solver != "none"]

    def config(**changes):
        found = json.loads((tmp_path / "config.json").read_text()) | changes
        (tmp_path / "config.json").write_text(json.dumps(found))
        return found

    first = made()
    begun = config(threads=77)["started"]
    assert made() == first and not (tmp_path / "measured").exists()
    margins = config()["margins"]
    assert config()["threads"] == 77 and config()["started"] == begun, "of the run that was timed"
    margins["metrics"]["MMD on coordinates"]["margin"] *= 2
    config(margins=margins)
    monkeypatch.setattr(comparison, "measured", cut_off)
    with pytest.raises(KeyboardInterrupt):
        made()
    monkeypatch.setattr(comparison, "measured", measured)
    assert config()["state"] == "started", "rows of the other ruler are not recalled by the next"
    second = made()
    assert second[1] != first[1] and config()["threads"] != 77
    (tmp_path / "seeds" / "0" / "warm" / "model.safetensors").unlink()
    assert made()[1] != second[1], "an arm that is trained anew is measured anew"
