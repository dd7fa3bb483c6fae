"""What a comparison takes counts every stage; minutes that are too short are refused before anything is written."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import COLD, MOONS, TINY, WARM

import warmflow
from warmflow import estimates
from warmflow.contracts import Batch
from warmflow.couplings import Assignment, Independent, prepare
from warmflow.experiments import compare as comparison
from warmflow.experiments.budget import Cost, Fitted, cost_of, fitted, in_words, trial_parts, tried
from warmflow.experiments.members import members_of
from warmflow.experiments.pair_audits import audits
from warmflow.experiments.train import dry_run
from warmflow.experiments.work import Work
from warmflow.failures import Unsuited
from warmflow.methods import settled
from warmflow.methods.base import Drafted
from warmflow.noise import Noise
from warmflow.options import changed
from warmflow.problems.measures import real_data
from warmflow.sources import StandardNormal

COST = Cost(before=10, parts=50, fixed=5, update=0.1, row=40, choice=10, timing=20, audit=6, ending=14)
SMALL = {**TINY, "samples": 400, "calls": (1, 2), "jobs": 1, "progress": False}


def test_every_stage_counts() -> None:
    """Three seeds, 200 updates: 10 + 3 * 50 + 3 * (5 + 20) + 3 * 50 + 20 + 6 for the audit, 14 for the report."""
    stages = COST.stages(200, 3)
    assert stages == {
        "reading and timing": 10, "drafts and pairs": 150, "training": 75, "measuring": 170, "audit of pairs": 6,
        "verdict and report": 14,
    }  # fmt: skip
    assert COST.stages(200, 3, share=0.5)["measuring"] == 95
    beside = COST.stages(200, 3, jobs=2)
    assert (beside["drafts and pairs"], beside["training"], beside["measuring"]) == (75, 37.5, 110)
    assert in_words(stages) == (
        "about 7.1 minutes (reading and timing 0.2, drafts and pairs 2.5, training 1.2, measuring 2.8, audit of pairs 0.1, "
        "verdict and report 0.2)"
    )
    doubled = Cost(update=0.1, doubled=0.25).stages(100, 1)["training"]
    assert doubled == pytest.approx(15), "one flow of four once more, twice as long"


def test_the_updates_are_what_fits_beside_the_other_stages() -> None:
    """Of 900 s, 90 are kept back and 365 go to the other stages of three seeds."""
    assert COST.updates_in(900, 3) == int((810 - 365) / 0.3)
    assert fitted(COST, 15, 3, 1000) == Fitted(int((810 - 365) / 0.3), 1000)
    assert fitted(COST, 1e6, 3, 1000).updates == 30_000


def test_fewer_samples_are_measured_where_that_makes_it_fit() -> None:
    """7 minutes: 378 s, less 365 leave 43 updates; with half of the samples 75 s more, 293 updates."""
    assert fitted(COST, 7, 3, 1000) == Fitted(293, 500)


def test_minutes_that_are_too_short_are_refused_with_what_is_enough() -> None:
    with pytest.raises(ValueError) as error:
        fitted(COST, 4, 3, 1000)
    assert str(error.value) == (
        "minutes is 4, which is too short: with 100 updates of each flow and 250 samples it takes about 4.7 minutes (reading and "
        "timing 0.2, drafts and pairs 2.5, training 0.8, measuring 1.0, audit of pairs 0.1, verdict and report 0.2); "
        "give --minutes 8, or --seeds 1"
    )
    with pytest.raises(ValueError, match=r"give --minutes 8$"):
        fitted(COST, 0.5, 3, 1000)


def refusal(cost: Cost, minutes: float, *asked: int) -> Unsuited | None:
    try:
        fitted(cost, minutes, *asked)
    except Unsuited as error:
        return error
    return None


def test_what_is_advised_is_accepted_even_if_everything_takes_half_as_long_again() -> None:
    """Refused with N minutes or n seeds, a comparison is accepted with them, at any later speed up to 1.5 times as slow."""
    rng, refused, with_seeds = np.random.default_rng(0), 0, 0
    for _ in range(3000):
        values = [float(v) for v in 10 ** rng.uniform(-3, 3, 9) * rng.integers(0, 2, 9)]
        cost = Cost(*values[:3], 10 ** rng.uniform(-4, 1), *values[3:6], rng.choice([0, 0.2]), *values[6:8])
        minutes, seeds = float(10 ** rng.uniform(-1, 2)), int(rng.integers(1, 6))
        asked = seeds, int(rng.integers(200, 5000)), int(rng.integers(1, 3))
        error = refusal(cost, minutes, *asked)
        if error is None:
            continue
        refused += 1
        enough, seeds_said = float(str(error.instead["--minutes"])), str(error).partition("--seeds ")[2]
        for times in (0.5, 1.0, 1.2, 1.49):
            assert fitted(cost.slower(times), enough, *asked).updates >= 100
        if seeds_said:
            with_seeds += 1
            assert fitted(cost.slower(1.49), minutes, int(seeds_said), *asked[1:]).updates >= 100
    assert refused > 500 and with_seeds > 50


def test_an_audit_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block of independent pairs takes more than a second; one is made, and all are counted."""
    setup = MOONS.setup(**TINY)
    parts = trial_parts(setup, 0)
    with estimates.trying():
        drafted = settled(WARM, setup).drafted(parts)
    assert drafted is not None
    pair, made = Independent.pair, []

    def slow(self: Independent, batch: Batch, *args: Any, **more: Any) -> Any:
        made.append(len(batch))
        time.sleep(1.1)
        return pair(self, batch, *args, **more)

    monkeypatch.setattr(Independent, "pair", slow)
    small = Drafted(drafted.draft, changed(drafted.pairing, {"block": 50}), drafted.pairs)
    blocks, began = -(-len(setup.data.train) // 50), estimates.clock()
    with estimates.trying():
        audits(setup, small)
    assert len(made) == 1 and estimates.clock() - began > 1.1 * blocks


def test_audits_are_kept_and_their_pairs_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted in its third block, an audit goes on with it; a finished audit is read."""
    setup = MOONS.setup(**TINY)
    drafted = settled(changed(WARM, {"rounds": 1, "block": 64}), setup).drafted(trial_parts(setup, 0))
    assert drafted is not None
    whole, pair, made = audits(setup, drafted), Independent.pair, []

    def stopped(self: Independent, batch: Batch, *args: Any, **more: Any) -> Any:
        made.append(len(batch))
        if len(made) == 3:
            raise KeyboardInterrupt
        return pair(self, batch, *args, **more)

    monkeypatch.setattr(Independent, "pair", stopped)
    with pytest.raises(KeyboardInterrupt):
        audits(setup, drafted, tmp_path)
    assert {p.stem for p in tmp_path.glob("*.json")} == set(whole) - {"independent"}
    assert audits(setup, drafted, tmp_path) == whole
    blocks = -(-len(setup.data.train) // 64)
    assert len(made) == blocks + 1, "two blocks are read, the third is made again"
    assert audits(setup, drafted, tmp_path) == whole and len(made) == blocks + 1
    assert {p.name for p in tmp_path.iterdir()} == {f"{name}.json" for name in whole}
    (tmp_path / "independent.json").write_text("{")
    assert audits(setup, drafted, tmp_path) == whole, "a damaged one is made again"


def test_a_dry_run_of_a_comparison_has_a_table_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cost = Cost(parts=30, update=0.1, row=10, audit=60, ending=30)
    monkeypatch.setattr(comparison, "cost_of", lambda *_: cost)
    said: list[str] = []
    stages = comparison.dry_run(MOONS, [WARM], seeds=[0, 1], echo=said.append, **{**SMALL, "updates": 600})
    assert stages["training"] == 120 and stages["audit of pairs"] == 60
    lines = said[0].splitlines()
    assert "600 updates of each flow, 400 samples" in lines[1]
    assert [line.split()[:2] for line in lines[3:5]] == [["warm-start", "candidate"], ["cold", "baseline"]]
    rows = [(line[:24].strip(), line[24:].strip()) for line in lines[9:]]
    assert rows == [
        ("stage", "minutes"), ("reading and timing", rows[1][1]), ("drafts and pairs", "1.0"), ("training", "2.0"),
        ("measuring", "0.3"), ("audit of pairs", "1.0"), ("verdict and report", "0.5"), ("all", rows[-1][1]),
    ]  # fmt: skip
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="minutes is 1, which is too short: .* give --minutes"):
        comparison.dry_run(MOONS, [WARM], seeds=[0, 1], minutes=1, echo=said.append, **SMALL)


def test_the_clock_runs_ahead_by_the_rounds_that_are_left_out() -> None:
    began = estimates.clock()
    with estimates.trying():
        loop = estimates.Rounds(1000, warm=1)
        for _ in range(1000):
            time.sleep(0.01)
            if loop.enough():
                break
        loop.left_out()
    assert loop.done == 41, "one that is not timed, and forty"
    assert 9 < estimates.clock() - began < 60
    whole = estimates.Rounds(50)
    assert not any(whole.enough() for _ in range(50)) and not estimates.is_trying()


def test_pairs_in_an_estimate_are_few_and_their_time_is_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    x = Noise.of(0, 3000).normal("x", 4)
    paired: list[int] = []
    pair = Assignment.pair

    def slow(self: Assignment, batch: Batch, *args: Any, **more: Any) -> Any:
        paired.append(len(batch))
        time.sleep(0.6)
        return pair(self, batch, *args, **more)

    monkeypatch.setattr(Assignment, "pair", slow)
    data = Batch(x, {}, torch.arange(3000))
    began = estimates.clock()
    with estimates.trying():
        few = prepare(Assignment(), data, StandardNormal((4,)), block=500, rounds=4)
    assert len(paired) <= 2 and len(few) == 4096, "as many rows as a batch may have"
    assert 24 * 0.6 < estimates.clock() - began < 60
    with estimates.trying():
        assert len(prepare(Independent(), data, StandardNormal((4,)), block=500)) == 3000


def test_a_cost_has_every_part(tmp_path: Path) -> None:
    setup = MOONS.setup(**TINY)
    work = Work(MOONS, setup.training, tuple(members_of(setup, [WARM])), tmp_path)
    work.keep(setup)
    cost = cost_of(work, real_data(setup.data, 400)[0], 0, (1, 2), 400, 1, convergence=True)
    assert min(cost.parts, cost.update, cost.row, cost.choice, cost.timing) > 0
    assert cost.audit > 0 and cost.ending > 5 + 3 * 5
    assert cost.fixed == 0 and cost.doubled == 1 / 5 and not list(tmp_path.iterdir()), "nothing is written"


@pytest.mark.parametrize("draft", ["vae", "gan"])
def test_a_draft_that_is_trained_is_tried(draft: str) -> None:
    setup = warmflow.problems.problem_of("digits").setup(**TINY)
    method = settled(changed(WARM, {"draft": draft, "rounds": 1}), setup)
    parts = trial_parts(setup, 0)
    began = time.perf_counter()
    tried(method, parts)
    assert sum(parts.seconds().values()) > 2 * (time.perf_counter() - began), (
        "thousands of updates, of which a few are made"
    )


def test_minutes_choose_the_updates_and_a_refusal_leaves_the_folder_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(comparison, "cost_of", lambda *_: Cost(parts=30, update=0.1, row=10))
    monkeypatch.setattr(comparison, "_updates", lambda work, how, config, cost: 12)
    out = tmp_path / "c"
    with pytest.raises(ValueError, match="minutes is 0.5, which is too short: .* give --minutes 3"):
        warmflow.compare(MOONS, [WARM], out=out, seeds=[0, 1], minutes=0.5, **SMALL)
    assert not out.exists() or not list(out.iterdir())
    warmflow.compare(MOONS, [WARM], out=out, seeds=[0, 1], minutes=4, **{**SMALL, "progress": True})
    told, config = capsys.readouterr().err, json.loads((out / "config.json").read_text())
    assert "updates of each flow fit into 4 minutes: about" in told and "drafts and pairs 1.0" in told
    assert config["updates"] == 12 and config["samples"] == 400
    kept = {p.name for p in (out / "seeds" / "0" / "audit").iterdir()}
    verdict = json.loads((out / "verdict.json").read_text())
    assert kept == {f"{name}.json" for name in verdict["audit"]} >= {"whole-set.json", "independent.json"}


def test_a_dry_run_counts_drafts_and_pairs() -> None:
    method = changed(WARM, {"rounds": 200, "block": 100})
    facts: dict[str, Any] = dry_run(MOONS, method, echo=len, **TINY)  # type: ignore[arg-type]
    assert facts["drafts_and_pairs_minutes"] > 0
    assert facts["minutes"] == pytest.approx(facts["training_minutes"] + facts["drafts_and_pairs_minutes"], abs=0.02)
    assert dry_run(MOONS, COLD, echo=len, **TINY)["drafts_and_pairs_minutes"] == 0  # type: ignore[arg-type]
