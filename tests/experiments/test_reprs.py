"""What results look like in a notebook or at a prompt: no ``repr`` of anything that a user gets is longer than 2 kB."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import MOONS, TINY, trained

import warmflow
from warmflow.brief import MOST
from warmflow.evaluation.planner import plans_of
from warmflow.experiments.audit import Prospect
from warmflow.noise import Noise

LONGEST = 2_000


def records_in(found: object, seen: set[int] | None = None) -> Iterator[object]:
    """The records in a result, at any depth, and the result itself."""
    seen = set() if seen is None else seen
    if id(found) in seen:
        return
    seen.add(id(found))
    if type(found).__module__.startswith("warmflow") and not isinstance(found, type | torch.nn.Module):
        yield found
        values: dict[str, Any] = dict(getattr(found, "__dict__", {}))
        values |= {name: getattr(found, name) for name in ("verdict", "answers", "config") if hasattr(found, name)}
        for value in values.values():
            yield from records_in(value, seen)
    elif isinstance(found, Mapping):
        for value in found.values():
            yield from records_in(value, seen)
    elif isinstance(found, tuple | list):
        for value in found[:50]:
            yield from records_in(value, seen)


def all_short(found: object) -> set[str]:
    """The names of the classes of the records in a result, all of which have a short ``repr``."""
    names = set()
    for one in records_in(found):
        said = repr(one)
        assert len(said) < LONGEST and "\n\n" not in said, (type(one).__name__, len(said), said[:300])
        names.add(type(one).__name__)
    return names


def points(n: int, seed: int) -> torch.Tensor:
    return Noise.of(seed, n).normal("x", 2)


@pytest.mark.long
def test_reports_of_comparisons_are_short(tmp_path: Path) -> None:
    report = warmflow.compare(
        MOONS, out=tmp_path / "result", seeds=(0, 1), calls=(1, 2), samples=400, progress=False, **TINY
    )
    assert {"Report", "Run", "Config", "Verdict"} <= all_short(report)
    assert str(tmp_path / "result") in repr(report) and report.verdict.answer in repr(report)
    assert "<table" in report._repr_html_() and len(repr(report)) < 500
    assert {"Report"} <= all_short(warmflow.Report.read(tmp_path / "result"))


@pytest.mark.long
def test_evaluations_and_plans_are_short() -> None:
    def flow(shift: float, model: int) -> Any:
        return lambda n, steps, seed: points(n, 1000 * seed + model) + shift / steps

    found = warmflow.evaluate(
        points(1200, 1), train=points(900, 2), samples=600,
        baseline={"cold": [flow(0.6, 10 + k) for k in range(3)]}, candidates={"warm": [flow(0.3, 20 + k) for k in range(3)]},
    )  # fmt: skip
    assert {"Evaluation", "Study", "Verdict", "Row", "Measure", "Answer"} <= all_short(found)
    assert {"Plan"} <= all_short(plans_of(found.study))


@pytest.mark.long
def test_runs_samplers_and_samples_are_short(tmp_path: Path) -> None:
    sampler = warmflow.load(trained(tmp_path / "run", warmflow.WarmStart(rounds=1, block=400)))
    assert {"Sampler", "NetworkField"} <= all_short(sampler)
    assert {"Samples", "Start"} <= all_short(sampler(5000, seed=0))


def test_an_audit_is_short() -> None:
    audit = {"flags": ["The paired drafts differ."] * 3, **{f"number {i}": i / 3 for i in range(15)}}
    found = Prospect(
        "A warm start may help.", "whole-set", {str(i): audit for i in range(5)}, 0.1, 0.2, 8, 2, 4.0, "moons"
    )
    assert "A warm start may help." in repr(found) and all_short(found) == {"Prospect"}


def test_data_problems_methods_and_setups_are_short() -> None:
    x = np.zeros((3000, 2), np.float32) + np.arange(3000)[:, None] / 3000
    for given in ("digits", "moons", "grid", x):
        problem = warmflow.problem_of(given)
        setup = problem.setup()
        assert {"DataSet", "Setup", "Batch"} <= all_short(setup) and len(all_short(problem)) == 1
    assert repr(warmflow.WarmStart(draft=x)).count("float64 (3000, 2)") == 1
    assert {"Batch"} <= all_short(warmflow.data.load("digits")) and all_short(warmflow.pair(x[:400], rounds=1))
    assert all_short(warmflow.Noise.of(0, 3000)) == {"Noise"}


def test_a_record_of_many_values_is_cut() -> None:
    kind = dataclasses.make_dataclass("Long", [f"field{i}" for i in range(300)], bases=(warmflow.brief.Brief,))
    said = repr(kind(*["text" * 30] * 300))
    assert said.startswith("Long(field0='texttext") and said.endswith("...)") and len(said) <= MOST


def test_small_records_look_as_dataclasses_do() -> None:
    assert repr(warmflow.LinearPath(t0=0.5)) == "LinearPath(t0=0.5)" and repr(
        warmflow.Cold(pairing="minibatch")
    ).startswith("Cold(")
    assert repr(warmflow.Moons(train=400)) == "Moons(data_seed=0, train=400, heldout=4000)"
