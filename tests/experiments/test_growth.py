"""A finished run goes on with more updates, a comparison with more seeds; interrupted at any stage, the bits are the same."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import COLD, MOONS, TINY, WARM, everything, trained

import warmflow
from warmflow import signals
from warmflow.couplings import Assignment, pair_files
from warmflow.evaluation.record import read_study
from warmflow.experiments.train import train_run
from warmflow.files import read_json, read_tensors
from warmflow.methods.distillation import Distillation
from warmflow.setup import Training
from warmflow.training import rate, rate_with

SMALL = {**TINY, "samples": 400, "calls": (1, 2, 4), "jobs": 1, "progress": False}


def weights(run: Path) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in read_tensors(run / "model.safetensors")[0].items()}


def same(a: Path, b: Path) -> bool:
    one, other = weights(a), weights(b)
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def compared(out: Path, seeds: int, updates: int = 10, **more: Any) -> Path:
    warmflow.compare(MOONS, [WARM], out=out, seeds=range(seeds), **{**SMALL, "updates": updates, **more})
    return out


def distances(out: Path) -> dict[tuple[str, int, int], dict[str, float]]:
    return {(row.method, row.steps, row.seed): dict(row.measure.distance) for row in read_study(out).rows}


def runs(out: Path) -> list[Path]:
    return sorted(path.parent for path in out.glob("seeds/*/*/model.json"))


def test_the_learning_rate_falls_at_every_end_and_is_the_same_without_restarts() -> None:
    assert [rate_with(k, (100,), None) for k in range(100)] == [rate(k, 100, 10) for k in range(100)]
    assert [rate_with(k, (100,), 30) for k in range(100)] == [rate(k, 100, 30) for k in range(100)]
    whole = [rate_with(k, (100, 300), None) for k in range(300)]
    assert whole == [rate(k, 100, 10) for k in range(100)] + [rate(k, 200, 20) for k in range(200)]
    assert whole[99] < 0.03 < 0.9 < max(whole[100:]) and whole[-1] < 0.03


@pytest.mark.parametrize("restarts", ["9", "12", "5,5", "6,3", "0", "-1", "x", "3.5"])
def test_restarts_that_do_not_rise_below_the_updates_are_refused(restarts: str) -> None:
    with pytest.raises(ValueError, match="restarts is"):
        Training(updates=9, restarts=restarts)


@pytest.mark.long
def test_a_finished_run_goes_on_and_equals_a_fresh_run_with_the_same_restart(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", WARM, updates=10)
    first = weights(run)
    trained(run, WARM, updates=20)
    trained(run, WARM, updates=20)  # again: nothing is left to do
    assert read_json(run / "config.json")["asked"]["training"]["restarts"] == "10"
    assert same(run, trained(tmp_path / "fresh", WARM, updates=20, restarts="10"))
    assert not same(run, trained(tmp_path / "without", WARM, updates=20)), "the documentation says that they differ"
    trained(run, WARM, updates=30)
    assert same(run, trained(tmp_path / "twice", WARM, updates=30, restarts="10,20"))
    assert any(not torch.equal(first[k], v) for k, v in weights(run).items())
    before = everything(run)
    with pytest.raises(
        ValueError, match="holds a run of 30 updates, more than 20: ask for 30 or more, or choose another --out"
    ):
        trained(run, WARM, updates=20)
    with pytest.raises(ValueError, match="training.width was 16, is now 8"):
        trained(run, WARM, updates=40, width=8)
    assert everything(run) == before


def stopped_after(monkeypatch: pytest.MonkeyPatch, k: int, do: Callable[[], object]) -> None:
    """Does something that a signal stops after k updates."""
    left = iter(range(k))
    with monkeypatch.context() as patch:
        patch.setattr(signals, "stop_asked", lambda: 0 if next(left, None) is not None else signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            do()


@pytest.mark.long
def test_a_run_that_was_stopped_before_its_end_goes_on_to_more_updates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after 6 of 10, asked for 20, stopped again in the second part."""
    stopped_after(monkeypatch, 6, lambda: trained(tmp_path / "run", COLD, updates=10))
    stopped_after(monkeypatch, 8, lambda: trained(tmp_path / "run", COLD, updates=20))
    trained(tmp_path / "run", COLD, updates=20)
    assert same(tmp_path / "run", trained(tmp_path / "fresh", COLD, updates=20, restarts="10"))


@pytest.mark.long
def test_training_that_was_stopped_reads_its_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped_after(monkeypatch, 3, lambda: trained(tmp_path / "run", WARM))
    with monkeypatch.context() as patch:
        patch.setattr(Assignment, "pair", lambda *_, **__: pytest.fail("paired again"))
        trained(tmp_path / "run", WARM)
    assert same(tmp_path / "run", trained(tmp_path / "whole", WARM))


@pytest.mark.long
@pytest.mark.parametrize("after", [0, 1, 3])
def test_pairing_that_was_stopped_goes_on(after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished blocks are kept: only the others are paired at the next start."""
    pairing = {"rounds": 2, "block": 200}
    write, pair, done = pair_files.Block.write, Assignment.pair, [0]

    def stops(*args: Any) -> None:
        if done[0] == after:
            raise signals.Stopped(signal.SIGINT)
        done[0] += 1
        write(*args)

    def counted(*args: Any, **more: Any) -> Any:
        done.append(1)
        return pair(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(pair_files.Block, "write", stops)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "run", WARM, **pairing)
    monkeypatch.setattr(Assignment, "pair", counted)
    trained(tmp_path / "run", WARM, **pairing)
    assert len(done) - 1 == 4 - after
    assert same(tmp_path / "run", trained(tmp_path / "whole", WARM, **pairing))


@pytest.mark.long
def test_a_comparison_gets_more_seeds_and_keeps_those_that_it_has(tmp_path: Path) -> None:
    two = compared(tmp_path / "grown", 2)
    kept = {run: (run / "model.safetensors").stat().st_mtime_ns for run in runs(two)}
    assert len(kept) == 2 * 5
    compared(two, 3)
    fresh = compared(tmp_path / "fresh", 3)
    assert all((run / "model.safetensors").stat().st_mtime_ns == at for run, at in kept.items())
    assert [run.relative_to(two) for run in runs(two)] == [run.relative_to(fresh) for run in runs(fresh)]
    assert all(same(run, fresh / run.relative_to(two)) for run in runs(two))
    assert distances(two) == distances(fresh)
    assert read_study(two).seeds == read_study(fresh).seeds
    with pytest.raises(ValueError, match=r"seeds was \[0, 1, 2\], is now \[0, 1\]"):
        compared(two, 2)


@pytest.mark.long
def test_a_comparison_goes_on_with_more_updates_and_then_with_more_seeds(tmp_path: Path) -> None:
    grown = compared(tmp_path / "grown", 1)
    compared(grown, 1, 20)
    compared(grown, 2, 20)
    fresh = compared(tmp_path / "fresh", 2, 20, restarts="10")
    assert len(runs(grown)) == 10 and all(same(run, fresh / run.relative_to(grown)) for run in runs(grown))
    assert distances(grown) == distances(fresh)
    with pytest.raises(ValueError, match="holds a run of 20 updates, more than 10"):
        compared(grown, 2, 10)


@pytest.mark.long
def test_a_student_cannot_go_on_with_its_teacher(tmp_path: Path) -> None:
    method = Distillation(teacher=COLD, updates=2)
    out = tmp_path / "run"
    more = {**SMALL, "updates": 10}
    warmflow.compare(MOONS, [method, COLD], out=out, seeds=[0], **more)
    before = everything(out)
    with pytest.raises(
        ValueError, match="made from a flow of 10 updates and cannot go on with it: choose another --out"
    ):
        warmflow.compare(MOONS, [method, COLD], out=out, seeds=[0], **{**more, "updates": 20})
    assert everything(out) == before


def test_a_run_of_another_problem_is_named_as_before(tmp_path: Path) -> None:
    trained(tmp_path / "run", COLD)
    with pytest.raises(ValueError, match="seed was 0, is now 1"):
        train_run(MOONS, COLD, tmp_path / "run", seed=1, progress=False, echo=len, **{**TINY, "updates": 20})  # type: ignore[arg-type]
